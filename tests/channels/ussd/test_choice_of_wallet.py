"""Which wallet is proposed, which others are offered, and what is said when an operator is down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
import redis
from argon2 import PasswordHasher
from sqlalchemy import update

from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.payments.model import BeginRefused
from core.services.routing import Routing
from core.services.staff import Staff
from tests import town
from tests.channels.ussd.ussd_world import FakePayments, Phone, Site, populate

pytestmark = pytest.mark.redis_server

MPESA, AIRTEL, AFRICELL, KENYAN = "+243811234567", "+243971234567", "+243901234567", "+254712345678"
PAY_ALL = "1*1"


@pytest.fixture
def debtor(db: Database, site: Site) -> Callable[..., Phone]:
    """A customer who owes money, with this number."""

    def made(number: str, *, currency: str = "CDF", last: str | None = None) -> Phone:
        with db.begin() as session:
            home = town.home(session, name="Marie Kabila", phone=number, currency=currency, language="en")
            bill = town.invoice(session, home.contract, total=Money.units(10_000, currency), state="sent")
            bill.sent_on = date(2026, 3, 1)
            session.execute(update(PhoneLinkRow).where(PhoneLinkRow.phone == number).values(last_brand=last))
        return Phone(site, number)

    return made


@pytest.mark.parametrize(
    ("number", "last", "proposed"),
    [(MPESA, None, "M-Pesa"), (AIRTEL, None, "Airtel Money"), (MPESA, "orange", "Orange Money"),
     (AFRICELL, None, None), (AFRICELL, "airtel", "Airtel Money")],
)  # fmt: skip
def test_the_last_choice_goes_before_the_number(
    debtor: Callable[..., Phone], number: str, last: str | None, proposed: str | None
) -> None:
    asked = debtor(number, last=last).dial(PAY_ALL)
    if proposed is None:
        assert [name in asked for name in ("M-Pesa", "Airtel Money", "Orange Money")] == [True] * 3
        assert "Yes" not in asked
    else:
        assert f"from {proposed} " in asked
        assert "1. Yes" in asked


def test_what_the_office_wrote_is_proposed(
    db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock, debtor: Callable[..., Phone]
) -> None:
    staff = Staff(db, clock, "a secret", hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    routing = Routing(db, clock, staff.audit)
    routing.set_range("243901", "Africell", "orange", "awa")
    debtor(AFRICELL)
    phone = Phone(Site(db, client, payments, clock, brand_of=routing.brand_of), AFRICELL)
    assert "from Orange Money" in phone.dial(PAY_ALL)


def test_pay_all_with_ones_own_wallet_is_three_keys(debtor: Callable[..., Phone], payments: FakePayments) -> None:
    phone = debtor(MPESA)
    phone.dial()
    assert [phone.types("1")[:3] for _ in range(3)] == ["CON", "CON", "END"]
    (request,) = payments.begun.values()
    assert (request.brand, request.payer_phone) == ("mpesa", MPESA)


def test_a_proposed_wallet_that_is_down_leads_to_the_others(
    debtor: Callable[..., Phone], payments: FakePayments
) -> None:
    payments.down.add("mpesa")
    phone = debtor(MPESA)
    asked = phone.dial(PAY_ALL)
    lines = asked.removeprefix("CON ").split("\n")
    assert lines[:4] == [
        "M-Pesa is down now. Choose another.",
        "1. Airtel Money",
        "2. Orange Money",
        "3. M-Pesa: down now",
    ]
    again = phone.types("3")
    assert again.count("M-Pesa is down now.") == 1, "once is enough"
    assert "Airtel Money number" in phone.types("1")
    phone.types(AIRTEL)
    assert phone.types("1").startswith("END ")
    (request,) = payments.begun.values()
    assert (request.brand, request.payer_phone) == ("airtel", AIRTEL)


def test_a_wallet_that_is_down_and_not_proposed_only_says_so_on_its_line(
    debtor: Callable[..., Phone], payments: FakePayments
) -> None:
    payments.down.add("mpesa")
    phone = debtor(AIRTEL)
    assert "from Airtel Money" in phone.dial(PAY_ALL)
    asked = phone.types("2")
    assert asked.startswith("CON Pay with which wallet?")
    assert asked.index("Orange Money") < asked.index("M-Pesa: down now")


def test_when_all_are_down_or_none_collects_it_is_said_and_nothing_begins(
    debtor: Callable[..., Phone], payments: FakePayments
) -> None:
    phone = debtor(MPESA)
    payments.down.update(("mpesa", "airtel", "orange"))
    assert phone.dial(PAY_ALL).startswith("END No wallet can be reached now.")
    payments.down.clear()
    payments.only["CDF"] = ()
    assert phone.dial(PAY_ALL).startswith("END No wallet collects for this account yet.")
    assert payments.calls == 0


@pytest.mark.parametrize(("why", "said"), [("wallet_down", "is down now"), ("no_wallet", "cannot be reached now")])
def test_a_wallet_that_fell_ill_meanwhile_offers_the_others(
    debtor: Callable[..., Phone], payments: FakePayments, why: str, said: str
) -> None:
    phone = debtor(MPESA)
    phone.dial(PAY_ALL)
    payments.answers.append(BeginRefused(why))  # type: ignore[arg-type]
    refused = phone.types("1")
    assert refused.startswith(f"CON M-Pesa {said}.")
    assert phone.send() == refused
    assert payments.begun == {}
    assert "Orange Money" in phone.types("1")
    phone.types("3")
    phone.types("0891234567")
    assert phone.types("1").startswith("END Orange Money")
    (request,) = payments.begun.values()
    assert (request.brand, request.amount) == ("orange", Money.units(10_000, "CDF"))


def test_a_refusal_whose_session_is_lost_can_be_gone_on_with(
    debtor: Callable[..., Phone], payments: FakePayments
) -> None:
    phone = debtor(MPESA)
    phone.dial(PAY_ALL)
    payments.answers.append(BeginRefused("wallet_down"))
    phone.types("1")
    assert "Go on: pay 10 000 FC" in phone.dial()
    assert "from M-Pesa" in phone.types("0")


def test_the_wallet_is_not_asked_of_twice_when_it_goes_down_on_the_confirmation(
    debtor: Callable[..., Phone], payments: FakePayments
) -> None:
    """Back from the refusal is the screen before the confirmation, never the confirmation itself."""
    phone = debtor(MPESA)
    phone.dial(PAY_ALL)
    payments.answers.append(BeginRefused("wallet_down"))
    phone.types("1")
    assert "Another amount" in phone.types("0")


def test_shillings_are_paid_from_kenyan_numbers(debtor: Callable[..., Phone], payments: FakePayments) -> None:
    payments.only["KES"] = ("mpesa",)
    own = debtor(KENYAN, currency="KES")
    assert "from M-Pesa" in own.dial(PAY_ALL)
    assert own.types("1").startswith("END ")
    foreign = debtor(MPESA, currency="KES", last="mpesa")
    choice = foreign.dial(PAY_ALL)
    assert "M-Pesa" in choice
    assert "Airtel" not in choice
    asked = foreign.types("1")
    assert "This phone" not in asked, "a Congolese number has no wallet there"
    assert "0712345678" in foreign.types("0812345678")
    assert "+254***5678" in foreign.types("0712345678")
    assert foreign.types("1").startswith("END ")
    assert [r.payer_phone for r in payments.begun.values()] == [KENYAN, KENYAN]


def test_francs_are_not_paid_from_kenyan_numbers(debtor: Callable[..., Phone]) -> None:
    phone = debtor(AFRICELL)
    phone.dial(PAY_ALL)
    phone.types("1")
    assert "0812345678" in phone.types(KENYAN)


def test_a_stranger_pays_for_an_account_whose_currency_is_not_collected(
    db: Database, site: Site, payments: FakePayments
) -> None:
    owner = populate(db, 1)[0]
    payments.only["CDF"] = ()
    phone = Phone(site, "+243815559999")
    phone.dial("1")
    phone.types(owner.account)
    assert phone.types("7000").startswith("END ")
    assert payments.calls == 0
