"""What the console shows of agents. Reads only."""

from __future__ import annotations

from core.agents import console_queries
from core.agents.errors import AgentRefused
from core.agents.model import AgentLine, RuleLine
from core.db import Database
from core.kernel.clock import Clock


class AgentDesk:
    """One read each."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def agents(self) -> list[AgentLine]:
        """All agents by code."""
        with self._db.read() as session:
            return console_queries.agent_lines(session, now=self._clock.now())

    def agent(self, agent_id: int) -> AgentLine:
        """Raises AgentRefused not_active for an id that nobody has."""
        with self._db.read() as session:
            found = console_queries.agent_lines(session, now=self._clock.now(), agent_id=agent_id)
        if not found:
            raise AgentRefused("not_active")
        return found[0]

    def rules(self, agent_id: int | None = None) -> list[RuleLine]:
        """Versions of the commission, newest first; of all, or an agent's own and the general ones."""
        with self._db.read() as session:
            return console_queries.rule_lines(session, agent_id=agent_id)

    def agencies(self) -> list[tuple[int, str]]:
        """(id, name), by name."""
        with self._db.read() as session:
            return console_queries.agencies(session)
