"""Our Daraja adapter and the box's Daraja over a real socket: both sides read the protocol alike."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.wallets.operators.mpesa_ke import MpesaKeConfig, MpesaKeWallet
from channels.wallets.registry import build
from channels.wallets.sessions import InProcessStore, SessionStore
from core.kernel.clock import SystemClock
from core.kernel.ids import own_reference
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    BillPayment,
    BillRefusal,
    Failed,
    Hint,
    NotAccepted,
    Paid,
    Pending,
    RawCallback,
    Unknown,
    WalletAttempt,
)
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import Box, Letter, Product, until
from tests.mwolo.sandbox.daraja_rig import KENYA, DarajaCaller


@pytest.fixture
def address(box: Box) -> Iterator[str]:
    DarajaCaller(box)  # seeds the phone
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}/daraja"
    server.shutdown()
    server.server_close()


@pytest.fixture
def make(box: Box, address: str) -> Callable[..., MpesaKeWallet]:
    def make_one(store: SessionStore | None = None, **changed: Any) -> MpesaKeWallet:
        config = MpesaKeConfig(
            **{
                "consumer_key": box.config.daraja_consumer_key,
                "consumer_secret": box.config.daraja_consumer_secret,
                "passkey": box.config.daraja_passkey,
                "short_code": box.config.daraja_short_code,
                "base_url": address,
                **changed,
            }
        )
        wallet = build(
            "mpesa_ke",
            config,
            http=PartnerHttp("mpesa_ke"),
            clock=SystemClock(),
            session_store=store or InProcessStore(),
        )
        assert isinstance(wallet, MpesaKeWallet)
        return wallet

    return make_one


@pytest.fixture
def wallet(make: Callable[..., MpesaKeWallet]) -> MpesaKeWallet:
    return make()


def attempt(box: Box, **changed: Any) -> WalletAttempt:
    attempt_id = str(uuid.uuid4())
    usual: dict[str, Any] = {
        "attempt_id": attempt_id,
        "own_ref": own_reference(),
        "brand": "mpesa",
        "payer_phone": KENYA,
        "amount": Money.units(250, "KES"),
        "account_number": "1234567897",
        "description": "Electricite 1234567897",
        "callback_url": box.product.url(f"/hooks/daraja/callback/{attempt_id}"),
    }
    return WalletAttempt(**{**usual, **changed})


def raw(letter: Letter, kind: str) -> RawCallback:
    headers = {name.lower(): value for name, value in letter.headers.items()}
    at = letter.path.rpartition("/")[2] if kind == "callback" else None
    return RawCallback(kind, letter.body, headers, "POST", letter.path, letter.authority, at, datetime.now(UTC))


def accepted(wallet: MpesaKeWallet, one: WalletAttempt) -> WalletAttempt:
    """The attempt with what the operator called it."""
    answer = wallet.start(one)
    assert isinstance(answer, Accepted), answer
    fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return WalletAttempt(**{**fields, "provider_ref": answer.provider_ref})


def test_from_the_push_to_the_callback(wallet: MpesaKeWallet, box: Box, product: Product) -> None:
    one = accepted(wallet, attempt(box))
    assert wallet.query(one) == Pending()
    box.answers(KENYA)
    assert wallet.query(one) == Paid()
    [letter] = until(lambda: product.at(f"/hooks/daraja/callback/{one.attempt_id}"))
    hint = wallet.read_callback(raw(letter, "callback"))
    entry = box.entry("mpesa_ke", str(one.provider_ref))
    assert isinstance(hint, Hint)
    assert isinstance(hint.claim, Paid)
    assert (hint.provider_ref, hint.claim.provider_txn_id, hint.claim.amount, hint.claim.payer_phone) == (
        one.provider_ref,
        entry["provider_txn_id"],
        one.amount,
        KENYA,
    )
    assert hint.claim.paid_at is not None
    assert abs(hint.claim.paid_at - datetime.now(UTC)) < timedelta(minutes=5), "Nairobi's time, read as such"


def test_a_lost_answer_is_found_by_the_address(wallet: MpesaKeWallet, box: Box, product: Product) -> None:
    box.fault("mpesa_ke", "lost_answer")
    one = attempt(box)
    assert wallet.start(one) == Unknown("cut")
    assert wallet.query(one) == Unknown("no_checkout_id")
    box.answers(KENYA)
    [letter] = until(lambda: product.at(f"/hooks/daraja/callback/{one.attempt_id}"))
    heard = raw(letter, "callback")
    hint = wallet.read_callback(heard)
    assert isinstance(hint, Hint)
    assert heard.attempt == one.attempt_id
    assert wallet.query(attempt(box, provider_ref=hint.provider_ref)) == Paid()


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("overloaded", NotAccepted("500.003.02", 30)),
        ("throttled", NotAccepted("429", 10)),
        ("expired_token", NotAccepted("token_refused", 1)),
        ("error_before_accept", Unknown("500 500.003.1001")),
        ("error_after_accept", Unknown("500 500.003.1001")),
    ],
)
def test_a_push_that_fails_is_understood(wallet: MpesaKeWallet, box: Box, fault: str, answer: object) -> None:
    box.fault("mpesa_ke", fault)
    assert wallet.start(attempt(box)) == answer


@pytest.mark.parametrize(
    ("pin", "units", "answer"),
    [
        (None, 250, Failed("cancelled", "1032", final=False)),
        ("1234", 200_000, Failed("no_funds", "1")),
    ],
)
def test_an_end_without_money(wallet: MpesaKeWallet, box: Box, pin: str | None, units: int, answer: object) -> None:
    one = accepted(wallet, attempt(box, amount=Money.units(units, "KES")))
    box.answers(KENYA, pin)
    assert wallet.query(one) == answer


def test_a_phone_that_is_busy_and_money_that_never_ends(wallet: MpesaKeWallet, box: Box) -> None:
    accepted(wallet, attempt(box))
    assert wallet.start(attempt(box)) == Failed("busy", "500.001.1001")
    box.answers(KENYA)
    box.fault("mpesa_ke", "never_final")
    assert wallet.query(accepted(wallet, attempt(box))) == Pending()
    box.fault("mpesa_ke", "refused", code="17")
    assert wallet.query(accepted(wallet, attempt(box))) == Failed("busy", "17")


def test_wrong_settings_are_understood(make: Callable[..., MpesaKeWallet], box: Box) -> None:
    assert make(consumer_secret="x").start(attempt(box)) == Failed("configuration", "http_400")
    assert make(passkey="x").start(attempt(box)) == Failed("configuration", "500.001.1001")
    assert make(short_code="600000").start(attempt(box)) == Failed("configuration", "500.001.1001")
    assert make(base_url="http://127.0.0.1:9").start(attempt(box)) == NotAccepted(
        "no_token_no_connection", 15, posted=False
    )


def test_a_check_of_the_box_is_content(make: Callable[..., MpesaKeWallet]) -> None:
    assert [found.ok for found in make().check()] == [True] * 4
    assert [found.ok for found in make(passkey="x").check()] == [True, True, False, True]


# -- the one token


def tokens_made(box: Box) -> int:
    return sum(1 for call in box.get("wallets/mpesa_ke/ledger")["requests"] if call["operation"] == "token")


def test_processes_that_share_a_token_do_not_end_each_others(make: Callable[..., MpesaKeWallet], box: Box) -> None:
    shared = InProcessStore()
    one, two = make(shared), make(shared)
    first = accepted(one, attempt(box))
    assert two.query(first) == Pending()
    box.fault("mpesa_ke", "expired_token")
    assert one.query(first) == Unknown("token_refused")
    assert (one.query(first), two.query(first), tokens_made(box)) == (Pending(), Pending(), 2)


def test_processes_that_do_not_share_knock_each_other_out(make: Callable[..., MpesaKeWallet], box: Box) -> None:
    one, two = make(), make()
    first = accepted(one, attempt(box))
    two.prepare()
    assert one.query(first) == Unknown("token_refused")
    assert one.query(first) == Pending()
    assert two.start(attempt(box)) == NotAccepted("token_refused", 1), "nothing was taken on"


# -- the bill number


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_from_the_registration_to_the_confirmation(
    make: Callable[..., MpesaKeWallet], box: Box, product: Product, version: str
) -> None:
    wallet = make(c2b_version=version)
    addresses = product.url("/hooks/daraja/validate"), product.url("/hooks/daraja/confirm")
    assert wallet.register_bill_number(*addresses).ok
    box.fault("mpesa_ke", "refused", operation="register")
    assert wallet.register_bill_number(*addresses).ok, "once more is no fault"
    refusals: dict[str, BillRefusal] = {"999": "unknown_account"}

    def answer(letter: Letter) -> tuple[int, str]:
        kind = letter.path.rpartition("/")[2]
        if kind == "confirm":
            return 200, wallet.acknowledge(raw(letter, "confirm")).body.decode()
        bill = wallet.read_validation(raw(letter, "validate"))
        assert isinstance(bill, BillPayment)
        return 200, wallet.answer_validation(raw(letter, "validate"), refusals.get(bill.reference)).body.decode()

    product.answer = answer
    stray = {"phone": KENYA, "amount": 300}
    box.post("wallets/mpesa_ke/stray", {**stray, "reference": "999"}, 409)
    moved = box.post("wallets/mpesa_ke/stray", {**stray, "reference": "123 456 7897"})
    [letter] = until(lambda: product.at("/hooks/daraja/confirm"))
    bill = wallet.read_callback(raw(letter, "confirm"))
    assert isinstance(bill, BillPayment)
    assert (bill.provider_txn_id, bill.amount, bill.reference) == (
        moved["provider_txn_id"],
        Money.units(300, "KES"),
        "123 456 7897",
    )
    assert bill.payer is not None
    assert KENYA[1:] not in bill.payer
    assert json.loads(wallet.acknowledge(raw(letter, "confirm")).body) == {"ResultCode": 0, "ResultDesc": "Success"}


def test_the_same_money_by_both_doors_has_one_receipt(wallet: MpesaKeWallet, box: Box, product: Product) -> None:
    wallet.register_bill_number(product.url("/hooks/daraja/validate"), product.url("/hooks/daraja/confirm"))
    one = accepted(wallet, attempt(box))
    box.answers(KENYA)
    [told] = until(lambda: product.at(f"/hooks/daraja/callback/{one.attempt_id}"))
    [again] = until(lambda: product.at("/hooks/daraja/confirm"))
    hint, bill = wallet.read_callback(raw(told, "callback")), wallet.read_callback(raw(again, "confirm"))
    assert isinstance(hint, Hint)
    assert isinstance(hint.claim, Paid)
    assert isinstance(bill, BillPayment)
    assert bill.provider_txn_id == hint.claim.provider_txn_id
    assert bill.reference == one.account_number + one.own_ref[-2:]
