"""The payments service over Daraja's double: an STK payment, told by callback and by confirmation, is booked once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from channels.wallets.operators.mpesa_ke import MpesaKeConfig, MpesaKeWallet
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock, SystemClock
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import BillPayment, Malformed, RawCallback
from core.payments.tables import CallbackRow, PaymentRow
from core.services.payments import Payments
from mwolo.sandbox.serve import threaded_server
from tests.core.payments.scripted import Sessions, Till
from tests.mwolo.sandbox.box_rig import Box, Letter, until
from tests.mwolo.sandbox.daraja_rig import KENYA, DarajaCaller

TEN = Money.units(10, "KES")
DOOR = "/hooks/s/t"


class KenyanTill(Till):
    """A contract in shillings with one invoice of ten, and the box's Daraja to collect it."""

    def __init__(self, db: Database, clock: FixedClock, box: Box, address: str) -> None:
        super().__init__(db, clock, currency="KES")
        self.box = box
        self.daraja = MpesaKeWallet(
            MpesaKeConfig(
                consumer_key=box.config.daraja_consumer_key,
                consumer_secret=box.config.daraja_consumer_secret,
                passkey=box.config.daraja_passkey,
                short_code=box.config.daraja_short_code,
                base_url=address,
            ),
            http=PartnerHttp("mpesa_ke"),
            clock=SystemClock(),
        )
        door = {"mpesa_ke": box.product.url(DOOR)}
        wallets = {"mpesa_ke": self.daraja}
        self.payments = Payments(db, clock, wallets, {"mpesa": ("mpesa_ke",)}, Sessions(), callback_bases=door)
        found = self.daraja.register_bill_number(f"{door['mpesa_ke']}/validate", f"{door['mpesa_ke']}/confirm")
        assert found.ok

    @property
    def account(self) -> str:
        with self.db.read() as session:
            return session.get_one(ContractRow, self.contract_id).account_number

    def pushed(self, **fault: Any) -> str:
        if fault:
            self.box.fault("mpesa_ke", **fault)
        attempt_id = self.begin(payer_phone=KENYA, asked_by_phone=KENYA, amount=TEN)
        self.payments.push(attempt_id)
        return attempt_id

    def letters(self, kind: str, attempt_id: str = "") -> list[Letter]:
        path = f"{DOOR}/{kind}/{attempt_id}" if attempt_id else f"{DOOR}/{kind}"
        return self.box.product.at(path)

    def hear(self, letter: Letter) -> CallbackRow:
        """What the door would store of a letter, settled."""
        kind, _, attempt_id = letter.path.removeprefix(f"{DOOR}/").partition("/")
        at = datetime.now(UTC)
        raw = RawCallback(kind, letter.body, {}, "POST", letter.path, letter.authority, attempt_id or None, at)
        self.payments.store("mpesa_ke", raw, "127.0.0.1")
        row_id = self.rows(CallbackRow)[-1].id
        self.payments.settle(row_id)
        return self.callback_row(row_id)

    def booked(self) -> list[tuple[int, str | None, str | None]]:
        return [(row.amount_minor, row.provider_txn_id, row.attempt_id) for row in self.rows(PaymentRow)]


@pytest.fixture
def kenya(db: Database, clock: FixedClock, box: Box) -> Iterator[KenyanTill]:
    DarajaCaller(box)  # seeds the phone
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield KenyanTill(db, clock, box, f"http://127.0.0.1:{server.port}/daraja")
    server.shutdown()
    server.server_close()


def receipt(kenya: KenyanTill) -> str:
    [entry] = kenya.box.get("wallets/mpesa_ke/ledger")["entries"]
    return str(entry["provider_txn_id"])


@pytest.mark.parametrize("order", list(permutations(("callback", "confirm", "query"))), ids="-".join)
def test_told_twice_booked_once(kenya: KenyanTill, order: tuple[str, ...]) -> None:
    attempt_id = kenya.pushed()
    kenya.box.answers(KENYA)
    [told] = until(lambda: kenya.letters("callback", attempt_id))
    [again] = until(lambda: kenya.letters("confirm"))
    for kind in order:
        if kind == "query":
            kenya.payments.query(attempt_id)
        else:
            assert kenya.hear(told if kind == "callback" else again).state == "done"
        assert len(kenya.booked()) == 1, kind
    assert kenya.booked() == [(TEN.minor, receipt(kenya), attempt_id)]
    assert kenya.paid() == TEN
    assert kenya.attempt(attempt_id).state == "succeeded"
    kenya.check()


@pytest.mark.parametrize("first", ["callback", "confirm"])
def test_a_lost_answer_is_made_good_by_either(kenya: KenyanTill, first: str) -> None:
    attempt_id = kenya.pushed(fault="lost_answer")
    assert kenya.attempt(attempt_id).provider_ref is None
    kenya.payments.query(attempt_id)
    kenya.box.answers(KENYA)
    [told] = until(lambda: kenya.letters("callback", attempt_id))
    [again] = until(lambda: kenya.letters("confirm"))
    for letter in (told, again) if first == "callback" else (again, told):
        kenya.hear(letter)
    assert kenya.booked() == [(TEN.minor, receipt(kenya), attempt_id)]
    kenya.check()


def test_the_confirmation_alone_is_enough(kenya: KenyanTill) -> None:
    kenya.box.fault("mpesa_ke", "lost_callback")
    attempt_id = kenya.pushed(fault="error_after_accept")
    kenya.box.answers(KENYA)
    [again] = until(lambda: kenya.letters("confirm"))
    kenya.hear(again)
    assert kenya.booked() == [(TEN.minor, receipt(kenya), attempt_id)]
    assert kenya.letters("callback", attempt_id) == []
    kenya.check()


def test_a_forged_callback_books_nothing(kenya: KenyanTill) -> None:
    attempt_id = kenya.pushed(fault="forged_callback")
    [lie] = until(lambda: kenya.letters("callback", attempt_id))
    kenya.hear(lie)
    assert (kenya.booked(), kenya.paid()) == ([], Money(0, "KES"))
    kenya.box.answers(KENYA, None)


def test_who_comes_by_himself_is_asked_and_booked(kenya: KenyanTill) -> None:
    def validated(letter: Letter) -> tuple[int, str]:
        if letter.path.endswith("confirm"):
            return 200, ""
        raw = RawCallback("validate", letter.body, {}, "POST", letter.path, "pay.example", None, datetime.now(UTC))
        bill = kenya.daraja.read_validation(raw)
        assert isinstance(bill, BillPayment), bill
        refusal = kenya.payments.refuse_bill("mpesa_ke", bill)
        return 200, kenya.daraja.answer_validation(raw, refusal).body.decode()

    kenya.box.product.answer = validated
    stray = {"phone": KENYA, "amount": 10}
    wrong = kenya.box.post("wallets/mpesa_ke/stray", {**stray, "reference": "1234567890"}, 409)
    assert "C2B00012" in wrong["error"]
    typed = f"{kenya.account[:3]} {kenya.account[3:]}"
    moved = kenya.box.post("wallets/mpesa_ke/stray", {**stray, "reference": typed})
    [letter] = until(lambda: kenya.letters("confirm"))
    assert kenya.hear(letter).state == "done"
    assert kenya.booked() == [(TEN.minor, moved["provider_txn_id"], None)]
    assert kenya.paid() == TEN
    kenya.check()


def test_money_for_nobody_waits_in_suspense(kenya: KenyanTill) -> None:
    def lenient(letter: Letter) -> tuple[int, str]:
        return (200, "") if letter.path.endswith("confirm") else (503, "")

    kenya.box.product.answer = lenient
    kenya.box.post("wallets/mpesa_ke/stray", {"phone": KENYA, "amount": 10, "reference": "the light"})
    [letter] = until(lambda: kenya.letters("confirm"))
    kenya.hear(letter)
    [payment] = kenya.rows(PaymentRow)
    assert (payment.in_suspense, payment.reference) == (True, "the light")
    other = Letter(letter.path, {}, letter.body.replace(b"174379", b"600000"), letter.authority)
    assert kenya.hear(other).state == "malformed"
    assert isinstance(
        kenya.daraja.read_callback(
            RawCallback("confirm", other.body, {}, "POST", other.path, "x", None, datetime.now(UTC))
        ),
        Malformed,
    )
    kenya.check()
