"""What a turn is measured against: the least that Flask, and Flask with our two stores, can cost.

`bare`: one Flask view that reads the form and answers. `stores`: the same with one script on Redis, which reads and
writes a session of the usual size, and one select that was built once. Both ignore everything that makes a turn right.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Flask, Response, request
from sqlalchemy import bindparam, select

from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow

_SCREEN = b"CON Mwolo Energie\nMbuyi Kalala: 28 500 FC\nA payer avant 24/03\n1. Payer\n2. Recus\n3. Langue"
_TYPE = "text/plain; charset=utf-8"
# A session as large as ours.
_STATE = "x" * 500
_SCRIPT = """
local before = redis.call('HMGET', KEYS[1], 'state', 'answer')
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'answer', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return before[1]
"""
_WHO = (
    select(CustomerRow.name, ContractRow.account_number)
    .join(PhoneLinkRow, PhoneLinkRow.customer_id == CustomerRow.id)
    .join(ContractRow, ContractRow.customer_id == CustomerRow.id)
    .where(PhoneLinkRow.phone == bindparam("phone"))
)


def _bare() -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/ussd")
    def turn() -> Response:
        form = request.form
        assert form["sessionId"]
        assert form["phoneNumber"]
        return Response(_SCREEN, content_type=_TYPE)

    return app


def _stores() -> Flask:
    from mwolo.wiring import Wiring

    wiring = Wiring.from_environment()
    execute: Any = wiring.turn_redis.execute_command
    sha = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
    wiring.turn_redis.script_load(_SCRIPT)
    app = Flask("stores", static_folder=None)

    @app.post("/ussd")
    def turn() -> Response:
        form = request.form
        execute("EVALSHA", sha, 1, "floor:" + form["sessionId"], _STATE, _SCREEN, 180)
        with wiring.db.connect_read() as connection:
            connection.execute(_WHO, {"phone": form["phoneNumber"]}).all()
        return Response(_SCREEN, content_type=_TYPE)

    return app


def __getattr__(name: str) -> Flask:
    if name == "bare":
        return _bare()
    if name == "stores":
        return _stores()
    raise AttributeError(name)
