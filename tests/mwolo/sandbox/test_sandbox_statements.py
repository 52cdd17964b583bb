"""The operators' own reports, taking money back and money that comes unasked: through the API."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from core.kernel.money import Money
from core.reconciliation.mapping import Options, read_lines
from core.reconciliation.mappings import guess
from core.reconciliation.reading import read_table
from mwolo.sandbox.app import sandbox_of
from mwolo.sandbox.faults import WALLETS
from mwolo.sandbox.ledger import Ask, OperatorLedger
from mwolo.sandbox.movements import RefundAsk
from mwolo.sandbox.statements import LAYOUTS
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box

KENYA = "+254712000001"


def ledger_of(box: Box) -> OperatorLedger:
    return sandbox_of(box.app).box.ledger


def pay(box: Box, wallet: str, minor: int = 5_000_00, *, currency: str = "CDF") -> int:
    """A payment on this operator's books, whatever its own protocol; the number of its entry."""
    phone, brand = (KENYA, "mpesa") if currency == "KES" else (AIRTEL, "airtel")
    box.post("phones", {"phone": phone})
    ask = Ask(wallet, str(uuid.uuid4()), phone, brand, minor, currency, "facture", asked_as={"reference": "E1"})
    entry, _ = ledger_of(box).ask(ask)
    assert ledger_of(box).answer(phone, pin="1234") == "paid"
    return int(entry["id"])


def report(box: Box, wallet: str, **asked: str) -> list[dict[str, str]]:
    """The lines, by what our layout calls the columns."""
    reply = box.app.test_client().get(f"/sandbox/api/wallets/{wallet}/statement", query_string=asked)
    assert (reply.status_code, reply.content_type) == (200, "text/csv; charset=utf-8")
    layout = LAYOUTS[wallet]
    rows = csv.DictReader(io.StringIO(reply.text), delimiter=layout.delimiter)
    assert rows.fieldnames == list(layout.columns)
    return [{layout.columns[header]: cell for header, cell in row.items()} for row in rows]


@pytest.mark.parametrize("wallet", WALLETS)
def test_a_report_shows_all_that_moved(box: Box, wallet: str) -> None:
    """And the product's first guess of the columns reads every line of it."""
    layout = LAYOUTS[wallet]
    currency = layout.currencies[0]
    own_id = ledger_of(box).by_id(pay(box, wallet, currency=currency))["own_id"]
    second = pay(box, wallet, 2_000_00, currency=currency)
    ledger_of(box).refund(RefundAsk(wallet, "back", own_id, 1_000_00))
    box.post(f"wallets/{wallet}/reverse", {"id": second})
    sent = {"amount": 700, "currency": currency, "reference": "O123", "phone": KENYA if currency == "KES" else AIRTEL}
    box.post(f"wallets/{wallet}/stray", sent)
    data = box.app.test_client().get(f"/sandbox/api/wallets/{wallet}/statement").data
    guessed = guess(wallet, currency)
    assert guessed is not None
    table = read_table(data, guessed.options, list(guessed.columns.values()))
    read = read_lines(table, guessed.columns, Options.read(guessed.options), currency)
    assert (read.problems, read.skipped) == ((), 0)
    first, other, back, taken, stray = [line for line in read.lines if line.kind != "fee"]
    assert [(line.kind, line.amount) for line in (first, other, back, taken, stray)] == [
        ("payment", Money(5_000_00, currency)),
        ("payment", Money(2_000_00, currency)),
        ("refund", Money(1_000_00, currency)),
        ("reversal", Money(2_000_00, currency)),
        ("payment", Money(700_00, currency)),
    ]
    assert (back.original_txn_id, taken.original_txn_id) == (first.provider_txn_id, other.provider_txn_id)
    fees = [line.amount for line in read.lines if line.kind == "fee"] or [first.fee, other.fee]
    assert fees[:2] == [Money(amount * layout.per_mille, currency) for amount in (5_000_00 // 1000, 2_000_00 // 1000)]
    if "own_id" in layout.columns.values():
        assert (first.own_ids[0], back.own_ids) == (own_id, ("back",))
    if "reference" in guessed.columns:
        assert (first.reference, stray.reference) == ("E1", "O123")
    assert read.missing == ()


def test_the_next_day_pays_out_what_is_left(box: Box) -> None:
    pay(box, "airtel")
    box.clock.ahead += 86_400 * 2
    pay(box, "airtel")
    today = sandbox_of(box.app).box.statements.today("airtel")
    yesterday = report(box, "airtel", day=str(today - timedelta(days=1)))
    assert [(line["kind"], line["amount"]) for line in yesterday] == [("Settlement", "-4925.00")]
    again = report(box, "airtel", day=str(today - timedelta(days=1)))
    assert again == yesterday
    assert report(box, "airtel", currency="usd") == []


def test_a_reversal_by_any_name_and_only_once(box: Box) -> None:
    entry = pay(box, "orange")
    number = box.get("wallets/orange/ledger")["entries"][0]["provider_txn_id"]
    back = box.post("wallets/orange/reverse", {"id": number})
    assert (back["kind"], back["amount"], back["entry"]) == ("reversal", "5000", entry)
    shown = box.get("wallets/orange/ledger")
    assert shown["entries"][0]["reversed"] is True
    assert (shown["total_paid"], len(shown["reversals"])) == ({}, 1)
    assert "gone back" in box.post("wallets/orange/reverse", {"id": entry}, 409)["error"]
    assert "airtel has no entry" in box.post("wallets/airtel/reverse", {"id": entry}, 409)["error"]
    for wrong in ({}, {"id": True}, {"id": 1.5}):
        box.post("wallets/orange/reverse", wrong, 400)


def test_money_that_somebody_sends_without_us(box: Box) -> None:
    sent = {"amount": "700", "currency": "CDF", "reference": "O1234567", "phone": MPESA}
    stray = box.post("wallets/vodacom/stray", sent)
    assert (stray["kind"], stray["own_id"], stray["reference"]) == ("walk_in", None, "O1234567")
    line, fee = report(box, "vodacom")
    assert (fee["kind"], fee["out"], fee["number"]) == ("Charge", "7.00", line["number"])
    assert (line["kind"], line["in"], line["reference"], line["own_id"]) == ("Pay Bill", "700.00", "O1234567", "")
    assert box.balance(MPESA) == "19300"
    for wrong in ({"amount": "-1"}, {"amount": "much"}, {"amount": 0}, {"phone": "abc"}):
        box.post("wallets/vodacom/stray", {**sent, **wrong}, 400)
    box.post("wallets/vodacom/stray", {**sent, "amount": 10**8}, 409)


def test_a_clock_that_is_wrong_writes_wrong_times(box: Box) -> None:
    pay(box, "airtel")
    [right] = report(box, "airtel")
    box.fault("airtel", "clock_skew", seconds=3600)
    [wrong] = report(box, "airtel")
    moments = [datetime.strptime(line["at"], LAYOUTS["airtel"].date_format) for line in (right, wrong)]  # noqa: DTZ007
    assert moments[1] - moments[0] == timedelta(hours=1)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("wallets/mtn/ledger", 404),
        ("wallets/mtn/statement", 404),
        ("wallets/airtel/statement?day=yesterday", 400),
    ],
)
def test_what_there_is_not(box: Box, path: str, status: int) -> None:
    reply = box.app.test_client().get(f"/sandbox/api/{path}")
    assert reply.status_code == status
    assert reply.json["error"]


def test_an_operator_may_speak_twice(open_box: Callable[..., Box]) -> None:
    """A hook for one wallet does not push another out: two protocols may share an operator's books."""
    box = open_box()
    heard: list[str] = []
    ledger_of(box).on_settled("airtel", lambda _db, row: heard.append(f"one {row['state']}"))
    ledger_of(box).on_settled("airtel", lambda _db, row: heard.append(f"two {row['state']}"))
    pay(box, "airtel")
    assert heard == ["one paid", "two paid"]


def test_what_an_operator_holds_for_us(box: Box) -> None:
    first, _second = pay(box, "airtel"), pay(box, "airtel", 2_000_00)
    ledger_of(box).refund(RefundAsk("airtel", "back", ledger_of(box).by_id(first)["own_id"], 1_000_00))
    box.post("wallets/airtel/stray", {"amount": "3.50", "currency": "usd", "reference": "", "phone": AIRTEL})
    shown = box.get("wallets/airtel/ledger")
    assert (shown["held"], shown["total_paid"]) == ({"CDF": "6000", "USD": "3.50"}, {"CDF": "7000"})
