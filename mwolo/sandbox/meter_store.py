"""Where the simulated meters keep their memory: the box's own database, so that a restart forgets nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from mwolo.sandbox.store import Store, meter_memory


class MeterMemory:
    """The simulator's state store. Build it on a `Store` of its own or on the app's; both see the same file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, meter_id: str) -> dict[str, Any] | None:
        with self._store.read() as db:
            body = db.scalar(select(meter_memory.c.body).where(meter_memory.c.id == meter_id))
        return None if body is None else dict(body)

    def save(self, meter_id: str, state: dict[str, Any]) -> None:
        row = upsert(meter_memory).values(id=meter_id, body=state)
        with self._store.begin() as db:
            db.execute(row.on_conflict_do_update(index_elements=["id"], set_={"body": row.excluded.body}))
