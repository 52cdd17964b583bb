"""The meters of the town as the box's API shows them: what was seeded, and what the simulator says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from mwolo.sandbox.ports import MeterBox
from mwolo.sandbox.store import Row, Store, meters

FLAGS = ("online", "relay_stuck", "clock_lost")


class NoMeter(LookupError):
    """The box has no meter with this id, or no meters at all. The text says which."""


class Town:
    """Seeded meters, joined with the running simulator where there is one."""

    def __init__(self, store: Store, box: MeterBox | None) -> None:
        self._store = store
        self._box = box
        for row in self._seeded():
            self._install(row)

    def seed(self, meter: Mapping[str, Any]) -> None:
        """Add a meter. One that exists keeps its state and learns its new key and account. Raises ValueError."""
        row = {
            "id": str(meter["id"]),
            "key_hex": str(meter["key"]),
            "supply": str(meter.get("supply") or "on"),
            "version": int(meter.get("version") or 0),
            "account": meter.get("account"),
        }
        # The simulator looks at it first: a meter it cannot have must not be on the books either.
        self._install(row)
        new = upsert(meters).values(row)
        learnt = {"key_hex": new.excluded.key_hex, "account": new.excluded.account}
        with self._store.begin() as db:
            db.execute(new.on_conflict_do_update(index_elements=["id"], set_=learnt))

    def listed(self) -> list[dict[str, Any]]:
        said = {} if self._box is None else {one["id"]: one for one in self._box.list()}
        shown = [self._shown(row, said.get(row["id"], {})) for row in self._seeded()]
        for one in shown:
            one.pop("history", None)
        return shown

    def one(self, meter_id: str) -> dict[str, Any]:
        """One meter with its history. Raises NoMeter."""
        row = self._row(meter_id)
        said = {} if self._box is None else self._box.state(meter_id)
        return {"history": [], **self._shown(row, said)}

    def flag(self, meter_id: str, flags: Mapping[str, Any]) -> dict[str, Any]:
        """Take a meter's radio, relay or clock out of order, or mend it. Raises NoMeter, ValueError."""
        self._row(meter_id)
        if not flags or any(name not in FLAGS or not isinstance(value, bool) for name, value in flags.items()):
            raise ValueError(f"Say true or false for one of {', '.join(FLAGS)}.")
        self._running().set(meter_id, **flags)
        return self.one(meter_id)

    def fault(self, name: str, times: int, params: Mapping[str, Any]) -> None:
        self._running().fault(name, times, params)

    def clear_faults(self) -> None:
        """Every fault of the meters' radio ends. Nothing to do where no meters run."""
        if self._box is not None:
            self._box.clear_faults()

    def _running(self) -> MeterBox:
        if self._box is None:
            raise NoMeter("The meters are not running in this box.")
        return self._box

    def _install(self, row: Row | Mapping[str, Any]) -> None:
        if self._box is not None:
            self._box.add(row["id"], row["key_hex"], row["supply"], row["version"])

    def _seeded(self) -> list[Row]:
        with self._store.read() as db:
            return list(db.execute(select(meters).order_by(meters.c.id)).mappings().all())

    def _row(self, meter_id: str) -> Row:
        with self._store.read() as db:
            row = db.execute(select(meters).where(meters.c.id == meter_id)).mappings().first()
        if row is None:
            raise NoMeter(f"The box has no meter {meter_id!r}.")
        return row

    def _shown(self, row: Row, said: Mapping[str, Any]) -> dict[str, Any]:
        relay = "closed" if row["supply"] == "on" else "open"
        seeded = {"supply": row["supply"], "relay": relay, "version": row["version"]}
        off = {"online": False, "kwh": 0.0}
        return {"id": row["id"], **seeded, **off, **said, "account": row["account"]}
