"""A thousand payments with random faults, many at once; then the operators' own books: equal to the franc."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.wallets.fault_town import PLAYED, PLAYERS, FaultTown
from tests.wallets.proofs import PARAMS, UNTOLD, books_agree, has_an_end

# Of every player so many: with five wallets, two of them in two ways, a thousand and more.
EACH = 143
SEED = 20261122
# So many in ten have a fault; of the others one in five declines.
FAULTY_OF_TEN = 6
GRAIN_S = 12.0
MOVES_MAX = 3000
# A call that nobody ends is held open in real seconds: few of them are enough.
RARE = frozenset({"never_final", "slow"})


@pytest.mark.parametrize("name", sorted(PLAYERS))
def test_random_faults_and_then_the_operators_own_books(name: str, tmp_path: Path) -> None:
    town = FaultTown(tmp_path, PLAYERS[name])
    try:
        storm(town, Random(f"{SEED} {name}"))
    finally:
        town.close()


def storm(town: FaultTown, chance: Random) -> None:
    faults = [fault for fault in PLAYED[town.player.wallet] if fault not in RARE]
    cases, met = [], dict[str, str]()
    for number in range(EACH):
        case = town.customer()
        cases.append(case)
        fault = chance.choice(faults) if chance.randrange(10) < FAULTY_OF_TEN else "none"
        if number % 75 == 10:
            fault = chance.choice(sorted(RARE & set(PLAYED[town.player.wallet])))
        if fault == "forged_callback" or (fault == "none" and chance.randrange(5) == 0):
            town.declines.add(case.phone)
        if fault != "none":
            town.fault(fault, case.phone, **PARAMS.get(fault, {}))
        met[case.phone] = fault
        town.begin(case)
    town.until_nothing_is_due(grain_s=GRAIN_S, moves=MOVES_MAX)
    entries = town.report()["entries"]
    charged = Counter(entry["phone"] for entry in entries if entry["state"] == "paid")
    assert charged, "nobody paid"
    assert max(charged.values()) == 1, "charged twice"
    for case in cases:
        has_an_end(town, case)
    on_a_list = books_agree(town)
    # What waits for a person is what no operator told in time, and nothing else.
    explained = {entry["provider_txn_id"] for entry in entries if met[entry["phone"]] in UNTOLD or entry["reversed"]}
    assert set(on_a_list) <= explained
