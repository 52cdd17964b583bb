"""Every wallet × every fault its operator plays: nobody is charged twice, no money is lost, everything has an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from channels.wallets.registry import WALLETS
from core.billing.tables import InvoiceRow
from tests.core.settlement.books import check_books
from tests.wallets.fault_town import PLAYED, PLAYERS, Case, FaultTown
from tests.wallets.proofs import PARAMS, UNTOLD, books_agree, has_an_end, money_of, money_of_entry

# After these no money may have been taken.
NOTHING_TAKEN = frozenset({"refused", "no_funds", "never_final", "forged_callback"})
# The payer agrees and has the money in all other cases: then it must be taken, or the case proves nothing.
MAY_TAKE_NOTHING = NOTHING_TAKEN | {"error_before_accept"}
# These say "overloaded" or "bad token" in words that leave open whether they took it on: asked about, never heard of.
LEAVE_IT_OPEN = {("airtel", "overloaded")}


@pytest.fixture(scope="module", params=sorted(PLAYERS))
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultTown]:
    open_town = FaultTown(tmp_path_factory.mktemp(request.param), PLAYERS[request.param])
    yield open_town
    open_town.close()


def test_every_wallet_is_played() -> None:
    assert {player.wallet for player in PLAYERS.values()} == set(WALLETS)


def test_every_fault_that_the_operator_plays_is_in_the_table(played: FaultTown) -> None:
    assert set(played.faults()) == set(PLAYED[played.player.wallet])


# Pairs of a wallet and a fault that its operator does not play are not collected: see conftest.py.
@pytest.mark.parametrize("fault", ["none", *sorted({fault for faults in PLAYED.values() for fault in faults})])
def test_nobody_is_charged_twice_and_nothing_is_lost(played: FaultTown, fault: str) -> None:
    case = played.customer()
    if fault == "forged_callback":
        played.declines.add(case.phone)
    if fault != "none":
        played.fault(fault, case.phone, **PARAMS.get(fault, {}))
    played.begin(case)
    played.until_nothing_is_due()
    played.tell_box("faults", {"clear": True})
    charged_once_and_booked(played, case, fault)
    has_an_end(played, case)
    with played.db.read() as session:
        check_books(session)


def charged_once_and_booked(played: FaultTown, case: Case, fault: str) -> None:
    paid = [entry for entry in played.entries(case.phone) if entry["state"] == "paid"]
    assert len(paid) <= 1, "charged twice"
    assert paid or fault in MAY_TAKE_NOTHING or (played.player.wallet, fault) in LEAVE_IT_OPEN
    booked = played.payments_of(case)
    if fault in NOTHING_TAKEN:
        assert (paid, booked) == ([], [])
        return
    if paid and paid[0]["reversed"] and not booked:
        # Given back before we ever heard of it: nothing to book, and somebody looks at it.
        assert played.attempt(case).state in ("needs_attention", "failed")
        return
    if fault in UNTOLD and [money_of(row) for row in booked] != [money_of_entry(entry) for entry in paid]:
        # Some operators never say how much they took. Their report does, and then it is a person's.
        assert len(booked) == len(paid) == 1
        assert paid[0]["provider_txn_id"] in played.reconcile()
        return
    assert [money_of(row) for row in booked] == [money_of_entry(entry) for entry in paid], "lost, or made up"
    for row, entry in zip(booked, paid, strict=True):
        assert row.provider_txn_id in (entry["provider_txn_id"], None)
        assert row.in_suspense == (row.currency != case.bill.currency)
    assert paid_of_the_bill(played, case) == min(
        case.bill.minor, sum(row.amount_minor for row in booked if not row.in_suspense)
    )


def test_all_that_the_operator_ever_took_is_in_our_books_or_on_a_list(played: FaultTown) -> None:
    """Over all cases of a wallet together, money that came without a request and money taken back included."""
    books_agree(played)


def paid_of_the_bill(played: FaultTown, case: Case) -> int:
    with played.db.read() as session:
        return session.scalars(select(InvoiceRow.paid_minor).where(InvoiceRow.contract_id == case.contract_id)).one()
