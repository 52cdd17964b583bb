"""A sale from the quote to the proof, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from core.agents import rules
from core.agents.errors import AgentRefused
from core.agents.model import Limits
from core.agents.tables import AgentRow, AgentSaleRow
from core.customers.tables import ContractRow, PhoneLinkRow
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.ledger.model import credit, receivable
from core.ledger.queries import trial_balance
from core.ledger.tables import AccountRow
from core.outbox import OutboxRow
from core.payments.tables import PaymentRow
from core.services.agents import sales
from core.settlement import effects
from tests import town
from tests.core.agents.kiosk import END, PHONE, Kiosk
from tests.core.settlement.books import francs
from tests.core.statements import statements_of


def refused(act: Callable[[], object]) -> AgentRefused:
    with pytest.raises(AgentRefused) as caught:
        act()
    return caught.value


def test_a_sale_pays_the_customers_invoice(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    invoice = kiosk.books.invoice(home.contract.id, francs(28_500))
    kiosk.agents.add_commission_rule("CDF", 150, by="awa")
    quote = kiosk.agents.quote_sale(agent, home.account_number, francs(10_000))
    assert (quote.masked_name, quote.commission, quote.float_after) == ("M*** K***", francs(150), francs(40_000))
    assert quote.customer_told
    sale = kiosk.agents.sell(agent, home.account_number, francs(10_000), "turn", END)
    assert (sale.commission, sale.float_after, sale.repeated) == (francs(150), francs(40_000), False)
    assert sale.end_text == END.replace("### ### ##", f"{sale.code[:3]} {sale.code[3:6]} {sale.code[6:]}")
    assert kiosk.books.paid(invoice) == francs(10_000)
    assert kiosk.books.balance(receivable(home.contract.id)) == francs(18_500)
    with kiosk.db.read() as session:
        assert trial_balance(session)["commission_payable", str(agent), "CDF"] == -francs(150).minor
    view = kiosk.agents.float_of(agent)
    assert (view.balance, view.available, view.sales_today) == (francs(40_000), francs(40_000), 1)
    assert (view.sold_today, view.commission_unpaid) == (francs(10_000), francs(150))
    kiosk.check()


def test_more_than_is_owed_becomes_credit(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    kiosk.books.invoice(home.contract.id, francs(2_000))
    kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    assert kiosk.books.balance(credit(home.contract.id)) == francs(3_000)
    kiosk.check()


def test_the_proof_goes_to_the_customers_phone_and_to_nobody_else(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer(phone="+243815551111")
    sale = kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    assert [phone for phone, _ in kiosk.told()] == ["+243815551111"]
    assert sale.receipt_number in kiosk.told()[0][1]
    left = [kiosk.agents.resend_proof(agent, sale.code).proofs_left for _ in range(3)]
    assert left == [2, 1, 0]
    assert {phone for phone, _ in kiosk.told()} == {"+243815551111"}
    assert len(kiosk.told()) == 4
    assert refused(lambda: kiosk.agents.resend_proof(agent, sale.code)).code == "proofs_used_up"
    other = kiosk.agent("+243815557002")
    assert refused(lambda: kiosk.agents.resend_proof(other, sale.code)).code == "sale_unknown"


def test_without_a_confirmed_phone_nobody_is_told(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    with kiosk.db.begin() as session:
        session.execute(update(PhoneLinkRow).values(confirmed_at=None))
    assert not kiosk.agents.quote_sale(agent, home.account_number, francs(5_000)).customer_told
    sale = kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    assert kiosk.told() == []
    assert refused(lambda: kiosk.agents.resend_proof(agent, sale.code)).code == "no_phone"
    assert kiosk.agents.last_sales(agent)[0].proofs_left == 3


def test_whoever_only_pays_for_the_account_gets_no_proof_and_none_is_promised(kiosk: Kiosk) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    with kiosk.db.begin() as session:
        session.execute(update(PhoneLinkRow).values(role="payer"))
    assert not kiosk.agents.quote_sale(agent, home.account_number, francs(5_000)).customer_told
    sale = kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    assert kiosk.told() == []
    assert refused(lambda: kiosk.agents.resend_proof(agent, sale.code)).code == "no_phone"


def test_the_same_turn_again_is_the_same_sale(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    first = kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    kiosk.agents.set_active(agent, False, "awa")
    again = kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", "another text")
    assert again.repeated
    assert (again.code, again.payment_id, again.end_text) == (first.code, first.payment_id, first.end_text)
    assert kiosk.agents.end_text("turn") == first.end_text
    assert kiosk.agents.end_text("another turn") is None
    assert kiosk.count(AgentSaleRow) == kiosk.count(PaymentRow) == 1
    other = refused(lambda: kiosk.agents.sell(agent, home.account_number, francs(6_000), "turn", END))
    assert other.code == "same_key"


def test_a_crash_before_the_commit_leaves_nothing(kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()

    class Crash(RuntimeError):
        pass

    def crash(*_args: object, **_named: object) -> None:
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(effects, "stage", crash)
        with pytest.raises(Crash):
            kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END)
    assert kiosk.balance(agent) == francs(50_000)
    assert kiosk.count(AgentSaleRow) == kiosk.count(PaymentRow) == 0
    assert not kiosk.agents.sell(agent, home.account_number, francs(5_000), "turn", END).repeated
    kiosk.check()


def test_refusals_change_nothing(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home, dollars = kiosk.customer(), kiosk.customer(currency="USD")

    def code(account: str, amount: Money) -> str:
        quoted = refused(lambda: kiosk.agents.quote_sale(agent, account, amount)).code
        sold = refused(lambda: kiosk.agents.sell(agent, account, amount, kiosk.key(), END)).code
        assert quoted == sold
        return sold

    assert code("1234567890", francs(5_000)) == "account_unknown"
    assert code("garbage", francs(5_000)) == "account_unknown"
    assert code(dollars.account_number, francs(5_000)) == "currency_differs"
    assert code(home.account_number, francs(50_001)) == "float_short"
    assert code(home.account_number, francs(500_100)) == "above_limit"
    with kiosk.db.begin() as session:
        session.get_one(ContractRow, home.contract.id).state = "closed"
    assert code(home.account_number, francs(5_000)) == "account_closed"
    assert refused(lambda: kiosk.agents.quote_sale(999, home.account_number, francs(5_000))).code == "not_active"
    assert kiosk.count(PaymentRow) == kiosk.count(AgentSaleRow) == 0
    assert kiosk.balance(agent) == francs(50_000)
    kiosk.check()


def test_limits_of_one_agent_and_the_day_in_kinshasa(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(500_000))
    home = kiosk.customer()
    kiosk.agents.set_limits(agent, Limits(francs(20_000), francs(30_000), francs(15_000)), "awa")

    def sell(amount: Money) -> object:
        return kiosk.agents.sell(agent, home.account_number, amount, kiosk.key(), END, again=True)

    assert refused(lambda: sell(francs(20_001))).amount == francs(20_000)
    sell(francs(20_000))
    left = refused(lambda: sell(francs(12_000)))
    assert (left.code, left.amount) == ("day_limit", francs(10_000))
    # 09:00 in Kinshasa plus 14 h 59 min is still today, one minute more is tomorrow.
    kiosk.clock.advance(hours=14, minutes=59)
    assert refused(lambda: sell(francs(12_000))).code == "day_limit"
    kiosk.clock.advance(minutes=1)
    sell(francs(12_000))
    assert kiosk.agents.float_of(agent).sold_today == francs(12_000)
    bad = Limits(francs(20_000), francs(19_000), francs(15_000))
    assert refused(lambda: kiosk.agents.set_limits(agent, bad, "awa")).code == "limits_invalid"


def test_the_same_sale_twice_is_asked_about(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    kiosk.agents.sell(agent, home.account_number, francs(5_000), "one", END)

    def twin() -> bool:
        return kiosk.agents.sell(agent, home.account_number, francs(5_000), "two", END).repeated

    assert refused(twin).code == "sold_just_now"
    kiosk.clock.advance(minutes=5)
    assert not twin()
    assert not kiosk.agents.sell(agent, home.account_number, francs(5_000), "three", END, again=True).repeated


def test_another_sim_holds_large_sales(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(500_000))
    home = kiosk.customer()
    kiosk.sim_changed(PHONE)
    held = refused(lambda: kiosk.agents.sell(agent, home.account_number, francs(300_000), "one", END))
    assert (held.code, held.until) == ("sim_hold", kiosk.clock.now() + timedelta(hours=24))
    kiosk.agents.sell(agent, home.account_number, francs(100_000), "two", END)
    kiosk.clock.advance(hours=24)
    kiosk.agents.sell(agent, home.account_number, francs(300_000), "one", END)


def test_another_sim_holds_a_large_sale_in_pieces(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(1_000_000))
    kiosk.agents.sell(agent, kiosk.customer().account_number, francs(190_000), "before", END)
    kiosk.clock.advance(minutes=1)
    kiosk.sim_changed(PHONE)
    kiosk.agents.sell(agent, kiosk.customer().account_number, francs(150_000), "one", END)
    home = kiosk.customer()
    held = refused(lambda: kiosk.agents.sell(agent, home.account_number, francs(60_000), "two", END))
    assert (held.code, held.amount) == ("sim_hold", francs(50_000))
    # In Kinshasa it is another day by then, and the same SIM.
    kiosk.clock.advance(hours=20)
    assert refused(lambda: kiosk.agents.quote_sale(agent, home.account_number, francs(60_000))).code == "sim_hold"
    kiosk.clock.advance(hours=4)
    kiosk.agents.sell(agent, home.account_number, francs(60_000), "two", END)


def test_the_floor_follows_the_credit_limit(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(10_000), credit=francs(5_000))
    home = kiosk.customer()
    assert kiosk.floor(agent) == -francs(5_000).minor
    kiosk.agents.sell(agent, home.account_number, francs(14_000), "one", END)
    assert kiosk.balance(agent) == francs(-4_000)
    short = refused(lambda: kiosk.agents.sell(agent, home.account_number, francs(1_100), "two", END))
    assert (short.code, short.amount) == ("float_short", francs(1_000))
    debt = refused(lambda: kiosk.agents.set_credit_limit(agent, francs(3_000), "awa"))
    assert (debt.code, debt.amount) == ("limit_below_debt", francs(4_000))
    assert kiosk.row(agent).credit_limit_minor == francs(5_000).minor
    kiosk.agents.set_credit_limit(agent, francs(20_000), "awa")
    assert kiosk.floor(agent) == -francs(20_000).minor
    kiosk.agents.sell(agent, home.account_number, francs(16_000), "three", END)
    assert kiosk.balance(agent) == francs(-20_000)
    kiosk.check()


def test_a_floor_from_before_the_limit_is_mended_by_the_next_sale(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(1_000))
    home = kiosk.customer()
    with kiosk.db.begin() as session:
        session.execute(update(AgentRow).values(credit_limit_minor=francs(9_000).minor))
        session.execute(update(AccountRow).where(AccountRow.code == "agent_float").values(floor_minor=0))
    kiosk.agents.sell(agent, home.account_number, francs(10_000), "turn", END)
    assert kiosk.floor(agent) == -francs(9_000).minor
    kiosk.check()


def test_commission_is_per_account_and_day_and_keeps_its_rule(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(100_000))
    home, other = kiosk.customer(), kiosk.customer()
    kiosk.agents.add_commission_rule("CDF", 100, by="awa", min_minor=francs(100).minor)

    def sell(where: town.Home, amount: int) -> Money:
        number = where.account_number
        return kiosk.agents.sell(agent, number, francs(amount), kiosk.key(), END, again=True).commission

    assert [sell(home, 1_000), sell(home, 1_000), sell(other, 1_000)] == [francs(100), francs(0), francs(100)]
    assert sell(home, 18_000) == francs(100), "20 000 earn 200, of which 100 are given"
    kiosk.agents.add_commission_rule("CDF", 0, by="awa", agent_id=agent)
    assert sell(other, 20_000) == francs(0)
    with kiosk.db.read() as session:
        kept = session.scalars(select(AgentSaleRow.commission_rule_id).order_by(AgentSaleRow.id)).all()
    versions = {rule.id: rule.version for rule in kiosk.agents.commission_rules()}
    assert [versions[number or 0] for number in kept] == [1, 1, 1, 1, 2]
    past = kiosk.clock.now() - timedelta(seconds=1)
    late = refused(lambda: kiosk.agents.add_commission_rule("CDF", 50, by="awa", valid_from=past))
    assert late.code == "rule_invalid"
    kiosk.check()


def test_what_the_console_reads(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000), credit=francs(1_000))
    home = kiosk.customer()
    kiosk.books.invoice(home.contract.id, francs(2_000))
    sold = []
    for amount in (5_000, 6_000, 7_000):
        kiosk.clock.advance(minutes=1)
        sold.append(kiosk.agents.sell(agent, home.account_number, francs(amount), kiosk.key(), END))
    assert [sale.code for sale in kiosk.agents.last_sales(agent, 2)] == [sold[2].code, sold[1].code]
    first = kiosk.agents.entries(agent, 2)
    rest = kiosk.agents.entries(agent, 9, after=first[-1].id)
    assert [entry.change for entry in first + rest] == [francs(n) for n in (-7_000, -6_000, -5_000, 50_000)]
    assert [entry.kind for entry in first + rest] == ["agent_sale"] * 3 + ["cash_handed_over"]
    assert first[0].account_number == home.account_number
    assert first[0].receipt_number == sold[2].receipt_number
    view = kiosk.agents.agent(agent)
    assert (view.balance, view.credit_limit, view.must_change_pin) == (francs(32_000), francs(1_000), False)
    assert [one.id for one in kiosk.agents.agents()] == [agent]


def test_who_can_be_made_an_agent(kiosk: Kiosk) -> None:
    kiosk.open(bought=francs(0))
    agency = kiosk.agents.agents()[0].agency_id

    def make(phone: str, **more: object) -> str:
        named = {"agency_id": agency, "credit_limit": francs(0), "by": "awa", **more}
        return refused(lambda: kiosk.agents.create("Autre", phone, **named)).code  # type: ignore[arg-type]

    assert make(PHONE) == "phone_taken"
    assert make("12") == "phone_invalid"
    assert make("+243815557009", agency_id=99) == "agency_unknown"
    assert make("+243815557009", code="a001") == "code_taken"
    assert make("+243815557009", credit_limit=francs(-1)) == "limits_invalid"
    assert kiosk.agents.role_of(PHONE) is not None
    assert kiosk.agents.role_of("+243815557009") is None
    assert kiosk.staff.verify_chain().whole


def selects(said: list[str]) -> int:
    return sum(statement.lstrip().upper().startswith("SELECT") for statement in said)


def test_a_quote_is_two_reads_and_writes_nothing(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    with statements_of(kiosk.db) as said:
        kiosk.agents.quote_sale(agent, home.account_number, francs(5_000))
    assert selects(said) == 2
    with statements_of(kiosk.db) as said:
        kiosk.agents.float_of(agent)
    assert selects(said) == 1
    assert not any("transfer" in statement for statement in said), "no sum over all that was ever earned"
    assert kiosk.count(OutboxRow) == 0


def test_a_code_that_was_drawn_before_is_drawn_again(kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    codes = iter([*["11111110"] * 5, "22222220"])
    monkeypatch.setattr(rules, "new_code", lambda _below: next(codes))
    first = kiosk.agents.sell(agent, home.account_number, francs(1_000), "one", END)
    second = kiosk.agents.sell(agent, home.account_number, francs(2_000), "two", END)
    assert (first.code, second.code) == ("11111110", "22222220")


def test_where_no_code_is_left_nothing_is_sold_and_the_turn_hears_so(
    kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    monkeypatch.setattr(rules, "new_code", lambda _below: "11111110")
    kiosk.agents.sell(agent, home.account_number, francs(1_000), "one", END)
    with pytest.raises(NotRecorded):
        kiosk.agents.sell(agent, home.account_number, francs(2_000), "two", END)
    assert kiosk.balance(agent) == francs(49_000)
    kiosk.agents.offer_cash(agent, francs(1_000), "three", END)
    # Two at once: both looked before either wrote.
    monkeypatch.setattr(sales, "unused", lambda _session, _column, make: make())
    with pytest.raises(NotRecorded):
        kiosk.agents.sell(agent, home.account_number, francs(2_000), "two", END)
    kiosk.check()


def test_an_agent_who_is_off_sees_nothing_on_the_phone_and_the_office_still_does(kiosk: Kiosk) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    assert kiosk.agents.last_sales(agent, by_agent=True) == []
    kiosk.agents.sell(agent, home.account_number, francs(1_000), "one", END)
    kiosk.agents.offer_cash(agent, francs(1_000), "two", END)
    assert len(kiosk.agents.last_sales(agent, by_agent=True)) == 1
    kiosk.agents.reset_pin(agent, "awa")
    assert refused(lambda: kiosk.agents.float_of(agent, by_agent=True)).code == "pin_must_change"
    assert refused(lambda: kiosk.agents.last_sales(agent, by_agent=True)).code == "pin_must_change"
    kiosk.agents.set_active(agent, False, "awa")
    assert refused(lambda: kiosk.agents.float_of(agent, by_agent=True)).code == "not_active"
    assert refused(lambda: kiosk.agents.last_sales(agent, by_agent=True)).code == "not_active"
    assert kiosk.agents.open_cash(agent) is None
    assert kiosk.agents.float_of(agent).balance == francs(49_000)
    assert len(kiosk.agents.last_sales(agent)) == 1
