"""schemathesis over the whole document: no fault of ours, and no answer that the document does not tell of."""

from __future__ import annotations

import pytest

from core.agents.tables import AgentRow
from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.channels.api import api_town


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "forbidden"])
def test_the_document_is_the_truth(db: Database, clock: FixedClock, allowed: bool) -> None:
    """Every operation is asked what the document allows, and what it forbids. What is changed is part of the trial."""
    pytest.importorskip("schemathesis")
    from tests.channels.api import schema_trial

    api_town.homes(db, 3)
    with db.begin() as session:
        session.add(
            AgentRow(
                code="A1",
                name="Agent",
                phone=town.phone_number(999),
                agency_id=1,
                currency="CDF",
                pin_hash="-",
                created_at=clock.now(),
            )
        )
    api = api_town.build(db, clock)
    operations = schema_trial.operations(api.app)
    assert len(operations) >= 28
    for operation in operations:
        schema_trial.ask(operation, api.secret, allowed=allowed)
