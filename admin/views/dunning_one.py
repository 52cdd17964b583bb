"""One contract's reminders and cut: what was done, what comes next, what it takes to avoid it, and what may be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.dunning import DunningParts, did, read_day, reason_typed, said, whys
from admin.money import Refusal
from admin.parts import Parts, page, say
from core.desk.dunning_file import BY_HAND, ContractFile
from core.desk.dunning_words import HOLDS, PROTECTED, code_words, in_sentences
from core.i18n import N_, day
from core.kernel.clock import local_date
from core.kernel.errors import StateConflict

_NO_DAY = N_("This is no date.")
DONE = {
    "held": N_("The cut is held."),
    "released": N_("The hold has ended."),
    "protected": N_("The place is protected. Supply that was cut comes back."),
    "unprotected": N_("The place is not protected any more."),
    "handed": N_("Written down: the notice was handed over."),
}


@dataclass(frozen=True, slots=True)
class _Pages:
    parts: Parts
    dunning: DunningParts

    def file(self, contract_id: int) -> ContractFile:
        found = self.dunning.desk.file(contract_id)
        if found is None:
            raise NotFound
        return found

    def show(self, contract_id: int, refusal: Refusal | None = None) -> Response:
        f = self.file(contract_id)
        now = self.parts.clock.now()
        told = self.dunning.foresight.one(contract_id, None)
        policy = self.dunning.policies.in_force().policy
        body = page(
            "dunning_one.html", self.parts, f=f, told=told, refusal=refusal, typed=request.form if refusal else {},
            done=DONE.get(request.args.get("done", ""), ""), now=now, today=local_date(now, f.zone), day=day,
            kinds=BY_HAND, hold_names=HOLDS, protected_names=PROTECTED, reason_text=reason_text,
            whys=whys((*told.why_not, *told.held), f.zone) if told else [],
            sentences=[said(one) for one in in_sentences(policy)],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def did(self, contract_id: int, what: str, detail: str, do: Callable[[], object]) -> Response:
        f = self.file(contract_id)
        answer = did(self.parts, what, f.account, detail, do)
        if isinstance(answer, Refusal):
            return self.show(contract_id, answer)
        return make_response(redirect(url_for("admin.dunned", contract_id=contract_id, done=what), 303))


def add_pages(admin: Blueprint, parts: Parts, dunning: DunningParts) -> None:
    pages = _Pages(parts, dunning)

    @admin.get("/dunning/<int:contract_id>")
    def dunned(contract_id: int) -> Response:
        return pages.show(contract_id)

    _add_holds(admin, pages)
    _add_places(admin, pages)

    @admin.post("/dunning/<int:contract_id>/notice/<int:task_id>")
    def hand_over_notice(contract_id: int, task_id: int) -> Response:
        def hand() -> None:
            if not any(step.crew_task == task_id for cycle in pages.file(contract_id).cycles for step in cycle.steps):
                raise StateConflict(f"task {task_id} is no open notice of this contract")
            if not dunning.billing.notice_handed_over(task_id, by=g.who.login):
                raise StateConflict(f"task {task_id} is no open notice")

        return pages.did(contract_id, "handed", reason_typed(), hand)


def _add_holds(admin: Blueprint, pages: _Pages) -> None:
    desk = pages.dunning.desk

    @admin.post("/dunning/<int:contract_id>/hold")
    def put_hold(contract_id: int) -> Response:
        pages.file(contract_id)
        until, kind, reason = read_day(request.form.get("until", "")), request.form.get("kind", ""), reason_typed()
        if until is None:
            return pages.show(contract_id, Refusal(say(_NO_DAY), 400))
        return pages.did(
            contract_id, "held", reason,
            lambda: desk.put_hold(contract_id, kind, until, reason=reason, by=g.who.login),
        )  # fmt: skip

    @admin.post("/dunning/<int:contract_id>/holds/<int:hold_id>/release")
    def release_hold(contract_id: int, hold_id: int) -> Response:
        if all(hold.id != hold_id for hold in pages.file(contract_id).holds):
            raise NotFound
        reason = reason_typed()
        return pages.did(
            contract_id, "released", reason, lambda: desk.release_hold(hold_id, reason=reason, by=g.who.login)
        )


def _add_places(admin: Blueprint, pages: _Pages) -> None:
    desk = pages.dunning.desk

    @admin.post("/dunning/<int:contract_id>/protect")
    def protect_site(contract_id: int) -> Response:
        pages.file(contract_id)
        form, reason = request.form, reason_typed()
        typed, kind, paper = form.get("until", ""), form.get("kind", ""), form.get("paper", "")
        until = read_day(typed)
        if typed.strip() and until is None:
            return pages.show(contract_id, Refusal(say(_NO_DAY), 400))
        return pages.did(
            contract_id, "protected", reason,
            lambda: desk.protect(contract_id, kind, paper=paper, until=until, reason=reason, by=g.who.login),
        )  # fmt: skip

    @admin.post("/dunning/<int:contract_id>/unprotect")
    def unprotect_site(contract_id: int) -> Response:
        reason = reason_typed()
        return pages.did(
            contract_id, "unprotected", reason, lambda: desk.unprotect(contract_id, reason=reason, by=g.who.login)
        )


def reason_text(reason: Any) -> str:
    """A reason as a decision keeps it, in words without its particulars: those stand among the facts."""
    if not isinstance(reason, dict):
        return str(reason)
    code, detail = str(reason.get("code", "")), str(reason.get("detail", ""))
    return said(code_words(f"hold.{detail}" if code == "hold" else detail if code == "not_due_yet" else code))
