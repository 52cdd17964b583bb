"""What a session keeps between two turns, as JSON on Redis. Never what was typed at a PIN step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from channels.ussd.menu.engine import HOME, Drawn, Place, Resume
from core.customers.model import AgentRole

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Memory:
    """`warned`: the contract whose amount and date stand on the screen now. `currency`: of the amount being paid.
    `agent`: whose PIN was right in this session."""

    place: Place = field(default_factory=lambda: Place(HOME))
    language: str | None = None
    warned: int | None = None
    resume: Resume | None = None
    currency: str = "CDF"
    agent: AgentRole | None = None

    @classmethod
    def from_json(cls, text: bytes) -> Memory:
        raw = json.loads(text)
        place = Place(
            raw["k"], raw["p"], raw["e"], raw["g"], tuple((key, params) for key, params in raw["t"]), raw["s"]
        )
        resume = Resume(*raw["r"]) if raw["r"] else None
        agent = AgentRole(*raw["a"]) if raw.get("a") else None
        return cls(place, raw["l"], raw["w"], resume, raw["c"], agent)

    def to_json(self) -> str:
        place = self.place
        return _dumps(
            {
                "k": place.key,
                "p": place.params,
                "e": place.errors,
                "g": place.page,
                "t": place.trail,
                "s": place.shown,
                "l": self.language,
                "w": self.warned,
                "r": _parts(self.resume) if self.resume else None,
                "c": self.currency,
                "a": _role(self.agent) if self.agent else None,
            }
        )

    def at(self, drawn: Drawn, language: str) -> Memory:
        """On a new page. The offer to go on with a lost payment stands on the home screen only."""
        return replace(
            self,
            place=replace(drawn.place, hint=None),
            language=language,
            warned=drawn.screen.warned_contract,
            resume=self.resume if drawn.place.key == HOME else None,
            currency=drawn.currency or self.currency,
        )

    @staticmethod
    def read_resume(text: bytes | None) -> Resume | None:
        """What an earlier session of this caller left; None for what this release cannot read."""
        if not text:
            return None
        try:
            return Resume(*json.loads(text))
        except (ValueError, TypeError):
            return None

    @staticmethod
    def resume_of(params: Mapping[str, Any], currency: str) -> str:
        """A payment that waits for its confirmation, to be offered again after a lost session."""
        return _dumps(
            (params["c"], params.get("account"), params["what"], params["minor"], currency, params.get("invoice"))
        )


def _parts(resume: Resume) -> tuple[Any, ...]:
    return (
        resume.contract_id,
        resume.account,
        resume.what,
        resume.minor,
        resume.currency,
        resume.invoice_id,
    )


def _role(agent: AgentRole) -> tuple[Any, ...]:
    return (agent.agent_id, agent.code, agent.name, agent.currency)
