"""What a wallet operator does with a request to pay: asks for the PIN, debits once, remembers, tells.

Shared by the operators of the box. Their protocols differ, their customers and their PIN prompts do not. This ledger
is the truth a test compares the product's books with: who was debited, how much, how often asked.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, or_, select, update

from mwolo.sandbox import phones as wallets
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.movements import Ahead, Movements, RefundAsk, WalkIn, shown
from mwolo.sandbox.phones import BRAND_NAMES
from mwolo.sandbox.store import Now, Row, Store, calls, entries, iso, major, prompts, requests

# A SIM lets nobody try a fourth time on one prompt.
MOST_TRIES = 3
FINAL = ("paid", "failed", "expired")

# What stands on the phone, by brand; in Kenya they ask in English. Phones of this age know no accents here.
_PROMPTS = {
    "mpesa": "Payer {shown} a MWOLO ({purpose})? Entrez votre PIN M-Pesa.",
    "airtel": "Vous payez {shown} a MWOLO ({purpose}). Entrez votre PIN Airtel Money pour confirmer.",
    "orange": "Paiement de {shown} a MWOLO ({purpose}). Entrez votre code secret Orange Money.",
    "KES": "Do you want to pay {shown} to MWOLO ({purpose})? Enter your M-PESA PIN.",
}

Outcome = Literal["paid", "wrong_pin", "no_funds", "declined"]
# Told, in the transaction that changed it, of every entry that reached an end: the operator stages its callback there.
Settled = Callable[[Connection, Row], None]
# What an operator does when somebody pays from its own menu: asks the product, takes the money, tells.
TakesWalkIn = Callable[[WalkIn], Row]
# What a unit of one currency is worth in another when an operator takes the wrong one: about right, in round numbers.
_RATES = {("CDF", "USD"): 1 / 2500, ("USD", "CDF"): 2500.0, ("KES", "USD"): 1 / 125}


@dataclass(frozen=True)
class Ask:
    """One request to pay as an operator understood it. `plan` holds the faults that decide its end.

    `asked_as` is kept for the operator's own answers: its words for what we keep in ours. `prompt`: what to show on the
    phone, where the merchant may say.
    """

    wallet: str
    own_id: str
    phone: str
    brand: str
    minor: int
    currency: str
    purpose: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    asked_as: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""


class OperatorLedger:
    """The entries of all operators, the prompts on the phones, and the purses behind them."""

    def __init__(
        self, store: Store, errands: Errands, now: Now, *, prompt_lifetime_s: float, ahead: Ahead | None = None
    ) -> None:
        self._store = store
        self._errands = errands
        self._now = now
        self._lifetime_s = prompt_lifetime_s
        self._settled: dict[str, list[Settled]] = {}
        self._walk_ins: dict[str, TakesWalkIn] = {}
        self.movements = Movements(store, errands, now, ahead)
        errands.on("prompt.expire", self._expire)
        errands.on("late.pay", self._pay_late)

    def on_settled(self, wallet: str, told: Settled) -> None:
        self._settled.setdefault(wallet, []).append(told)

    def on_walk_in(self, wallet: str, taken: TakesWalkIn) -> None:
        """Say how this operator takes money that its customers send by themselves; without it nobody is told."""
        self._walk_ins[wallet] = taken

    def walk_in(self, one: WalkIn) -> Row:
        """Somebody pays without us. Returns the movement. Raises NothingThere, or what the operator refuses with."""
        taken = self._walk_ins.get(one.wallet)
        if taken is not None:
            return taken(one)
        with self._store.begin() as db:
            return self.movements.walk_in(db, one)

    def refund(self, ask: RefundAsk) -> tuple[Row, bool]:
        """See `Movements.refund`."""
        return self.movements.refund(ask)

    def reverse(self, entry_id: int) -> Row:
        """See `Movements.reverse`."""
        return self.movements.reverse(entry_id)

    def ask(self, ask: Ask) -> tuple[Row, bool]:
        """Take a request on. Returns its entry, and whether it is new: an own id seen before changes nothing."""
        with self._store.begin() as db:
            known = self._by_own_id(db, ask.wallet, ask.own_id)
            if known is not None:
                return known, False
            entry = self._enter(db, ask)
            if "auto" in ask.plan:
                return self._decide_alone(db, entry), True
            reason = self._obstacle(db, ask)
            if reason is not None:
                return self._settle(db, entry, "failed", reason), True
            if "never_final" not in ask.plan:
                self._open_prompt(db, entry, ask)
                entry = self._entry(db, entry["id"])
            return entry, True

    def end(self, entry_id: int, state: str, reason: str | None = None) -> Row:
        """Bring an entry to an end without asking the payer, unless it has one."""
        with self._store.begin() as db:
            entry = self._entry(db, entry_id)
            if entry["state"] == "asked":
                if state == "paid":
                    return self._pay(db, entry)
                return self._settle(db, entry, state, reason)
            return entry

    def open_prompts(self, phone: str | None = None) -> list[dict[str, Any]]:
        joined = select(prompts, entries.c.minor, entries.c.currency, entries.c.brand).join(
            entries, entries.c.id == prompts.c.entry_id
        )
        query = joined.where(prompts.c.closed.is_(None)).order_by(prompts.c.id)
        with self._store.read() as db:
            rows = db.execute(query if phone is None else query.where(prompts.c.phone == phone)).mappings().all()
        return [_shown(row) for row in rows]

    def answer(self, phone: str, *, pin: str | None, prompt_id: int | None = None) -> Outcome | None:
        """The payer types a PIN, or declines (`pin` None). None when no prompt is open on this phone."""
        with self._store.begin() as db:
            here = select(prompts).where(prompts.c.phone == phone, prompts.c.closed.is_(None)).order_by(prompts.c.id)
            prompt = db.execute(here if prompt_id is None else here.where(prompts.c.id == prompt_id)).mappings().first()
            if prompt is None:
                return None
            entry = self._entry(db, prompt["entry_id"])
            if pin is None:
                self._settle(db, entry, "failed", "declined")
                return "declined"
            owner = wallets.find(db, phone)
            if owner is None or pin != owner["wallet_pin"]:
                return self._wrong_pin(db, prompt, entry)
            return self._approved(db, entry)

    def entry(self, wallet: str, reference: str) -> Row | None:
        """An entry by our own id, the operator's reference, or the transaction id."""
        is_it = or_(
            entries.c.own_id == reference,
            entries.c.provider_ref == reference,
            entries.c.provider_txn_id == reference,
        )
        with self._store.read() as db:
            return db.execute(select(entries).where(entries.c.wallet == wallet, is_it)).mappings().first()

    def by_id(self, entry_id: int) -> Row:
        with self._store.read() as db:
            return self._entry(db, entry_id)

    def holder(self, entry_id: int) -> str | None:
        """Whose entry it is; None when there is none."""
        with self._store.read() as db:
            return db.scalar(select(entries.c.wallet).where(entries.c.id == entry_id))

    def wait_until_final(self, entry_id: int, timeout_s: float) -> Row:
        """Wait for the payer. Returns the entry as it then is; not final when the time or the box is over."""
        self._store.bell.wait_for(lambda: self.by_id(entry_id)["state"] in FINAL, timeout_s)
        return self.by_id(entry_id)

    def note_request(self, wallet: str, operation: str, own_id: str | None, answer: str) -> None:
        """Remember that the operator was called: how often it was asked for the same money is a finding."""
        row = {"wallet": wallet, "at": self._now(), "operation": operation, "own_id": own_id, "answer": answer}
        with self._store.begin() as db:
            db.execute(insert(requests).values(row))

    def report(self, wallet: str) -> dict[str, Any]:
        """The operator's own books: every entry, what was really paid per currency, every call it got."""
        mine = entries.c.wallet == wallet
        with self._store.read() as db:
            rows = db.execute(select(entries).where(mine).order_by(entries.c.id)).mappings().all()
            got = db.execute(select(requests).where(requests.c.wallet == wallet).order_by(requests.c.id)).mappings()
            asked = [{**{k: row[k] for k in ("operation", "own_id", "answer")}, "at": iso(row["at"])} for row in got]
            sums = db.execute(
                select(entries.c.currency, func.sum(entries.c.minor))
                .where(mine, entries.c.state == "paid", entries.c.reversed == 0)
                .group_by(entries.c.currency)
            )
            paid = {currency: major(total, currency) for currency, total in sums}
        moved = [shown(row) for row in self.movements.of(wallet)]
        by_kind = {
            "refunds": [one for one in moved if one["kind"] == "refund"],
            "reversals": [one for one in moved if one["kind"] == "reversal"],
            "walk_ins": [one for one in moved if one["kind"] == "walk_in"],
        }
        booked = [_booked(row) for row in rows]
        money = {"total_paid": paid, "held": self.movements.held(wallet)}
        return {"wallet": wallet, "entries": booked, **money, **by_kind, "requests": asked}

    def _enter(self, db: Connection, ask: Ask) -> Row:
        row = {
            "wallet": ask.wallet,
            "own_id": ask.own_id,
            "provider_ref": secrets.token_hex(16),
            "phone": ask.phone,
            "brand": ask.brand,
            "minor": ask.minor,
            "currency": ask.currency,
            "state": "asked",
            "at": self._now(),
            "prompts": 0,
            "reversed": 0,
            "plan": dict(ask.plan),
            "asked_as": dict(ask.asked_as),
        }
        key = db.execute(insert(entries).values(row)).inserted_primary_key
        assert key is not None
        return self._entry(db, key[0])

    def _decide_alone(self, db: Connection, entry: Row) -> Row:
        """A test number of the operator's own sandbox: an end without a payer, a prompt or a purse."""
        state, reason = entry["plan"]["auto"]
        if state == "asked":
            return entry
        if state == "paid":
            number = {"provider_txn_id": secrets.token_hex(5).upper()}
            db.execute(update(entries).where(entries.c.id == entry["id"]).values(number))
        return self._settle(db, entry, state, reason)

    def _obstacle(self, db: Connection, ask: Ask) -> str | None:
        """Why this payer cannot even be asked."""
        if "refused" in ask.plan:
            return str(ask.plan["refused"])
        owner = wallets.find(db, ask.phone)
        if owner is None or owner["brand"] != ask.brand:
            return "payer_unknown"
        # A prompt is a USSD session of its own: a phone has room for one.
        in_call = select(calls.c.id).where(calls.c.phone == ask.phone, calls.c.ended.is_(None))
        asked_already = select(prompts.c.id).where(prompts.c.phone == ask.phone, prompts.c.closed.is_(None))
        busy = db.execute(in_call).first() is not None or db.execute(asked_already).first() is not None
        return "busy" if busy else None

    def _open_prompt(self, db: Connection, entry: Row, ask: Ask) -> None:
        late = ask.plan.get("late_success") or {}
        lifetime_s = float(late.get("expire_after", self._lifetime_s))
        opened = self._now()
        shown = f"{major(ask.minor, ask.currency)} {ask.currency}"
        words = _PROMPTS.get("KES" if ask.currency == "KES" else ask.brand, _PROMPTS["mpesa"])
        text = ask.prompt or words.format(shown=shown, purpose=ask.purpose)
        row = {
            "entry_id": entry["id"],
            "wallet": ask.wallet,
            "phone": ask.phone,
            "text": text,
            "opened": opened,
            "expires": opened + lifetime_s,
            "tries": 0,
        }
        key = db.execute(insert(prompts).values(row)).inserted_primary_key
        assert key is not None
        self._errands.add(db, "prompt.expire", {"prompt": key[0]}, delay_s=lifetime_s)
        db.execute(update(entries).where(entries.c.id == entry["id"]).values(prompts=entry["prompts"] + 1))

    def _wrong_pin(self, db: Connection, prompt: Row, entry: Row) -> Outcome:
        tries = prompt["tries"] + 1
        db.execute(update(prompts).where(prompts.c.id == prompt["id"]).values(tries=tries))
        if tries >= MOST_TRIES:
            self._settle(db, entry, "failed", "wrong_pin")
        return "wrong_pin"

    def _approved(self, db: Connection, entry: Row) -> Outcome:
        """The right PIN. Three plans spoil it; otherwise the purse decides."""
        plan = entry["plan"]
        if "no_funds" in plan:
            self._settle(db, entry, "failed", "no_funds")
            return "no_funds"
        if "late_success" in plan:
            # The phone says it went through; the operator's own clock ran out first, and it will find out later.
            self._settle(db, entry, "expired", "expired")
            self._errands.add(db, "late.pay", {"entry": entry["id"]}, delay_s=_late_s(plan))
            return "paid"
        return "paid" if self._pay(db, entry)["state"] == "paid" else "no_funds"

    def _pay(self, db: Connection, entry: Row) -> Row:
        minor, currency = _money_taken(entry)
        if not wallets.debit(db, entry["phone"], currency, minor):
            return self._settle(db, entry, "failed", "no_funds")
        taken = {"minor": minor, "currency": currency, "provider_txn_id": secrets.token_hex(5).upper()}
        db.execute(update(entries).where(entries.c.id == entry["id"]).values(taken))
        return self._settle(db, entry, "paid", None)

    def _settle(self, db: Connection, entry: Row, state: str, reason: str | None) -> Row:
        now = self._now()
        end = {"state": state, "reason": reason, "settled_at": now}
        db.execute(update(entries).where(entries.c.id == entry["id"]).values(end))
        open_one = (prompts.c.entry_id == entry["id"]) & prompts.c.closed.is_(None)
        db.execute(update(prompts).where(open_one).values(closed=now))
        settled = self._entry(db, entry["id"])
        if state == "paid":
            self.movements.paid(db, settled)
        for told in self._settled.get(entry["wallet"], ()):
            told(db, settled)
        return settled

    def _expire(self, body: Mapping[str, Any], _tries: int) -> None:
        with self._store.begin() as db:
            prompt = db.execute(select(prompts).where(prompts.c.id == body["prompt"])).mappings().one()
            if prompt["closed"] is not None:
                return
            entry = self._entry(db, prompt["entry_id"])
            self._settle(db, entry, "expired", "expired")
            if "late_success" in entry["plan"]:
                self._errands.add(db, "late.pay", {"entry": entry["id"]}, delay_s=_late_s(entry["plan"]))

    def _pay_late(self, body: Mapping[str, Any], _tries: int) -> None:
        with self._store.begin() as db:
            entry = self._entry(db, body["entry"])
            if entry["state"] == "expired":
                self._pay(db, entry)

    def _entry(self, db: Connection, entry_id: int) -> Row:
        return db.execute(select(entries).where(entries.c.id == entry_id)).mappings().one()

    def _by_own_id(self, db: Connection, wallet: str, own_id: str) -> Row | None:
        same = select(entries).where(entries.c.wallet == wallet, entries.c.own_id == own_id)
        return db.execute(same).mappings().first()


def _late_s(plan: Mapping[str, Any]) -> float:
    return float(plan["late_success"].get("seconds", 5))


def _money_taken(entry: Row) -> tuple[int, str]:
    """What is debited: what was asked for, unless a fault says otherwise (by default a hundred units less)."""
    asked: int = entry["minor"]
    foreign, wrong = entry["plan"].get("wrong_currency"), entry["plan"].get("wrong_amount")
    if foreign is not None:
        currency = str(foreign.get("currency") or ("CDF" if entry["currency"] == "USD" else "USD"))
        if "amount" in foreign:
            return round(float(foreign["amount"]) * 100), currency
        worth = round(asked * _RATES.get((entry["currency"], currency), 1.0))
        return max(worth if currency == "USD" else worth // 100 * 100, 1_00), currency
    if wrong is None:
        return asked, entry["currency"]
    if "amount" in wrong:
        return round(float(wrong["amount"]) * 100), entry["currency"]
    return max(asked - 100_00, 1_00), entry["currency"]


def _shown(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "wallet": row["wallet"],
        "phone": row["phone"],
        "brand": row["brand"],
        "brand_name": BRAND_NAMES.get(row["brand"] or "", row["brand"]),
        "amount": major(row["minor"], row["currency"]),
        "currency": row["currency"],
        "text": row["text"],
        "tries_left": MOST_TRIES - row["tries"],
        "at": iso(row["opened"]),
        "expires_at": iso(row["expires"]),
    }


def _booked(row: Row) -> dict[str, Any]:
    kept = ("id", "own_id", "provider_ref", "provider_txn_id", "phone", "currency", "state", "reason", "prompts")
    return {
        **{name: row[name] for name in kept},
        "at": iso(row["at"]),
        "settled_at": iso(row["settled_at"]),
        "amount": major(row["minor"], row["currency"]),
        "reversed": bool(row["reversed"]),
    }
