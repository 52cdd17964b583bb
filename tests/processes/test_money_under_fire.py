"""Each fault of an operator × a worker killed before the call, after the call, after the record: real processes.

At the end, whatever happened in between: charged at most once per attempt, booked exactly what was charged, the ledger
sums to zero, one receipt SMS per payment, every attempt has an end.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import select, text

from core.ledger.queries import differences, trial_balance
from core.outbox import OutboxRow
from core.payments.rules import OPEN
from core.payments.tables import AttemptRow, PaymentRow
from mwolo.scenarios.story import StepFailed
from tests.processes.crashing_worker import POINTS
from tests.processes.town import Town, town

pytestmark = pytest.mark.processes

COMMON = (
    "none", "slow", "lost_answer", "error_after_accept", "error_before_accept", "late_success", "refused", "no_funds",
    "overloaded",
)  # fmt: skip
FAULTS: Mapping[str, tuple[str, ...]] = {
    "vodacom": (*COMMON, "expired_session"),
    "pawapay": (*COMMON, "lost_callback", "duplicate_callback", "callback_before_answer"),
}
BRANDS = {"vodacom": "mpesa", "pawapay": "airtel"}
# Both kinds of operator, the one with a call that stays open and the one with callbacks.
ROUTES = "mpesa=vodacom,airtel=pawapay,orange=pawapay"
PARAMS: Mapping[str, Mapping[str, float]] = {"slow": {"seconds": 1}, "late_success": {"seconds": 3}}
AMOUNT = 5000
AT_ONCE = 12
ROUNDS = 12


@pytest.fixture(scope="module")
def burning() -> Iterator[Town]:
    with town(environment={"MWOLO_WALLET_ROUTES": ROUTES}, mortal=True) as place:
        yield place


class Crowd:
    """Customers who type their PIN as soon as they are asked."""

    def __init__(self, place: Town) -> None:
        self._place = place
        self._pins = {c["phone"]: str(c["wallet_pin"]) for c in place.ready["customers"]}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer, name="crowd")

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _answer(self) -> None:
        while not self._stop.wait(0.2):
            for prompt in self._place.box.get("prompts"):
                try:
                    self._place.box.phone(prompt["phone"]).enters_pin(self._pins[prompt["phone"]])
                except StepFailed:
                    continue  # it expired meanwhile


def confirm(place: Town, phone: str) -> str:
    """Pay 5 000 by shortcut: one dial, one confirmation."""
    handset = place.box.phone(phone)
    screen = handset.dial(f"*123*8*{AMOUNT}#")
    return handset.types("1") if "1" in screen else screen


def attempts_of(place: Town, phone: str) -> list[AttemptRow]:
    with place.wiring.db.read() as session:
        return list(session.scalars(select(AttemptRow).where(AttemptRow.payer_phone == phone)))


def ledger(place: Town) -> list[Mapping[str, Any]]:
    return [e for wallet in FAULTS for e in place.box.get(f"wallets/{wallet}/ledger")["entries"]]


def all_ended(place: Town) -> bool:
    with place.wiring.db.read() as session:
        open_ones = session.scalar(select(AttemptRow.id).where(AttemptRow.state.in_(OPEN)).limit(1))
        waiting = session.scalar(
            select(OutboxRow.id).where(OutboxRow.state == text("'pending'"), OutboxRow.business_at.is_(None)).limit(1)
        )
    return open_ones is None and waiting is None


def booked_is_charged(place: Town) -> bool:
    charged = Counter(e["phone"] for e in ledger(place) if e["state"] == "paid")
    with place.wiring.db.read() as session:
        booked = Counter(
            session.scalars(select(AttemptRow.payer_phone).join(PaymentRow, PaymentRow.attempt_id == AttemptRow.id))
        )
    return charged == booked


def test_no_crash_charges_twice_or_loses_money(burning: Town) -> None:
    """The whole table, several customers at once, Redis emptied on the way."""
    cases: dict[str, tuple[str, str, str]] = {}
    for wallet, faults in FAULTS.items():
        pairs = [(fault, point) for fault in faults for point in POINTS]
        people = burning.customers(len(pairs), brand=BRANDS[wallet])
        for customer, (fault, point) in zip(people, pairs, strict=True):
            cases[customer["phone"]] = (wallet, fault, point)
    left = dict(cases)
    with Crowd(burning):
        for number in range(ROUNDS * len(cases)):
            if not left:
                break
            wave = dict(list(left.items())[:AT_ONCE])
            run_wave(burning, wave)
            for phone, (_, _, point) in wave.items():
                if not (burning.crashes / f"{point}~{phone}").exists():
                    del left[phone]
            if number == 3:
                burning.redis.flushall()
        assert not left, f"these crashes were never reached: {left}"
        burning.wait(lambda: all_ended(burning) and booked_is_charged(burning), "every attempt to end and be booked")
    check(burning, cases)


def run_wave(place: Town, wave: Mapping[str, tuple[str, str, str]]) -> None:
    before = {phone: len(attempts_of(place, phone)) for phone in wave}
    for phone, (wallet, fault, point) in wave.items():
        if fault != "none":
            body = {"target": wallet, "fault": fault, "times": 1, "phone": phone, "params": PARAMS.get(fault, {})}
            place.box.post("faults", body)
        place.arm(point, phone)
        confirm(place, phone)

    def over() -> bool:
        for phone, (_, _, point) in wave.items():
            mine = attempts_of(place, phone)
            if len(mine) <= before[phone]:
                continue  # its dial met a busy moment: the next wave has it again
            reached = not (place.crashes / f"{point}~{phone}").exists()
            if not reached and any(a.state in ("created", "submitting", "pending", "unknown") for a in mine):
                return False
        return True

    place.wait(over, "the wave's crashes, or the end of its attempts")


def check(place: Town, cases: Mapping[str, tuple[str, str, str]]) -> None:
    by_own_id: dict[str, int] = Counter()
    charged: dict[str, int] = Counter()
    for entry in ledger(place):
        if entry["state"] == "paid":
            by_own_id[entry["own_id"]] += 1
            charged[entry["phone"]] += int(float(entry["amount"]))
    assert all(times == 1 for times in by_own_id.values()), "an attempt was charged twice"
    with place.wiring.db.read() as session:
        payments = session.execute(
            select(AttemptRow.payer_phone, PaymentRow.amount_minor, PaymentRow.receipt_number).join(
                AttemptRow, AttemptRow.id == PaymentRow.attempt_id
            )
        ).all()
        balances = trial_balance(session)
        wrong = differences(session)
        dead = session.scalars(select(OutboxRow).where(OutboxRow.state == text("'dead'"))).all()
    booked: dict[str, int] = Counter()
    receipts: dict[str, list[str]] = defaultdict(list)
    for phone, minor, receipt in payments:
        booked[phone] += minor // 100
        receipts[phone].append(receipt)
    assert booked == charged, "what is booked is not what was charged"
    per_currency: dict[str, int] = defaultdict(int)
    for (_code, _owner, currency), total in balances.items():
        per_currency[currency] += total
    assert set(per_currency.values()) == {0}, "the ledger does not sum to zero"
    assert not wrong, f"cached balances differ: {wrong}"
    assert not [f"{row.kind}: {row.last_error}" for row in dead]
    for phone in cases:
        texts = [row["text"] for row in place.box.get("sms", phone=phone)]
        for receipt in receipts[phone]:
            assert sum(receipt in t for t in texts) == 1, f"{phone} {cases[phone]}: receipts {texts}"
        assert sum("R26" in t for t in texts) == len(receipts[phone])
