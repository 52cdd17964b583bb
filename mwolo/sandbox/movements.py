"""Money that moved: payments, what was given back, what an operator took back, and what somebody sent without us.

Refunds and reversals never change the payment they undo: each is a line of its own that names it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from mwolo.sandbox import phones as wallets
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.store import Now, Row, Store, entries, iso, major, movements

# Seconds by which the product's business clock is ahead of the real one.
Ahead = Callable[[], float]
# Told, in the transaction that changed it: the operator stages its callback there.
Moved = Callable[[Connection, Row], None]
# Money in, of which later movements take back.
_INCOMING = ("payment", "walk_in")


class NothingThere(LookupError):
    """No such payment, or none that can be taken back. The text is one sentence."""


@dataclass(frozen=True)
class RefundAsk:
    """A request to give money back. `payment`: our own id, the operator's reference or the transaction id.

    `minor` None gives all back. `plan` may hold `refused` (a code) or `never_final`; `delay_s` until it is done, 0 at
    once. `asked_as`: what the operator's own answers repeat.
    """

    wallet: str
    own_id: str
    payment: str
    minor: int | None = None
    delay_s: float = 0.0
    plan: Mapping[str, Any] = field(default_factory=dict)
    asked_as: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WalkIn:
    """Money that somebody sends from the operator's own menu. `reference`: as typed."""

    wallet: str
    phone: str
    minor: int
    currency: str
    reference: str


class Movements:
    """The moved money of all operators. Amounts are hundredths."""

    def __init__(self, store: Store, errands: Errands, now: Now, ahead: Ahead | None = None) -> None:
        self._store = store
        self._errands = errands
        self._now = now
        self._ahead = ahead or (lambda: 0.0)
        self._refunded: dict[str, list[Moved]] = {}
        self._reversed: dict[str, list[Moved]] = {}
        errands.on("refund.settle", self._settle_later)
        errands.on("operator.reverse", self._reverse_later)

    def on_refunded(self, wallet: str, told: Moved) -> None:
        """`told` hears of every refund of this wallet that reached an end."""
        self._refunded.setdefault(wallet, []).append(told)

    def on_reversed(self, wallet: str, told: Moved) -> None:
        """`told` hears of every payment of this wallet that the operator took back."""
        self._reversed.setdefault(wallet, []).append(told)

    def ahead_s(self) -> float:
        """Seconds by which the product's business clock is ahead of the real one."""
        return self._ahead()

    # -- money in

    def paid(self, db: Connection, entry: Row) -> None:
        """Note a payment whose entry has just been paid; plans of its later fate begin here."""
        asked = entry["asked_as"]
        row = {
            "entry_id": entry["id"],
            "own_id": entry["own_id"],
            "provider_ref": entry["provider_ref"],
            "provider_txn_id": entry["provider_txn_id"],
            "reference": asked.get("reference") or asked.get("clientReferenceId"),
        }
        self._write(db, entry["wallet"], "payment", entry["phone"], entry["minor"], entry["currency"], row)
        fate = entry["plan"].get("reversed")
        if fate is not None:
            self._errands.add(db, "operator.reverse", {"entry": entry["id"]}, delay_s=float(fate.get("seconds", 5)))

    def walk_in(self, db: Connection, one: WalkIn) -> Row:
        """Take money that nobody asked for. Raises NothingThere when the purse does not hold it."""
        if not wallets.debit(db, one.phone, one.currency, one.minor):
            raise NothingThere(f"The purse of {one.phone} does not hold that much {one.currency}.")
        row = {"provider_txn_id": secrets.token_hex(5).upper(), "reference": one.reference}
        return self._write(db, one.wallet, "walk_in", one.phone, one.minor, one.currency, row)

    # -- money out

    def refund(self, ask: RefundAsk) -> tuple[Row, bool]:
        """Take a refund on. Returns it, and whether it is new: an own id seen before changes nothing.

        One that cannot be is failed at once, its reason: `unknown_payment`, `reversed`, `too_much`, or the plan's code.
        """
        with self._store.begin() as db:
            known = self._refund_by(db, ask.wallet, ask.own_id)
            if known is not None:
                return known, False
            original = self._incoming(db, ask.wallet, ask.payment)
            left = 0 if original is None else original["minor"] - self._gone(db, original)
            minor = left if ask.minor is None else ask.minor
            row = {
                "original_id": None if original is None else original["id"],
                "own_id": ask.own_id,
                "plan": dict(ask.plan),
                "asked_as": dict(ask.asked_as),
                "state": "asked",
            }
            phone, currency = ("", "") if original is None else (original["phone"], original["currency"])
            refund = self._write(db, ask.wallet, "refund", phone, minor, currency, row)
            reason = _refusal(ask, original, minor, left)
            if reason is not None:
                return self._end_refund(db, refund, reason), True
            if ask.delay_s > 0:
                self._errands.add(db, "refund.settle", {"refund": refund["id"]}, delay_s=ask.delay_s)
                return refund, True
            return (refund if "never_final" in ask.plan else self._end_refund(db, refund, None)), True

    def refund_of(self, wallet: str, reference: str) -> Row | None:
        """A refund by our own id, the operator's reference, or its transaction id."""
        with self._store.read() as db:
            return self._refund_by(db, wallet, reference)

    def reverse(self, entry_id: int) -> Row:
        """The operator takes a payment back. Returns the reversal. Raises NothingThere."""
        with self._store.begin() as db:
            here = select(movements).where(movements.c.entry_id == entry_id, movements.c.kind == "payment")
            original = db.execute(here).mappings().first()
            if original is None:
                raise NothingThere(f"No payment {entry_id} was ever made.")
            return self._reverse(db, original)

    def reverse_named(self, wallet: str, reference: str) -> Row:
        """The same by any id of the payment, also of money that came without us. Raises NothingThere."""
        with self._store.begin() as db:
            original = self._incoming(db, wallet, reference)
            if original is None:
                raise NothingThere(f"{wallet} knows no payment {reference!r}.")
            return self._reverse(db, original)

    # -- reading

    def of(self, wallet: str, kind: str | None = None) -> list[Row]:
        """All movements of an operator, oldest first."""
        query = select(movements).where(movements.c.wallet == wallet).order_by(movements.c.id)
        with self._store.read() as db:
            return list(db.execute(query if kind is None else query.where(movements.c.kind == kind)).mappings())

    def held(self, wallet: str) -> dict[str, str]:
        """What an operator holds for the merchant, per currency: all that came, less all that went back."""
        sums: dict[str, int] = {}
        for row in self.of(wallet):
            if row["state"] == "paid":
                way = 1 if row["kind"] in _INCOMING else -1
                sums[row["currency"]] = sums.get(row["currency"], 0) + way * row["minor"]
        return {currency: major(minor, currency) for currency, minor in sums.items()}

    def between(self, wallet: str, currency: str, start: float, end: float) -> list[Row]:
        """What really moved in [start, end) of business time, oldest first."""
        here = (movements.c.wallet == wallet) & (movements.c.currency == currency) & (movements.c.state == "paid")
        inside = (movements.c.books_at >= start) & (movements.c.books_at < end)
        with self._store.read() as db:
            return list(db.execute(select(movements).where(here, inside).order_by(movements.c.id)).mappings())

    def one(self, movement_id: int) -> Row:
        with self._store.read() as db:
            return self._row(db, movement_id)

    # -- inside

    def _write(
        self,
        db: Connection,
        wallet: str,
        kind: str,
        phone: str,
        minor: int,
        currency: str,
        more: Mapping[str, Any],
    ) -> Row:
        now = self._now()
        row = {
            "wallet": wallet,
            "kind": kind,
            "phone": phone,
            "minor": minor,
            "currency": currency,
            "provider_ref": secrets.token_hex(16),
            "state": "paid",
            "at": now,
            "plan": {},
            "asked_as": {},
            **more,
        }
        if row["state"] == "paid":
            row |= {"settled_at": now, "books_at": now + self._ahead()}
        key = db.execute(insert(movements).values(row)).inserted_primary_key
        assert key is not None
        return self._row(db, key[0])

    def _end_refund(self, db: Connection, refund: Row, reason: str | None) -> Row:
        now = self._now()
        end: dict[str, Any] = {"state": "failed", "reason": reason, "settled_at": now}
        if reason is None:
            wallets.credit(db, refund["phone"], refund["currency"], refund["minor"])
            number = secrets.token_hex(5).upper()
            end |= {"state": "paid", "provider_txn_id": number, "books_at": now + self._ahead()}
        db.execute(update(movements).where(movements.c.id == refund["id"]).values(end))
        ended = self._row(db, refund["id"])
        for told in self._refunded.get(refund["wallet"], ()):
            told(db, ended)
        return ended

    def _reverse(self, db: Connection, original: Row) -> Row:
        left = original["minor"] - self._gone(db, original)
        if left <= 0:
            raise NothingThere("All of that payment has gone back already.")
        wallets.credit(db, original["phone"], original["currency"], left)
        row = {
            "entry_id": original["entry_id"],
            "original_id": original["id"],
            "provider_txn_id": secrets.token_hex(5).upper(),
            "reference": original["reference"],
        }
        back = self._write(db, original["wallet"], "reversal", original["phone"], left, original["currency"], row)
        if original["entry_id"] is not None:
            db.execute(update(entries).where(entries.c.id == original["entry_id"]).values(reversed=1))
        for told in self._reversed.get(original["wallet"], ()):
            told(db, back)
        return back

    def _settle_later(self, body: Mapping[str, Any], _tries: int) -> None:
        with self._store.begin() as db:
            refund = self._row(db, body["refund"])
            if refund["state"] == "asked" and "never_final" not in refund["plan"]:
                self._end_refund(db, refund, None)

    def _reverse_later(self, body: Mapping[str, Any], _tries: int) -> None:
        try:
            self.reverse(body["entry"])
        except NothingThere:
            # A refund or a hand on the page was quicker; nothing is left to take back.
            return

    def _gone(self, db: Connection, original: Row) -> int:
        """What has been given or taken back of a payment, or is on its way."""
        back = select(func.sum(movements.c.minor)).where(
            movements.c.original_id == original["id"], movements.c.state != "failed"
        )
        return db.scalar(back) or 0

    def _incoming(self, db: Connection, wallet: str, reference: str) -> Row | None:
        here = select(movements).where(movements.c.wallet == wallet, movements.c.kind.in_(_INCOMING), _is(reference))
        return db.execute(here).mappings().first()

    def _refund_by(self, db: Connection, wallet: str, reference: str) -> Row | None:
        here = select(movements).where(movements.c.wallet == wallet, movements.c.kind == "refund", _is(reference))
        return db.execute(here).mappings().first()

    def _row(self, db: Connection, movement_id: int) -> Row:
        return db.execute(select(movements).where(movements.c.id == movement_id)).mappings().one()


def shown(row: Row) -> dict[str, Any]:
    """A movement as the box's API tells it."""
    kept = ("id", "kind", "own_id", "provider_ref", "provider_txn_id", "phone", "currency", "reference", "reason")
    return {
        **{name: row[name] for name in kept},
        "payment": row["original_id"],
        "entry": row["entry_id"],
        "amount": major(row["minor"], row["currency"]),
        "state": row["state"],
        "at": iso(row["at"]),
        "settled_at": iso(row["settled_at"]),
    }


def _is(reference: str) -> Any:
    return or_(
        movements.c.own_id == reference,
        movements.c.provider_ref == reference,
        movements.c.provider_txn_id == reference,
    )


def _refusal(ask: RefundAsk, original: Row | None, minor: int, left: int) -> str | None:
    if original is None:
        return "unknown_payment"
    if "refused" in ask.plan:
        return str(ask.plan["refused"])
    if left <= 0:
        return "reversed"
    return "too_much" if not 0 < minor <= left else None
