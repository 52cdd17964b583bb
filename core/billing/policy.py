"""The dunning policy: versioned data. Every decision keeps the version it was made under.

The 14 days are shorter than Ghana's 28 from demand; no Congolese text was found that fixes a period. The regulator may
require more: that is a new version of this data, not of the code. See `docs/dunning.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from itertools import pairwise
from typing import Any

from core.billing.errors import BadPolicy
from core.billing.model import Base


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """What is due when, and what evidence a cut needs.

    Days count from the day the cycle began, as people at the site call it. `floor_minor`, `percent_of_invoice`: supply
    is cut only for at least this much of a currency, made up of invoices of which at least this part is unpaid.
    `hold_limits`: kind of hold → (how many count per invoice and cycle, hours each may last); `*` for other kinds.
    `quiet_from_hour`, `quiet_until_hour`: when no notice leaves, to foresee what a warning names. `promise_days`: how
    many days a promise to pay may take, as the menu offers them, as far as the limit of its hold reaches;
    `promise_pause_days`: after a broken one, none for so long. `off`: the switching rules of
    `core.supply.rules.OffPolicy`, kept in the same version.
    """

    version: int = 1
    reminder_after_days: int = 3
    warning_after_days: int = 7
    announcement_after_days: int = 14
    warning_min_age_h: int = 48
    warning_max_age_days: int = 8
    repeat_after_days: int = 2
    repeats_max: int = 5
    announcement_lead_h: int = 1
    announcement_max_age_h: int = 30
    quiet_from_hour: int = 20
    quiet_until_hour: int = 8
    percent_of_invoice: int = 20
    floor_minor: Mapping[str, int] = field(default_factory=lambda: {"CDF": 500_000, "USD": 200})
    hold_limits: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "pending_payment": (2, 24),
            "promise": (2, 10 * 24),
            "dispute": (1, 30 * 24),
            "medical": (2, 30 * 24),
            "*": (2, 15 * 24),
        }
    )
    promise_days: tuple[int, ...] = (3, 7, 14)
    promise_pause_days: int = 30
    off: Mapping[str, Any] = field(default_factory=dict)

    def offsets(self) -> tuple[tuple[Base, int], ...]:
        """The steps in order, each with its day counted from the start of the cycle."""
        return (
            ("sent", 0),
            ("reminder", self.reminder_after_days),
            ("warning", self.warning_after_days),
            ("announcement", self.announcement_after_days),
        )

    def hold_limit(self, kind: str) -> tuple[int, int]:
        """How many holds of a kind count per invoice and cycle, and how many hours each may last."""
        return self.hold_limits.get(kind) or self.hold_limits.get("*", (0, 0))

    def stopped_by(self, days: Collection[date | None]) -> DunningPolicy:
        """The same version with what stops cuts at once in its switching rules: days, and None for the brake."""
        if not days:
            return self
        named = {*self.off.get("extra_holidays", ()), *(day.isoformat() for day in days if day is not None)}
        off = {**self.off, "extra_holidays": sorted(named), "brake": None in days or bool(self.off.get("brake"))}
        return replace(self, off=off)

    @property
    def braked(self) -> bool:
        """Whether all cuts are stopped."""
        return bool(self.off.get("brake"))

    def as_json(self) -> dict[str, Any]:
        """The body of a row of `dunning_policy`; `from_json` reads it back to an equal policy."""
        body = asdict(self)
        del body["version"]
        body["hold_limits"] = {kind: list(limit) for kind, limit in self.hold_limits.items()}
        body["promise_days"] = list(self.promise_days)
        return body

    @classmethod
    def from_json(cls, version: int, body: Mapping[str, Any]) -> DunningPolicy:
        """Read one version; what is left out has the default. Raises BadPolicy naming what cannot be."""
        unknown = sorted(set(body) - ({f.name for f in fields(cls)} - {"version"}))
        if unknown:
            raise BadPolicy(f"The dunning policy knows no entry {unknown[0]!r}.")
        values = {name: _read(name, value) for name, value in body.items()}
        policy = cls(version=version, **values)
        days = [day for _, day in policy.offsets()]
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise BadPolicy("The days of reminder, warning and announcement must follow each other.")
        if policy.warning_min_age_h >= policy.warning_max_age_days * 24:
            raise BadPolicy("warning_min_age_h must be shorter than warning_max_age_days.")
        if policy.repeat_after_days < 1:
            raise BadPolicy("repeat_after_days must be at least 1.")
        return policy


DEFAULT_POLICY = DunningPolicy()


def _read(name: str, value: Any) -> Any:
    if name == "off":
        return dict(_mapping(name, value))
    if name == "promise_days":
        return _whole_numbers(name, value)
    if name == "floor_minor":
        return {str(k): _whole(f"{name}.{k}", v) for k, v in _mapping(name, value).items()}
    if name == "hold_limits":
        return {str(k): _pair(f"{name}.{k}", v) for k, v in _mapping(name, value).items()}
    return _whole(name, value)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadPolicy(f"{name} must be a table of entries, not {value!r}.")
    return value


def _pair(name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadPolicy(f"{name} must be two numbers: how many, and hours each.")
    return _whole(name, value[0]), _whole(name, value[1])


def _whole_numbers(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise BadPolicy(f"{name} must be a list of whole numbers, not {value!r}.")
    return tuple(_whole(name, item) for item in value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadPolicy(f"{name} must be a whole number, 0 or more, not {value!r}.")
    return value
