"""What can be made to go wrong, and the switchboard that hands each fault out as often as was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from mwolo.sandbox.store import Store, faults

_WALLET = (
    "slow",
    "lost_answer",
    "error_after_accept",
    "error_before_accept",
    "lost_callback",
    "duplicate_callback",
    "callback_before_answer",
    "late_success",
    "refused",
    "no_funds",
    "wrong_amount",
    "overloaded",
    "never_final",
)
# Everything an operator of the box can be made to do wrong. Which of it one plays, it says itself (`Faults.plays`).
WALLET_FAULTS = (
    *_WALLET,
    "reordered_callbacks",
    "wrong_currency",
    "unknown_reference",
    "forged_callback",
    "expired_token",
    "throttled",
    "clock_skew",
    "reversed",
)
WALLETS = ("vodacom", "pawapay", "airtel", "orange", "mpesa_ke")
# What each target knows before its operator has said what it plays.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "vodacom": (*_WALLET, "reversed", "expired_session", "not_indexed"),
    "pawapay": (*_WALLET, "reversed", "bad_signature"),
    **dict.fromkeys(("airtel", "orange", "mpesa_ke"), WALLET_FAULTS),
    "africastalking": (
        "sms_refused",
        "sms_slow",
        "sms_lost_answer",
        "delivery_lost",
        "delivery_failed",
        "delivery_before_answer",
        "inbound_duplicate",
        "inbound_new_id",
        "inbound_late",
        "ussd_duplicate",
        "ussd_no_end",
    ),
    # Said by `mail.py` again, which plays them.
    "email": ("mail_refused", "mail_later", "mail_slow", "mail_lost_answer", "mail_bounced"),
    "meters": ("drop", "duplicate", "delay", "replay"),
}


class UnknownFault(ValueError):
    """There is no such target or fault. The text says which there are."""


class Faults:
    """Faults wait here until they are used up. `times` 0 lasts until cleared."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.read() as db:
            # Which faults may be waiting. Most requests meet none, and need not ask the database to learn it; one too
            # many in here costs a look, one too few cannot be, because this process alone writes the table.
            self._armed = {(row["target"], row["fault"]) for row in db.execute(select(faults)).mappings()}
        self._known: dict[str, tuple[str, ...]] = dict(KNOWN)
        self._declared: set[str] = set()

    @property
    def known(self) -> Mapping[str, tuple[str, ...]]:
        """The faults each target plays."""
        return self._known

    def plays(self, target: str, names: Iterable[str]) -> None:
        """An operator says which faults it plays; said twice for one target (two protocols), both hold."""
        said = self._known[target] if target in self._declared else ()
        self._declared.add(target)
        self._known[target] = tuple(dict.fromkeys((*said, *names)))

    def check(self, target: str, fault: str) -> None:
        """Raise UnknownFault unless the target plays this fault."""
        known(target, fault, self._known)

    def put(self, target: str, fault: str, *, times: int, phone: str | None, params: Mapping[str, Any]) -> None:
        self.check(target, fault)
        row = {"target": target, "fault": fault, "left": times, "endless": int(times == 0), "phone": phone}
        with self._store.begin() as db:
            db.execute(insert(faults).values(**row, params=dict(params)))
            self._armed.add((target, fault))

    def clear(self, target: str | None = None) -> None:
        with self._store.begin() as db:
            db.execute(delete(faults) if target is None else delete(faults).where(faults.c.target == target))

    def listed(self) -> dict[str, list[dict[str, Any]]]:
        """The faults still waiting, by target; `times` is what is left, 0 without end."""
        waiting: dict[str, list[dict[str, Any]]] = {target: [] for target in self._known}
        with self._store.read() as db:
            for row in db.execute(select(faults).order_by(faults.c.id)).mappings():
                times = 0 if row["endless"] else row["left"]
                one = {"fault": row["fault"], "times": times, "phone": row["phone"], "params": row["params"]}
                waiting.setdefault(row["target"], []).append(one)
        return waiting

    def skew_s(self, target: str, phone: str | None = None) -> float:
        """Seconds by which this operator's clock is off, 0 usually. `clock_skew` lasts until cleared, however put."""
        if (target, "clock_skew") not in self._armed:
            return 0.0
        here = select(faults).where(faults.c.target == target, faults.c.fault == "clock_skew").order_by(faults.c.id)
        with self._store.read() as db:
            fits = [row["params"] for row in db.execute(here).mappings() if row["phone"] in (None, phone)]
        return float(fits[0].get("seconds", 3600)) if fits else 0.0

    def take(
        self, target: str, fault: str, phone: str | None = None, *, operation: str | None = None
    ) -> dict[str, Any] | None:
        """Use one of this fault up and return its params; None when there is none for this phone.

        `operation`: which of the partner's calls is under way; a fault asks for another one with `params.operation`.
        """
        if (target, fault) not in self._armed:
            return None
        with self._store.begin() as db:
            return self.take_within(db, target, fault, phone, operation=operation)

    def take_within(
        self, db: Connection, target: str, fault: str, phone: str | None = None, *, operation: str | None = None
    ) -> dict[str, Any] | None:
        """`take` in the caller's own write transaction."""
        if (target, fault) not in self._armed:
            return None
        here = select(faults).where(faults.c.target == target, faults.c.fault == fault).order_by(faults.c.id)
        for row in db.execute(here).mappings().all():
            params: dict[str, Any] = row["params"]
            if row["phone"] not in (None, phone) or params.get("operation", operation) != operation:
                continue
            if not row["endless"]:
                if row["left"] <= 1:
                    db.execute(delete(faults).where(faults.c.id == row["id"]))
                else:
                    db.execute(update(faults).where(faults.c.id == row["id"]).values(left=row["left"] - 1))
            return params
        return None


def known(target: str, fault: str, among: Mapping[str, tuple[str, ...]] = KNOWN) -> None:
    """Raise UnknownFault unless the target has this fault."""
    if target not in among:
        raise UnknownFault(f"There is no target {target!r}; there are {', '.join(among)}.")
    if fault not in among[target]:
        raise UnknownFault(f"{target} knows no fault {fault!r}; it knows {', '.join(among[target])}.")
