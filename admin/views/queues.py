"""The page of queues: what waits, what hangs, what was given up, and what a person does about that."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, request
from werkzeug.exceptions import NotFound

from admin import queue_words, words
from admin.csv_export import as_csv
from admin.money import Refusal, by, tried
from admin.parts import Parts, day_time, page, say
from admin.plain_words import outcome_said
from core.desk.queue_model import DeadLine, QueueLook, Subject
from core.i18n import N_
from core.outbox import KINDS
from core.services.queues import AT_ONCE, Acted, Queues, ReasonMissing
from core.staff.rules import Permission

_EXPORT_LIMIT = 2_000
_MOST_DIGITS = 18
_PAGE = "/admin/queues/"


def add_pages(admin: Blueprint, parts: Parts, queues: Queues) -> None:
    def show(refusal: Refusal | None = None) -> Response:
        kind, given_up = _kind(), request.args.get("given_up") == "1"
        body = page(
            "queues.html", parts, look=queues.look(), zone=parts.zone, refusal=refusal, qw=queue_words,
            kinds=[(name, say(words.name("queue", name))) for name in KINDS],
            dead=queues.dead(kind=kind, given_up=given_up, before=_before()), kind=kind, given_up=given_up,
            asked=_asked(kind, given_up), done=_done(), thing=_thing, thing_path=_path, at_once=AT_ONCE,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def answered(acted: list[Acted] | Refusal) -> Response:
        if isinstance(acted, Refusal):
            return show(acted)
        counts: dict[str, str] = {}
        for one in acted:
            counts[one.outcome] = str(int(counts.get(one.outcome, 0)) + 1)
        back = _asked(_kind(), request.args.get("given_up") == "1")
        return make_response(redirect(f"{_PAGE}?{'&'.join(filter(None, (back, urlencode(counts))))}#dead", 303))

    @admin.get("/queues/", endpoint="queues")
    def queues_() -> Response:
        return show()

    @admin.get("/queues/<table>.csv")
    def export_queues(table: str) -> Response:
        if table == "dead":
            found = queues.dead(kind=_kind(), given_up=request.args.get("given_up") == "1", limit=_EXPORT_LIMIT)
            head, rows = _DEAD_HEAD, [_dead_row(line, parts.zone) for line in found.lines]
        elif table in TABLES:
            head, rows = TABLES[table](queues.look(), parts.zone)
        else:
            raise NotFound
        parts.staff.note(g.who.login, "export.queues", table, f"{len(rows)} rows")
        return as_csv(f"queues-{table}.csv", head, rows)

    @admin.post("/queues/again")
    def try_again() -> Response:
        ids = _ids()
        return answered(tried(lambda: queues.try_again(ids, by=by())) if ids else _nothing_chosen())

    @admin.post("/queues/give-up")
    def give_up() -> Response:
        ids = _ids()
        if not ids:
            return answered(_nothing_chosen())
        try:
            return answered(tried(lambda: queues.give_up(ids, reason=request.form.get("reason", ""), by=by())))
        except ReasonMissing as error:
            return answered(Refusal(say(error.text), 400))


def _nothing_chosen() -> Refusal:
    return Refusal(say(N_("Tick at least one row.")), 400)


def _ids() -> list[int]:
    """The rows ticked, or the one whose own button was pressed. Raises NotFound for what is no number."""
    given = request.form.getlist("one") or request.form.getlist("row")
    if any(not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS for text in given):
        raise NotFound
    return [int(text) for text in given]


def _kind() -> str:
    kind = request.args.get("kind", "")[:32]
    return kind if kind in KINDS else ""


def _before() -> int | None:
    text = request.args.get("before", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def _asked(kind: str, given_up: bool) -> str:
    return urlencode({name: value for name, value in (("kind", kind), ("given_up", "1" if given_up else "")) if value})


def _done() -> list[str]:
    """What the form before did, in words: its counts stand in the address."""
    said: list[str] = []
    for name, (one, many) in queue_words.DONE.items():
        count = request.args.get(name, "")
        if count.isascii() and count.isdecimal() and 0 < int(count[:4]) <= AT_ONCE:
            said.append(say(one) if count == "1" else say(many, n=count))
    return said


def _thing(subject: Subject) -> str:
    """What a row is about: `invoice F-2026-000123`."""
    if subject.thing == "run":
        name, zone = queue_words.run_name(subject.number)
        return f"{say(name)} {zone}".strip()
    if subject.thing == "other":
        return subject.number
    text = queue_words.THINGS.get(subject.thing)
    words_ = say(text, number=subject.number or subject.id) if text else ""
    if subject.thing == "notice":
        return f"{say(words.name('notice', subject.kind))} {words_}"
    return words_


def _path(subject: Subject) -> str:
    return queue_words.thing_path(subject, money=g.who.may(Permission.SEE_MONEY))


Table = tuple[list[str], list[list[object]]]


def _work(look: QueueLook, zone: str) -> Table:
    head = [N_("Queue"), N_("Work"), N_("Due now"), N_("Oldest since"), N_("Later"), N_("In hand"), N_("Given up")]
    return head, [
        [line.queue, line.kind, line.due, day_time(line.oldest_at, zone), line.later, line.held, line.dead]
        for line in look.lines
    ]


def _hand(look: QueueLook, zone: str) -> Table:
    head = [N_("Number"), N_("Work"), N_("About"), N_("Worker"), N_("Since"), N_("Ends at"), N_("Tries")]
    return head, [
        [h.id, h.kind, _thing(h.subject), h.holder, day_time(h.since, zone), day_time(h.until, zone), h.tries]
        for h in look.held
    ]


def _runs(look: QueueLook, zone: str) -> Table:
    head = [N_("Run"), N_("Last"), N_("Began"), N_("Ended"), N_("State"), N_("Outcome"), N_("Next")]
    return head, [
        [
            run.name, day_time(run.ran_for or run.due_at, zone), day_time(run.opened_at, zone),
            day_time(run.ended_at, zone), say(queue_words.RUN_STATES[run.state][0]), outcome_said(say, run.outcome),
            day_time(run.next_due, zone),
        ]
        for run in look.runs
    ]  # fmt: skip


def _workers(look: QueueLook, zone: str) -> Table:
    head = [N_("Queue"), N_("Worker"), N_("Machine"), N_("Since"), N_("Last heard")]
    return head, [
        [w.queue, w.name, w.host, day_time(w.since, zone), day_time(w.heard_at, zone)] for w in look.backstage.workers
    ]


TABLES = {"work": _work, "hand": _hand, "runs": _runs, "workers": _workers}

_DEAD_HEAD = [
    N_("Number"), N_("Work"), N_("About"), N_("Customer"), N_("Account"), N_("Since"), N_("Tries"), N_("Why"),
    N_("Done about it"), N_("Reason"),
]  # fmt: skip


def _dead_row(line: DeadLine, zone: str) -> list[object]:
    last = line.last
    return [
        line.id, say(words.name("queue", line.kind)), _thing(line.subject), line.subject.customer, line.subject.account,
        day_time(line.created_at, zone), line.tries, line.error,
        say(queue_words.ACTS[last.act], by=last.by) if last else "", last.reason if last else "",
    ]  # fmt: skip
