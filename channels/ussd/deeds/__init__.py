"""What a screen has done for it: one module per journey, each giving deeds by name.

A deed runs in the turn, with local calls only: at most two reads, or one transaction. The same turn's key again changes
nothing and gives what was done the first time (`core.turns.deeds.once`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.customers.model import AgentRole


@dataclass(frozen=True, slots=True)
class Asked:
    """One deed to do. `turn_key` names the turn for ever; `pin` is what was typed at a secret step, kept nowhere.

    `say`: what came of it → the END that the customer reads, None where the session goes on. Pure: a deed that ends the
    session calls it inside its transaction and stores the text there, so that it is given again word for word.
    """

    turn_key: str
    phone: str
    language: str
    values: Mapping[str, Any]
    say: Callable[[Mapping[str, Any]], str | None]
    pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a deed. `did`: JSON, for the next state's params. `end_text`: stored with it, shown word for word.
    `agent`: the PIN was right, the session is this agent's from here on."""

    did: Mapping[str, Any]
    end_text: str | None = None
    agent: AgentRole | None = None


# May raise NotRecorded: nothing was done, and the customer is told so.
Deed = Callable[[Asked], Done]
