"""The policy behind reminders and cuts: the version in force, those before and after it, and what stops all cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.datastructures import MultiDict

from admin.dunning import DunningParts, did, read_day, reason_typed, said
from admin.money import Refusal
from admin.parts import Parts, page, say
from core.billing.policy import DunningPolicy
from core.desk.dunning_words import FIELDS, HOLDS, changed, in_sentences, value_sentences, values
from core.i18n import N_, day
from core.kernel.clock import local_date
from core.kernel.money import CURRENCIES, Money
from core.supply.rules import OffPolicy

_NO_DAY = N_("This is no date.")
_NO_NUMBER = N_("{field}: this is no whole number.")
DONE = {
    "policy_asked": N_("Written down. It waits for a second person."),
    "policy_released": N_("Released. It is in force from its day on."),
    "policy_rejected": N_("Turned down."),
    "stopped": N_("All cuts are stopped from this moment on."),
    "holiday": N_("No cut on that day."),
    "lifted": N_("Lifted. Announcements are made anew before anybody is cut."),
}
_OFF = {f.name for f in fields(OffPolicy)} - {"floor_minor", "percent_of_invoice", "hold_limits"}
# What the form does not ask as a plain whole number.
_APART = {"floor_minor", "hold_limits", "promise_days", "days", "eve_of_holiday", "extra_holidays", "brake"}
NUMBERS = tuple(name for name in FIELDS if name not in _APART)


@dataclass(frozen=True, slots=True)
class _Pages:
    parts: Parts
    dunning: DunningParts

    def show(self, refusal: Refusal | None = None) -> Response:
        policies = self.dunning.policies
        in_force, versions = policies.in_force(), policies.versions()
        now = self.parts.clock.now()
        body = page(
            "dunning_policy.html", self.parts, refusal=refusal, done=DONE.get(request.args.get("done", ""), ""),
            in_force=in_force, sentences=[said(one) for one in in_sentences(in_force.policy)], day=day, changes=changes,
            values=[(FIELDS[name], shown(name, value)) for name, value in values(in_force.policy).items()],
            history=list(zip(versions, (*versions[1:], None), strict=True)), drafts=policies.drafts(),
            stops=policies.stops(), brake=policies.brake(), today=local_date(now, self.parts.zone),
            zone=self.parts.zone,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def did(self, what: str, subject: str, detail: str, do: Callable[[], object]) -> Response:
        answer = did(self.parts, what, subject, detail, do)
        if isinstance(answer, Refusal):
            return self.show(answer)
        return make_response(redirect(url_for("admin.dunning_policy", done=what), 303))


def add_pages(admin: Blueprint, parts: Parts, dunning: DunningParts) -> None:
    pages = _Pages(parts, dunning)

    @admin.get("/dunning/policy")
    def dunning_policy() -> Response:
        return pages.show()

    _add_stops(admin, pages)
    _add_drafts(admin, pages)
    _add_new(admin, pages)


def _add_stops(admin: Blueprint, pages: _Pages) -> None:
    policies = pages.dunning.policies

    @admin.post("/dunning/policy/stop")
    def stop_cuts() -> Response:
        reason = reason_typed()
        return pages.did("stopped", "all", reason, lambda: policies.pull_brake(reason=reason, by=g.who.login))

    @admin.post("/dunning/policy/holiday")
    def declare_holiday() -> Response:
        on, reason = read_day(request.form.get("day", "")), reason_typed()
        if on is None:
            return pages.show(Refusal(say(_NO_DAY), 400))
        return pages.did(
            "holiday", on.isoformat(), reason, lambda: policies.declare_holiday(on, reason=reason, by=g.who.login)
        )

    @admin.post("/dunning/policy/stops/<int:stop_id>/lift")
    def lift_stop(stop_id: int) -> Response:
        reason = reason_typed()
        return pages.did("lifted", str(stop_id), reason, lambda: policies.lift(stop_id, reason=reason, by=g.who.login))


def _add_drafts(admin: Blueprint, pages: _Pages) -> None:
    policies = pages.dunning.policies

    @admin.post("/dunning/policy/drafts/<int:draft_id>/release")
    def release_policy(draft_id: int) -> Response:
        return pages.did(
            "policy_released", str(draft_id), f"draft {draft_id}", lambda: policies.release(draft_id, by=g.who.login)
        )

    @admin.post("/dunning/policy/drafts/<int:draft_id>/reject")
    def reject_policy(draft_id: int) -> Response:
        reason = reason_typed()
        return pages.did(
            "policy_rejected", str(draft_id), reason,
            lambda: policies.reject(draft_id, reason=reason, by=g.who.login),
        )  # fmt: skip


def _add_new(admin: Blueprint, pages: _Pages) -> None:
    policies = pages.dunning.policies

    def form(refusal: Refusal | None = None) -> Response:
        in_force = policies.in_force()
        typed = request.form if refusal else _as_typed(in_force.policy)
        tomorrow = local_date(pages.parts.clock.now(), pages.parts.zone) + timedelta(days=1)
        body = page(
            "dunning_policy_new.html", pages.parts, refusal=refusal, typed=typed, numbers=NUMBERS, fields=FIELDS,
            kinds=tuple(in_force.policy.hold_limits), hold_names=HOLDS, currencies=sorted(CURRENCIES),
            number=in_force.number, tomorrow=tomorrow,
            days=[shown("days", (n,)) for n in range(7)],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/dunning/policy/new")
    def new_policy() -> Response:
        return form()

    @admin.post("/dunning/policy/new")
    def ask_policy() -> Response:
        first, reason = read_day(request.form.get("valid_from", "")), reason_typed()
        if first is None:
            return form(Refusal(say(_NO_DAY), 400))
        body = _read(request.form, policies.in_force().policy)
        if isinstance(body, Refusal):
            return form(body)
        answer = did(
            pages.parts, "policy_asked", first.isoformat(), reason,
            lambda: policies.ask(body, valid_from=first, note=reason, by=g.who.login),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return form(answer)
        return make_response(redirect(url_for("admin.dunning_policy", done="policy_asked"), 303))


def shown(name: str, value: Any) -> str:
    """One value of a policy for the eye."""
    return "; ".join(said(one) for one in value_sentences(name, value))


def changes(before: DunningPolicy | None, after: DunningPolicy) -> list[tuple[str, str, str]]:
    """(what, before, after) of each number that a version changed, in words."""
    if before is None:
        return []
    return [(FIELDS[name], shown(name, old), shown(name, new)) for name, old, new in changed(before, after)]


def _as_typed(policy: DunningPolicy) -> MultiDict[str, str]:
    typed: MultiDict[str, str] = MultiDict()
    all_of = values(policy)
    for name in NUMBERS:
        typed[name] = str(all_of[name])
    for currency, minor in policy.floor_minor.items():
        typed[f"floor_{currency}"] = Money(minor, currency).decimal_text(0 if minor % 100 == 0 else 2)
    for kind, (most, hours) in policy.hold_limits.items():
        typed[f"most_{kind}"], typed[f"days_{kind}"] = str(most), f"{hours / 24:g}"
    typed["promise_days"] = ", ".join(map(str, policy.promise_days))
    typed.setlist("days", [str(number) for number in all_of["days"]])
    if all_of["eve_of_holiday"]:
        typed["eve_of_holiday"] = "1"
    typed["extra_holidays"] = ", ".join(one.isoformat() for one in all_of["extra_holidays"])
    return typed


def _read(form: MultiDict[str, str], base: DunningPolicy) -> dict[str, Any] | Refusal:
    """The body of a version as the form says it, or which field cannot be read."""
    body: dict[str, Any] = {}
    try:
        for name in NUMBERS:
            body[name] = _whole(form, name, FIELDS[name])
        body["floor_minor"] = {
            currency: _whole(form, f"floor_{currency}", FIELDS["floor_minor"]) * 100
            for currency in sorted(CURRENCIES)
            if form.get(f"floor_{currency}", "").strip()
        }
        body["hold_limits"] = {
            kind: [
                _whole(form, f"most_{kind}", FIELDS["hold_limits"]),
                _whole(form, f"days_{kind}", FIELDS["hold_limits"]) * 24,
            ]
            for kind in base.hold_limits
        }
        body["promise_days"] = [_number(one, FIELDS["promise_days"]) for one in _list(form, "promise_days")]
        body["days"] = sorted(_number(one, FIELDS["days"]) for one in form.getlist("days"))
    except _NotRead as error:
        return Refusal(say(_NO_NUMBER, field=say(str(error))), 400)
    body["eve_of_holiday"] = "eve_of_holiday" in form
    body["extra_holidays"] = _list(form, "extra_holidays")
    off = {name: body.pop(name) for name in sorted(_OFF & set(body))}
    return {**body, "off": off}


class _NotRead(Exception):
    """A field without a whole number; its name as a msgid."""


def _list(form: MultiDict[str, str], name: str) -> list[str]:
    return [one.strip() for one in form.get(name, "")[:400].split(",") if one.strip()]


def _whole(form: MultiDict[str, str], name: str, field: str) -> int:
    return _number(form.get(name, ""), field)


def _number(text: str, field: str) -> int:
    plain = text.replace(" ", "")
    if not plain.isdecimal() or len(plain) > 9:
        raise _NotRead(field)
    return int(plain)
