"""Keypad meters: boxes on a wall without a radio. Digits are typed on them; they count days, and know nothing of us.

A device keeps its key, its starting code, its counter and the counts it has seen, as the firmware's library does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openpaygo import TokenType, decode_token
from sqlalchemy import JSON, Column, Float, Integer, Table, Text, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mwolo.sandbox.store import Now, Row, Store, iso, metadata
from mwolo.sandbox.town import NoMeter

_DAY_S = 86_400
_KEY_DIGITS = 32
_CODE_MAX = 999_999_999
_HISTORY = 20
# What a new device has seen: without any count the library's decoder accepts a token twice.
_NEW = (1,)

keypads = Table(
    "keypad",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key_hex", Text, nullable=False),
    Column("starting_code", Integer, nullable=False),
    Column("divider", Integer, nullable=False),
    Column("account", Text),
    Column("count", Integer, nullable=False),
    Column("used_counts", JSON, nullable=False),
    # Until when it gives power, in seconds since 1970 of the town's clock; 0 when it never did.
    Column("until", Float, nullable=False),
    Column("history", JSON, nullable=False),
)


class Keypads:
    """All keypad meters of the box. `ahead`: seconds by which the town's clock is ahead of the real one."""

    def __init__(self, store: Store, now: Now, ahead: Callable[[], float] | None) -> None:
        self._store = store
        self._now = now
        self._ahead = ahead or (lambda: 0.0)

    def seed(self, meter: Mapping[str, Any]) -> None:
        """Put a device on a wall; `typed` are tokens that were typed on it before the town began, `typed_at` when.

        One that hangs there keeps what it knows. Raises KeyError, TypeError, ValueError.
        """
        key, code = str(meter["key"]), int(meter["starting_code"])
        if len(bytes.fromhex(key)) * 2 != _KEY_DIGITS or not 1 <= code <= _CODE_MAX:
            raise ValueError("a keypad needs a key of 32 hexadecimal digits and a starting code")
        row = {
            "id": str(meter["id"]),
            "key_hex": key,
            "starting_code": code,
            "divider": int(meter.get("divider") or 1),
            "account": meter.get("account"),
            "count": _NEW[0],
            "used_counts": list(_NEW),
            "until": 0.0,
            "history": [],
        }
        with self._store.begin() as db:
            new = db.execute(upsert(keypads).values(row).on_conflict_do_nothing())
        if new.rowcount:
            for token in meter.get("typed") or ():
                self.type_token(str(row["id"]), str(token), at=float(meter["typed_at"]))

    def has(self, meter_id: str) -> bool:
        with self._store.read() as db:
            return db.scalar(select(keypads.c.id).where(keypads.c.id == meter_id)) is not None

    def listed(self) -> list[dict[str, Any]]:
        with self._store.read() as db:
            return [self._shown(row) for row in db.execute(select(keypads).order_by(keypads.c.id)).mappings()]

    def one(self, meter_id: str) -> dict[str, Any]:
        """One device with what was typed on it lately, the newest first. Raises NoMeter."""
        with self._store.read() as db:
            row = db.execute(select(keypads).where(keypads.c.id == meter_id)).mappings().first()
        if row is None:
            raise NoMeter(f"The box has no keypad meter {meter_id!r}.")
        return {**self._shown(row), "history": list(row["history"])}

    def type_token(self, meter_id: str, typed: str, *, at: float | None = None) -> dict[str, Any]:
        """What the device makes of these digits: accepted (with the days added), already_used or wrong.

        `at`: when, in the town's seconds; now if it is not given. Raises NoMeter.
        """
        token = "".join(c for c in typed if c.isdecimal() and c.isascii())
        at = self._town_now() if at is None else at
        with self._store.begin() as db:
            row = db.execute(select(keypads).where(keypads.c.id == meter_id)).mappings().first()
            if row is None:
                raise NoMeter(f"The box has no keypad meter {meter_id!r}.")
            outcome, days, memory = _judged(row, token)
            if outcome == "accepted":
                memory["until"] = max(row["until"], at) + days * _DAY_S
            said = {"at": iso(at), "outcome": outcome, "days_added": days}
            memory["history"] = [said, *row["history"]][:_HISTORY]
            db.execute(update(keypads).where(keypads.c.id == meter_id).values(memory))
        return {"outcome": outcome, "days_added": days, "meter": self.one(meter_id)}

    def _town_now(self) -> float:
        return self._now() + self._ahead()

    def _shown(self, row: Row) -> dict[str, Any]:
        left_s = max(0.0, row["until"] - self._town_now())
        return {
            "id": row["id"],
            "kind": "keypad",
            "account": row["account"],
            "supply": "on" if left_s else "off",
            "days_left": round(left_s / _DAY_S, 2),
            "until": iso(row["until"]) if row["until"] else None,
            "online": False,
        }


def _judged(row: Row, token: str) -> tuple[str, float, dict[str, Any]]:
    """(outcome, days, what the device remembers from now on)."""
    if not 1 <= len(token) <= 9:
        return "wrong", 0, {}
    value, what, count, used = decode_token(
        token=token,
        secret_key=row["key_hex"],
        count=row["count"],
        used_counts=list(row["used_counts"]),
        starting_code=row["starting_code"],
        value_divider=row["divider"],
    )
    if what == TokenType.ALREADY_USED:
        return "already_used", 0, {}
    if what != TokenType.ADD_TIME:
        return "wrong", 0, {}
    return "accepted", value, {"count": max(row["count"], count), "used_counts": used}
