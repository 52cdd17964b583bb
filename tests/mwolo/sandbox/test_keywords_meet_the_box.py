"""A phone of the box writes, the product's own door and worker answer, and the phone shows it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from channels.sms.gateways.africastalking import AfricasTalkingSms, AfricasTalkingSmsConfig
from channels.sms.views import sms_blueprint
from core.db import Database
from core.kernel.clock import SystemClock
from core.notices.tables import NoticeRow
from core.partner_http import PartnerHttp
from core.services.notices import Notices
from mwolo.sandbox.serve import threaded_server
from tests.channels.sms.sms_desk import Desk
from tests.mwolo.sandbox.box_rig import MPESA, Box, Letter, Product, until

SECRET = "s" * 32


@pytest.fixture
def desk(box: Box, product: Product, db: Database, tmp_path: Path) -> Iterator[Desk]:
    """The product behind the box: what a phone writes comes in by the real door."""
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = AfricasTalkingSmsConfig(
        "sandbox", box.config.at_api_key, "MWOLO", f"http://127.0.0.1:{server.port}/africastalking"
    )
    gateway = AfricasTalkingSms(config, PartnerHttp("africastalking"))
    desk = Desk(db, SystemClock(), tmp_path)
    desk.notices = Notices(db, desk.clock, [gateway])
    app = Flask(__name__)
    app.register_blueprint(
        sms_blueprint(desk.notices, {"africastalking": gateway}, {"africastalking": (SECRET,)})  # type: ignore[dict-item]
    )

    def answer(letter: Letter) -> tuple[int, str]:
        kind = letter.path.rpartition("/")[2]
        reply = app.test_client().post(f"/sms/africastalking/{SECRET}/{kind}", data=letter.form)
        return reply.status_code, reply.text

    product.answer = answer
    yield desk
    server.shutdown()
    server.server_close()


def answered(desk: Desk, box: Box, count: int) -> list[dict[str, Any]]:
    """Let the worker run until so many texts stand on the phone."""

    def shown() -> list[dict[str, Any]] | None:
        desk.run()
        with desk.db.read() as session:
            waiting = session.scalars(select(NoticeRow.id).where(NoticeRow.state == "queued")).all()
        for number in waiting:
            desk.notices.send(number)
        texts: list[dict[str, Any]] = box.get(f"sms?phone={MPESA}")
        return texts if len(texts) >= count and not waiting else None

    return until(shown)


def test_a_phone_writes_and_is_answered(desk: Desk, box: Box) -> None:
    home = desk.home(12_500, phone=MPESA)
    box.post("sms", {"phone": MPESA, "text": "solde"})
    [balance] = answered(desk, box, 1)
    assert "12 500 FC" in balance["text"]
    box.fault("africastalking", "inbound_duplicate")
    box.fault("africastalking", "inbound_new_id")
    box.post("sms", {"phone": MPESA, "text": "Payer 5000 FC"})
    texts = answered(desk, box, 3)
    assert len(desk.attempts()) == 1
    assert len(texts) == 3, "one under each id"
    box.fault("africastalking", "inbound_late", seconds=7200)
    box.post("sms", {"phone": MPESA, "text": "PAYER 6000"})
    assert len(answered(desk, box, 4)) == 4
    assert len(desk.attempts()) == 1
    assert desk.attempts()[0].contract_id == home.contract.id
