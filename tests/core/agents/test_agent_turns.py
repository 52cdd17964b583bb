"""What a screen may ask for twice: the same turn's key again is the same try, the same proof, the same change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from core.agents.errors import AgentRefused
from core.agents.model import AgentSession, Locked, PinRefused
from core.agents.rules import NEW_PIN_LIVES
from core.agents.tables import NewPinRow
from core.customers.tables import PhoneLinkRow
from core.notices.tables import NoticeRow
from core.services.agents import Agents
from core.staff.tables import AuditRow
from core.turns.deeds import Kept
from tests.core.agents.kiosk import CASHIER, END, PHONE, PIN, Kiosk
from tests.core.settlement.books import francs

WRONG, NEW = "739264", "904175"


def confirm(kiosk: Kiosk, agent: int, pin: str, turn: str) -> Kept:
    return kiosk.agents.confirm_pin(agent, pin, phone=PHONE, turn_key=turn, say=lambda did: f"said {sorted(did)}")


def entered(kiosk: Kiosk, pin: str = PIN) -> str:
    """What the session of an agent who enters with this PIN keeps of it."""
    session = kiosk.agents.enter(PHONE, pin)
    assert isinstance(session, AgentSession)
    return session.entry


def notices(kiosk: Kiosk) -> int:
    with kiosk.db.read() as session:
        return session.scalar(select(func.count()).select_from(NoticeRow)) or 0


def test_a_try_counts_once_for_each_turn(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    first = kiosk.agents.enter(PHONE, WRONG, "one")
    assert first == PinRefused(4, 0)
    assert kiosk.agents.enter(PHONE, WRONG, "one") == first
    assert kiosk.row(agent).pin_failures == 1
    assert kiosk.agents.enter(PHONE, WRONG, "two") == PinRefused(3, 15)
    kiosk.clock.advance(seconds=15)
    assert isinstance(kiosk.agents.enter(PHONE, PIN, "three"), AgentSession)
    assert kiosk.agents.enter(PHONE, PIN, "three") == AgentSession(agent, "A001", "Kiosque Zala", "CDF", False)
    assert kiosk.row(agent).pin_failures == 0


def test_twins_of_one_turn_are_one_try(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _n: kiosk.agents.enter(PHONE, WRONG, "turn"), range(4)))
    assert answers == [PinRefused(4, 0)] * 4
    assert kiosk.row(agent).pin_failures == 1


def test_a_lock_that_is_told_again_counts_down(kiosk: Kiosk) -> None:
    kiosk.open(bought=francs(0))
    for n in range(5):
        locked = kiosk.agents.enter(PHONE, WRONG, f"turn {n}")
        kiosk.clock.advance(minutes=5 if n < 4 else 0)
    assert locked == Locked(kiosk.clock.now() + timedelta(hours=1))
    assert isinstance(locked, Locked)
    assert locked.wait_s == 3600
    kiosk.clock.advance(minutes=20)
    again = kiosk.agents.enter(PHONE, WRONG, "turn 4")
    assert isinstance(again, Locked)
    assert (again.until, again.wait_s) == (locked.until, 2400)


def test_a_new_pin_is_typed_twice(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    kiosk.agents.propose_pin(agent, NEW, entered(kiosk))
    kiosk.agents.propose_pin(agent, NEW, entered(kiosk))
    assert isinstance(kiosk.agents.enter(PHONE, PIN), AgentSession), "nothing counts yet"
    changed = confirm(kiosk, agent, NEW, "one")
    assert changed == Kept({"changed": True}, "said ['changed']")
    assert confirm(kiosk, agent, NEW, "one") == changed
    assert isinstance(kiosk.agents.enter(PHONE, NEW), AgentSession)
    assert confirm(kiosk, agent, NEW, "two").did == {"refused": "pin_differs"}, "none waits any more"
    with kiosk.db.read() as session:
        assert session.get(NewPinRow, agent) is None
        # One of them when the kiosk opened.
        assert session.scalars(select(AuditRow.act)).all().count("agent.pin_changed") == 2


@pytest.mark.parametrize("late", [False, True])
def test_a_second_typing_that_differs_or_comes_late_forgets_both(kiosk: Kiosk, late: bool) -> None:
    agent = kiosk.open(bought=francs(0))
    kiosk.agents.propose_pin(agent, NEW, entered(kiosk))
    if late:
        kiosk.clock.advance(seconds=NEW_PIN_LIVES.total_seconds() + 1)
    refused = confirm(kiosk, agent, NEW if late else WRONG, "one")
    assert refused.did == {"refused": "pin_differs"}
    assert confirm(kiosk, agent, NEW, "two").did == {"refused": "pin_differs"}
    assert isinstance(kiosk.agents.enter(PHONE, PIN), AgentSession)


def test_a_new_pin_is_refused_before_it_waits(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    for pin, code in (("1234", "pin_weak"), (PHONE[-4:], "pin_weak"), (PIN, "pin_same")):
        with pytest.raises(AgentRefused) as caught:
            kiosk.agents.propose_pin(agent, pin, entered(kiosk))
        assert caught.value.code == code
    entry = entered(kiosk)
    kiosk.agents.propose_pin(agent, NEW, entry)
    kiosk.agents.set_active(agent, False, CASHIER)
    assert confirm(kiosk, agent, NEW, "one").did == {"refused": "not_active"}
    with pytest.raises(AgentRefused, match="not_active"):
        kiosk.agents.propose_pin(agent, NEW, entry)


def test_a_session_from_before_a_reset_changes_no_pin(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    before = entered(kiosk)
    kiosk.agents.propose_pin(agent, NEW, before)
    one_time = kiosk.agents.reset_pin(agent, CASHIER)
    for entry in (before, ""):
        with pytest.raises(AgentRefused, match="pin_must_change"):
            kiosk.agents.propose_pin(agent, NEW, entry)
    assert confirm(kiosk, agent, NEW, "one").did == {"refused": "pin_differs"}
    kiosk.agents.propose_pin(agent, NEW, entered(kiosk, one_time))
    assert confirm(kiosk, agent, NEW, "two").did == {"changed": True}
    # The agent's own PIN by now, and the old session still open somewhere.
    with pytest.raises(AgentRefused, match="pin_must_change"):
        kiosk.agents.propose_pin(agent, PIN, before)
    assert isinstance(kiosk.agents.enter(PHONE, NEW), AgentSession)


class ResetsMeanwhile(PasswordHasher):
    """The office makes the PIN anew while this one hashes."""

    def __init__(self, kiosk: Kiosk, agent_id: int) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self._kiosk, self._agent_id = kiosk, agent_id

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        if password == NEW:
            self._kiosk.agents.reset_pin(self._agent_id, CASHIER)
        return super().hash(password, salt=salt)


def test_a_reset_while_the_new_pin_is_hashed_wins(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    before = entered(kiosk)
    slow = Agents(kiosk.db, kiosk.clock, kiosk.staff.audit, hasher=ResetsMeanwhile(kiosk, agent))
    with pytest.raises(AgentRefused, match="pin_must_change"):
        slow.propose_pin(agent, NEW, before)
    assert confirm(kiosk, agent, NEW, "one").did == {"refused": "pin_differs"}


def test_a_proof_is_sent_once_for_each_turn(kiosk: Kiosk) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    sale = kiosk.agents.sell(agent, home.account_number, francs(1_000), "sale", END)
    before = notices(kiosk)
    sent = kiosk.agents.resend_proof(agent, sale.code, phone=PHONE, turn_key="one")
    assert kiosk.agents.resend_proof(agent, sale.code, phone=PHONE, turn_key="one") == sent
    assert (notices(kiosk), sent.proofs_left) == (before + 1, 2)
    assert kiosk.agents.resend_proof(agent, sale.code, phone=PHONE, turn_key="two").proofs_left == 1


def test_a_sale_is_listed_with_the_newest_of_its_texts(kiosk: Kiosk) -> None:
    agent, home, nobody = kiosk.open(bought=francs(50_000)), kiosk.customer(), kiosk.customer()
    with kiosk.db.begin() as session:
        for link in session.scalars(select(PhoneLinkRow).where(PhoneLinkRow.phone == nobody.phone)):
            link.confirmed_at = None
    told = kiosk.agents.sell(agent, home.account_number, francs(1_000), "one", END)
    kiosk.agents.sell(agent, nobody.account_number, francs(2_000), "two", END)
    assert [sale.proof for sale in kiosk.agents.last_sales(agent)] == ["none", "under_way"]
    for state, proof in (
        ("delivered", "delivered"),
        ("failed", "failed"),
        ("expired", "failed"),
        ("sent", "under_way"),
    ):
        set_notices(kiosk, state)
        assert kiosk.agents.last_sales(agent)[1].proof == proof
    set_notices(kiosk, "failed")
    kiosk.agents.resend_proof(agent, told.code)
    assert kiosk.agents.last_sales(agent)[1].proof == "under_way"


def set_notices(kiosk: Kiosk, state: str) -> None:
    with kiosk.db.begin() as session:
        for notice in session.scalars(select(NoticeRow)):
            notice.state = state


def test_the_offer_that_waits_is_found(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    assert kiosk.agents.open_cash(agent) is None
    offer = kiosk.agents.offer_cash(agent, francs(10_000), "one")
    found = kiosk.agents.open_cash(agent)
    assert found is not None
    assert (found.code, found.amount) == (offer.code, francs(10_000))
    kiosk.clock.advance(hours=24)
    assert kiosk.agents.open_cash(agent) is None, "void, swept or not"


def test_what_the_day_has_earned(kiosk: Kiosk) -> None:
    agent, home = kiosk.open(bought=francs(50_000)), kiosk.customer()
    kiosk.agents.add_commission_rule("CDF", 200, by=CASHIER)
    kiosk.agents.sell(agent, home.account_number, francs(5_000), "one", END)
    assert kiosk.agents.float_of(agent).commission_today == francs(100)
    kiosk.clock.advance(hours=24)
    seen = kiosk.agents.float_of(agent)
    assert (seen.commission_today, seen.commission_unpaid) == (francs(0), francs(100))
