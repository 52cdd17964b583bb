"""How an operator's callbacks go wrong: lost, doubled, out of order, forged, about nobody.

An operator makes one of these and says how a callback is posted; the plan of each request (`wire.plan_for`) says what
becomes of it. What left the box is kept in a row each.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select

from mwolo.sandbox.errands import Errands
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.store import Now, Row, Store, told

# A callback that is held back for the next one goes after this long, next one or not.
LONGEST_HOLD_S = 30.0
LOOK_AGAIN_S = 0.1
LONGEST_PAUSE_S = 300.0

# Posts one callback about an entry; True when the product took it. A claim that is not true comes as a plain mapping
# in the shape of an entry, with `plan["false"]` set.
Post = Callable[[Mapping[Any, Any]], bool]


class Callbacks:
    """The callbacks of one operator about its entries.

    `retry_s`: pause before a callback that was not taken is repeated, doubled each time; `most` times in all.
    """

    def __init__(
        self,
        wallet: str,
        store: Store,
        ledger: OperatorLedger,
        errands: Errands,
        now: Now,
        post: Post,
        *,
        retry_s: float,
        most: int,
        name: str = "",
    ) -> None:
        self._wallet = wallet
        self._store = store
        self._ledger = ledger
        self._errands = errands
        self._now = now
        self._post = post
        self._retry_s = retry_s
        self._most = most
        # Two protocols of one operator have callbacks of their own.
        self._kind = f"{name or wallet}.callback"
        errands.on(self._kind, self._run)

    def stage(self, db: Connection, entry: Row) -> None:
        """Callbacks for an entry that has reached an end: as many as its plan says, held back when it says so."""
        plan = entry["plan"]
        # The first news was posted before the answer; late money after it is news again.
        if plan.get("callback_first") and "late_success" not in plan:
            return
        body = {"entry": entry["id"], "state": entry["state"]}
        if "held" in plan:
            body |= {"until": self._now() + float(plan["held"].get("seconds", LONGEST_HOLD_S)), "after": self._last(db)}
        for _ in range(plan.get("callbacks", 1)):
            self._errands.add(db, self._kind, body)

    def stage_false(self, db: Connection, entry: Row) -> None:
        """The callbacks nobody should believe that the plan of a request just taken on asks for."""
        for name in ("forged", "invented"):
            params = entry["plan"].get(name)
            if params is not None:
                body = {"entry": entry["id"], "false": name}
                self._errands.add(db, self._kind, body, delay_s=float(params.get("seconds", 0)))

    def now(self, entry: Mapping[Any, Any]) -> bool:
        """Post at once, as `callback_before_answer` wants it."""
        taken = self._post(entry)
        claim = "false" if entry["plan"].get("false") else entry["state"]
        row = {"wallet": self._wallet, "at": self._now(), "own_id": entry["own_id"], "claim": claim}
        with self._store.begin() as db:
            db.execute(insert(told).values(**row, taken=int(taken)))
        return taken

    def _last(self, db: Connection) -> int:
        return db.scalar(select(func.max(told.c.id)).where(told.c.wallet == self._wallet)) or 0

    def _run(self, body: Mapping[str, Any], _tries: int) -> float | None:
        entry: Mapping[Any, Any] = self._ledger.by_id(body["entry"])
        if "false" in body:
            self.now(_untrue(entry, body["false"]))
            return None
        # Late money is told again, under its new state; the older news is then no longer worth repeating.
        if entry["state"] != body["state"]:
            return None
        if "after" in body and self._now() < body["until"]:
            with self._store.read() as db:
                if self._last(db) <= body["after"]:
                    return LOOK_AGAIN_S
        if self.now(entry):
            return None
        # Counted by what was sent, for looking whether a callback may go yet counts as a try of the errand too.
        sent = self._sent(entry["own_id"], entry["state"])
        return None if sent >= self._most else min(self._retry_s * 2 ** (sent - 1), LONGEST_PAUSE_S)

    def _sent(self, own_id: str, claim: str) -> int:
        same = (told.c.wallet == self._wallet) & (told.c.own_id == own_id) & (told.c.claim == claim)
        with self._store.read() as db:
            return db.scalar(select(func.count()).select_from(told).where(same)) or 1


def _untrue(entry: Mapping[Any, Any], kind: str) -> dict[str, Any]:
    """A callback's claim that nothing stands behind: success of what was not paid, or of ids nobody knows."""
    claim = dict(entry) | {
        "state": "paid",
        "reason": None,
        "provider_txn_id": secrets.token_hex(5).upper(),
        "settled_at": entry["at"],
        "plan": {**entry["plan"], "false": kind},
    }
    if kind == "invented":
        claim |= {"own_id": str(uuid.uuid4()), "provider_ref": secrets.token_hex(16)}
    return claim
