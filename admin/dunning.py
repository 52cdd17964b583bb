"""What the pages about reminders and cuts are built from and share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from flask import request

from admin.money import Refusal, act
from admin.parts import Parts, say
from core.billing.model import StepDue, WhyNot
from core.desk.dunning_words import STEPS, WORDS, Sentence, why
from core.i18n import N_, day
from core.services.billing import Billing
from core.services.dunning_desk import DunningDesk
from core.services.dunning_policies import DunningPolicies
from core.services.foresight import Foresight, Told
from core.supply.rules import HoldReason

T = TypeVar("T")
REASON_MAX = 200


@dataclass(frozen=True, slots=True)
class DunningParts:
    """The services behind /admin/dunning/."""

    foresight: Foresight
    desk: DunningDesk
    policies: DunningPolicies
    billing: Billing


def said(sentence: Sentence) -> str:
    """A sentence of `core.desk.dunning_words` in the reader's language."""
    text, blanks = sentence
    return say(text, **{name: say(value) if name in WORDS and value else value for name, value in blanks.items()})


def reasons(told: Told) -> list[str]:
    """Why supply is not cut on the day, each reason once."""
    return whys((*told.why_not, *told.held), told.zone)


def whys(found: Iterable[WhyNot | HoldReason], zone: str) -> list[str]:
    return list(dict.fromkeys(" ".join(said(sentence) for sentence in why(reason, zone)) for reason in found))


def step_text(step: StepDue) -> str:
    """A step that is due, in words: what, by whom, which day it names."""
    text, again = say(STEPS[step.base]), step.step.partition(".")[2]
    if again:
        text = say(N_("{step}, said time {n}"), step=text, n=again)
    if step.cut_on is not None:
        text = say(N_("{step}, names {day}"), step=text, day=day(step.cut_on))
    return say(N_("{step} by crew"), step=text) if step.channel == "crew" else text


def reason_typed() -> str:
    return " ".join(request.form.get("reason", "").split())


def read_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def did(parts: Parts, what: str, subject: str, detail: str, do: Callable[[], T]) -> T | Refusal:
    """Do one thing, with its entry in the audit log; a reason is asked for before anything is written there."""
    if not detail.strip() or len(detail) > REASON_MAX:
        return Refusal(say(N_("Say why, {n} characters at most."), n=REASON_MAX), 400)
    return act(parts, f"dunning.{what}", subject, detail, do)
