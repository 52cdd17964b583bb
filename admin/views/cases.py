"""Cases: the list, one case, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.cases import CaseParts, form_key, sent_key
from admin.csv_export import as_csv
from admin.money import Refusal, act
from admin.parts import Parts, day_time, page, say
from core.cases.model import CaseFile, CaseLine
from core.cases.rules import KINDS
from core.i18n import N_
from core.kernel.digits import grouped, is_account_number, normalise
from core.notices.case_texts import ANSWER_MAX
from core.phone_numbers import parse_e164

VIEWS = ("live", "open", "taken", "answered", "closed", "all")
_LIMIT, _EXPORT_LIMIT = 200, 2_000
_NOTE_MAX, _REASON_MAX = 1_000, 200
_HEAD = [
    N_("Number"), N_("Opened"), N_("Kind"), N_("State"), N_("Source"), N_("Customer"), N_("Account"), N_("Invoice"),
    N_("Phone"), N_("Text"), N_("Reports"), N_("Given to"), N_("Closed"), N_("Closed by"), N_("Reason"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of cases share."""

    parts: Parts
    services: CaseParts

    def found(self, number: str) -> CaseFile:
        file = self.services.cases.one(number) if number.isdecimal() and len(number) <= 12 else None
        if file is None:
            raise NotFound
        return file

    def show(self, number: str, refusal: Refusal | None = None, typed: str = "") -> Response:
        file = self.found(number)
        body = page(
            "case.html", self.parts, c=file.line, notes=file.notes, refusal=refusal, typed=typed, key=form_key(),
            zone=file.line.zone or self.parts.zone, now=self.parts.clock.now(), done=request.args.get("done"),
            answer_max=ANSWER_MAX, me=_by(),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def did(self, number: str, word: str, detail: str, do: Callable[[], None]) -> Response:
        """Do one thing to a case, with its entry in the audit log; then the case again."""
        file = self.found(number)
        answer = act(self.parts, f"case.{word}", file.line.number, detail, do)
        if isinstance(answer, Refusal):
            return self.show(number, answer, detail)
        return make_response(redirect(url_for("admin.case", number=number, done=word), 303))


def add_pages(admin: Blueprint, parts: Parts, services: CaseParts) -> None:
    pages = _Pages(parts, services)
    _add_lists(admin, parts, services)
    _add_new(admin, parts, services)
    _add_one(admin, pages)


def _add_lists(admin: Blueprint, parts: Parts, services: CaseParts) -> None:
    @admin.get("/cases")
    def cases() -> Response:
        view, kind, mine = _one_of("view", VIEWS) or "live", _one_of("kind", KINDS), bool(request.args.get("mine"))
        found = services.cases.listed(view=view, kind=kind, assigned_to=_by() if mine else None, limit=_LIMIT)
        body = page(
            "cases.html", parts, found=found, view=view, views=VIEWS, kind=kind, kinds=KINDS, mine=mine,
            counts=services.cases.counts(), limit=_LIMIT, zone=parts.zone, now=parts.clock.now(),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/cases.csv")
    def export_cases() -> Response:
        view, kind = _one_of("view", VIEWS) or "all", _one_of("kind", KINDS)
        found = services.cases.listed(view=view, kind=kind, limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.cases", view, f"{len(found)} rows")
        return as_csv("cases.csv", _HEAD, [_row(line, parts.zone) for line in found])


def _add_new(admin: Blueprint, parts: Parts, services: CaseParts) -> None:
    def form(refusal: Refusal | None = None) -> Response:
        typed = request.form if refusal else request.args
        body = page("case_new.html", parts, kinds=KINDS, typed=typed, refusal=refusal, key=form_key())
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/cases/new")
    def new_case() -> Response:
        return form()

    @admin.post("/cases/new")
    def open_case() -> Response:
        key, kind, body = sent_key(), request.form.get("kind", ""), request.form.get("body", "").strip()
        account, typed_phone = normalise(request.form.get("account", "")[:20]), request.form.get("phone", "")[:20]
        phone = parse_e164(typed_phone) if typed_phone.strip() else None
        if kind not in KINDS or not body or len(body) > _NOTE_MAX:
            return form(Refusal(say(N_("Choose a kind and write down what was said, 1 000 characters at most.")), 400))
        if account and not is_account_number(account):
            return form(Refusal(say(N_("This is no account number.")), 400))
        if typed_phone.strip() and phone is None:
            return form(Refusal(say(N_("This is no telephone number.")), 400))
        answer = act(
            parts, "case.opened", account or typed_phone or "-", f"{kind}: {body}",
            lambda: services.cases.open_by_staff(
                kind=kind, body=body, account=account, phone=phone, key=key, by=_by()
            ),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return form(Refusal(say(N_("There is no such account.")), 409) if answer.status == 409 else answer)
        return make_response(redirect(url_for("admin.case", number=answer, done="opened"), 303))


def _add_one(admin: Blueprint, pages: _Pages) -> None:
    cases = pages.services.cases

    @admin.get("/cases/<number>")
    def case(number: str) -> Response:
        return pages.show(number)

    @admin.post("/cases/<number>/take")
    def take_case(number: str) -> Response:
        key, to = sent_key(), request.form.get("to", "").strip()[:80] or _by()
        return pages.did(number, "taken", to, lambda: cases.take(number, to=to, key=key, by=_by()))

    @admin.post("/cases/<number>/note")
    def note_case(number: str) -> Response:
        key, text = sent_key(), _text()
        if not text or len(text) > _NOTE_MAX:
            return pages.show(number, Refusal(say(N_("Write something, 1 000 characters at most.")), 400), text)
        return pages.did(number, "noted", text, lambda: cases.note(number, text, key=key, by=_by()))

    @admin.post("/cases/<number>/answer")
    def answer_case(number: str) -> Response:
        key, text = sent_key(), _text()
        if not text or len(text) > ANSWER_MAX:
            refusal = Refusal(say(N_("Write an answer, {n} characters at most."), n=ANSWER_MAX), 400)
            return pages.show(number, refusal, text)
        return pages.did(number, "answered", text, lambda: cases.answer(number, text, key=key, by=_by()))

    @admin.post("/cases/<number>/close")
    def close_case(number: str) -> Response:
        key, text = sent_key(), _text()
        if not text or len(text) > _REASON_MAX:
            return pages.show(number, Refusal(say(N_("Say why it is closed, 200 characters at most.")), 400), text)
        return pages.did(number, "closed", text, lambda: cases.close(number, reason=text, key=key, by=_by()))


def _text() -> str:
    return " ".join(request.form.get("text", "").split())


def _by() -> str:
    login: str = g.who.login
    return login


def _one_of(name: str, allowed: tuple[str, ...]) -> str | None:
    asked = request.args.get(name, "")
    return asked if asked in allowed else None


def _row(line: CaseLine, zone: str) -> list[object]:
    closed = day_time(line.closed_at, zone) if line.closed_at else ""
    return [
        grouped(line.number), day_time(line.opened_at, zone), line.kind, line.state, line.source, line.customer,
        grouped(line.account) if line.account else "", line.invoice or "", line.phone or "", line.body, line.reports,
        line.assigned_to or "", closed, line.closed_by or "", line.close_reason,
    ]  # fmt: skip
