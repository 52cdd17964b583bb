"""`mwolo wallets check` against every operator in the box: it finds a wrong key, and moves no money."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.payments.ports import Checkable, Finding
from mwolo.wallet_check import Desk, Door, RegistersBillNumber, check_wallet, lines, register_bill_number
from tests.wallets.fault_town import PLAYERS, SECRET, FaultTown


@pytest.fixture(scope="module", params=sorted(PLAYERS))
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultTown]:
    """In the present: the operators' answers carry the time of this machine."""
    folder = tmp_path_factory.mktemp(request.param)
    open_town = FaultTown(folder, PLAYERS[request.param], start=datetime.now(UTC))
    yield open_town
    open_town.close()


def desk(town: FaultTown, wallet: Any, config: Any) -> Desk:
    name = town.player.wallet
    # The box dates its answers by this machine: the town's clock, which stands still, is put right.
    town.clock.advance(seconds=(datetime.now(UTC) - town.clock.real_now()).total_seconds())
    return Desk(
        wallets={name: wallet},
        names={name: f"MWOLO_{name.upper()}"},
        base_urls={name: config.base_url},
        callback_bases={name: town.base},
        routes={town.player.brand: (name,)},
        door=Door("http://127.0.0.1", (SECRET,), local=True),
        clock=town.clock,
    )


def wrong(findings: list[Finding]) -> list[str]:
    # The box speaks http, which is right for a box and wrong for an operator.
    return [one.what for one in findings if one.ok is False and not one.what.endswith("address is http")]


def hidden(town: FaultTown, wallet: Any, config: Any) -> list[str]:
    return [SECRET, *(value for name in wallet.secrets if (value := getattr(config, name)))]


def test_what_works_is_found_to_work_and_no_money_moves(checked: FaultTown) -> None:
    wallet, config = checked.wallet()
    assert isinstance(wallet, Checkable)
    found = check_wallet(desk(checked, wallet, config), wallet.name, checked.http)
    assert wrong(found) == []
    assert checked.report()["entries"] == []
    assert checked.report()["requests"] or wallet.name == "pawapay", "nobody was asked"
    for secret in hidden(checked, wallet, config):
        assert secret not in "\n".join(lines(found))


def test_a_wrong_key_is_found_out(checked: FaultTown) -> None:
    _, right = checked.wallet()
    wallet, config = checked.wallet(**dict.fromkeys(checked.wallets[checked.player.wallet].secrets, "wrong"))
    assert config != right
    assert wrong(check_wallet(desk(checked, wallet, config), wallet.name, checked.http))


def test_bill_numbers_are_registered_where_there_are_any(checked: FaultTown) -> None:
    wallet, config = checked.wallet()
    finding = register_bill_number(desk(checked, wallet, config), wallet.name)
    assert finding.ok is wallet.can.bill_number is isinstance(wallet, RegistersBillNumber)
    again = register_bill_number(desk(checked, wallet, config), wallet.name)
    assert again.ok is finding.ok
