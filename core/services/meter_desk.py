"""Meters for the console: looked up, and supply wanted on by a person."""

from __future__ import annotations

import structlog
from sqlalchemy import select

from core.customers.tables import ContractRow
from core.db import Database
from core.desk import meters as queries
from core.desk.meter_model import Meter, MeterLine, MeterSieve
from core.kernel.clock import Clock
from core.kernel.errors import StateConflict
from core.settlement.dunning import lock_contract
from core.supply.commands import ON_LIFE, want_supply
from core.supply.queries import desired_of, lock_meter

log = structlog.get_logger(__name__)

# Why supply is wanted on when a person says so.
BY_STAFF = "staff"


class MeterDesk:
    """Owns its transactions. Nothing here wants supply off: that is the books' part, behind their guards."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def meters(self, sieve: MeterSieve, *, after: str = "", limit: int = 50) -> list[MeterLine]:
        """Meters by their number, above `after`."""
        with self._db.read() as session:
            return queries.meters(session, sieve, real_now=self._clock.real_now(), after=after, limit=limit)

    def meter(self, meter_id: str, *, with_tokens: bool = False) -> Meter | None:
        """One meter. `with_tokens`: the reader may see the digits of its tokens."""
        with self._db.read() as session:
            return queries.meter(session, meter_id, with_tokens=with_tokens)

    def switch_on(self, meter_id: str, *, by: str) -> int | None:
        """Want supply on, at once, whatever the reason it is off for; the command's version.

        None: it is on, or on its way. Where the books still want it off, the next round of cuts does it again.
        Raises StateConflict for a meter that nobody can switch.
        """
        now = self._clock.now()
        with self._db.begin() as session:
            contract_id = session.scalar(
                select(ContractRow.id).where(ContractRow.meter_id == meter_id, ContractRow.state == "active").limit(1)
            )
            # Contract before meter: the order everybody takes them in.
            if contract_id is not None:
                lock_contract(session, contract_id)
            meter = lock_meter(session, meter_id)
            if meter is None or meter.control_kind not in ("mqtt_relay", "manual"):
                raise StateConflict(f"meter {meter_id} cannot be switched from here")
            desired = desired_of(session, meter_id)
            if desired is not None and desired.reason == "safety" and desired.supply == "off":
                raise StateConflict(f"meter {meter_id} is off for safety: a crew says when it may be on")
            version = want_supply(
                session,
                clock=self._clock,
                meter_id=meter_id,
                supply="on",
                reason=BY_STAFF,
                contract_id=contract_id,
                not_before=now,
                not_after=now + ON_LIFE,
                set_by=by[:80],
            )
        log.info("supply.on_by_staff", meter=meter_id, version=version, by=by)
        return version
