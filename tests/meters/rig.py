"""What the meter tests share: a home that can be switched, a bridge and meters around one broker, a memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import Clock
from core.sealing import Sealer
from core.services.supply import Supply, SupplySettings
from core.supply.commands import want_supply
from core.supply.model import Supply as Wanted
from core.supply.rules import HoldReason
from core.supply.tables import RelayCommandRow
from meters.bridge import Bridge, BridgeConfig
from meters.simulator import MeterSimulator
from tests import town
from tests.realparts import wait_until

UTILITY = "testville"


class Books:
    """Stands for the books: says whether off is still due, and what holds it back."""

    def __init__(self) -> None:
        self.due = True
        self.holds: list[HoldReason] = []
        self.asked = 0

    def off_still_due(self, session: Session, *, clock: Clock, contract_id: int) -> bool:
        self.asked += 1
        return self.due

    def off_holds(self, session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]:
        return self.holds


@dataclass
class Shelf:
    """Meters' memory that survives their simulator."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    def load(self, meter_id: str) -> dict[str, Any] | None:
        return self.kept.get(meter_id)

    def save(self, meter_id: str, state: dict[str, Any]) -> None:
        self.kept[meter_id] = dict(state)


@dataclass(frozen=True)
class Switched:
    """A home whose meter has a key."""

    meter_id: str
    contract_id: int
    key_hex: str
    phone: str


def service(db: Database, clock: Clock, books: Books, *, retry_scale: float = 1.0) -> Supply:
    return Supply(
        db,
        clock,
        sealer=Sealer("a secret for tests"),
        off_still_due=books.off_still_due,
        off_holds=books.off_holds,
        settings=SupplySettings(retry_scale=retry_scale),
    )


def a_home(db: Database, supply: Supply, **how: Any) -> Switched:
    with db.begin() as session:
        home = town.home(session, **how)
        meter_id, contract_id, phone = home.meter.id, home.contract.id, home.phone
    return Switched(meter_id, contract_id, supply.provision(meter_id), phone)


def want(db: Database, clock: Clock, home: Switched, supply: Wanted, *, hours: float = 4) -> int | None:
    """Want supply as settlement and the off-batch do, from now for so many hours of business time."""
    now = clock.now()
    with db.begin() as session:
        return want_supply(
            session,
            clock=clock,
            meter_id=home.meter_id,
            supply=supply,
            reason="nonpayment" if supply == "off" else "paid",
            contract_id=home.contract_id,
            not_before=now,
            not_after=now + timedelta(hours=hours),
            set_by="test",
        )


def commands_of(db: Database, meter_id: str) -> list[RelayCommandRow]:
    with db.read() as session:
        rows = select(RelayCommandRow).where(RelayCommandRow.meter_id == meter_id).order_by(RelayCommandRow.version)
        return list(session.scalars(rows))


def state_of(db: Database, meter_id: str, version: int) -> str:
    return next(row.state for row in commands_of(db, meter_id) if row.version == version)


def wait_for_state(db: Database, meter_id: str, version: int, state: str) -> None:
    wait_until(lambda: state_of(db, meter_id, version) == state, what=f"version {version} to be {state}")


@contextmanager
def running(bridge: Bridge) -> Iterator[Bridge]:
    """A bridge on a thread; connected when the block begins, gone when it ends."""
    stop = threading.Event()
    thread = threading.Thread(target=bridge.run, args=(stop,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: bridge.connected, what="the bridge to connect")
        yield bridge
    finally:
        stop.set()
        bridge.wake()
        thread.join(timeout=30)
        assert not thread.is_alive(), "the bridge did not stop"


@contextmanager
def meters_on(url: str, shelf: Shelf, clock: Clock, *homes: Switched, **how: Any) -> Iterator[MeterSimulator]:
    simulator = MeterSimulator(shelf, url, UTILITY, clock, **how)
    for home in homes:
        simulator.add(home.meter_id, home.key_hex, "on", 0)
    simulator.start()
    try:
        wait_until(simulator.connected.is_set, what="the meters to connect")
        yield simulator
    finally:
        simulator.stop()


def bridge_on(url: str, supply: Supply, **how: Any) -> Bridge:
    return Bridge(supply, BridgeConfig(mqtt_url=url, utility=UTILITY, poll_s=0.02, **how))
