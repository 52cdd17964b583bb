"""Write a notice, and the effect that will send it, into the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog
from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.orm import Session

from core import outbox
from core.i18n import DEFAULT_LANGUAGE, LANGUAGES, translate
from core.kernel import gsm7
from core.kernel.clock import Clock
from core.notices import queries, rules
from core.notices.tables import NoticeRow
from core.notices.texts import DEFAULT_SHORT_CODE, KINDS, Kind, Text, pick

_log = structlog.get_logger("notices")

# How far back notices to a number are counted: a capped one may have been moved on by days.
_CAP_WINDOW = timedelta(days=10)

# Asked with every notice: built once.
_OF_KEY = select(NoticeRow.id).where(NoticeRow.key == bindparam("key"))
_PLANNED = select(NoticeRow.not_before).where(
    NoticeRow.recipient == bindparam("recipient"),
    NoticeRow.created_at >= bindparam("since"),
    NoticeRow.kind == bindparam("kind"),
    NoticeRow.state != "suppressed",
)

_INSERT = insert(cast(Table, NoticeRow.__table__))


@dataclass(frozen=True, slots=True)
class Written:
    """A notice's id. `leaves_at`: when it may leave, None for one that never will."""

    id: int
    leaves_at: datetime | None


def errand_key(notice_id: int) -> str:
    """The key of the errand that sends a notice."""
    return f"notice:{notice_id}"


def stage_notice(
    session: Session,
    *,
    clock: Clock,
    kind: str,
    key: str,
    recipient: str,
    language: str,
    blanks: Mapping[str, str],
    zone: str,
    customer_id: int | None = None,
    contract_id: int | None = None,
    invoice_id: int | None = None,
    payment_id: str | None = None,
) -> Written | None:
    """Have somebody told. Returns the notice, or None when `key` was staged before (then nothing is added).

    `recipient`: E.164 with the plus. `blanks`: see `core.notices.texts`; amounts by `Money.text`, dates by
    `core.i18n.day`; `code` may be left out (the utility's short code is put in). `zone`: of the site. One that must not
    leave (opted out, over the daily cap) is written as suppressed and gets an id all the same.
    Raises UnknownKind when no text of that kind can be filled with `blanks`.
    """
    if session.scalar(_OF_KEY, {"key": key}) is not None:
        return None
    declared = KINDS.get(kind)
    filled = {"code": str(session.info.get("short_code", DEFAULT_SHORT_CODE)), **blanks}
    text = pick(kind, filled)
    assert declared is not None
    language = language if language in LANGUAGES else DEFAULT_LANGUAGE
    body = render(text, language, filled)
    now = clock.now()
    plan = rules.plan(
        declared,
        now,
        zone,
        opted_out=queries.opted_out(session, recipient),
        planned=_planned(session, declared, recipient, clock),
    )
    segments = gsm7.segments(body)
    row = {
        "key": key,
        "kind": kind,
        "recipient": recipient,
        "language": language,
        "zone": zone,
        "body": body,
        "segments": segments,
        "customer_id": customer_id,
        "contract_id": contract_id,
        "invoice_id": invoice_id,
        "payment_id": payment_id,
        "created_at": now,
        **rules.standing(plan, now, declared),
    }
    # What it is about must be there before it.
    session.flush()
    made = session.connection().execute(_INSERT, row).inserted_primary_key
    assert made is not None
    written = Written(made[0], None if isinstance(plan, rules.Suppressed) else plan.not_before)
    if written.leaves_at is None:
        return written
    if segments > text.segments_max:
        # It is still sent: a customer who is told costs less than one who is not.
        _log.warning("notice_longer_than_promised", text=text.key, language=language, segments=segments)
    _stage_errand(session, clock, written.id, written.leaves_at, priority=declared.priority)
    return written


def _stage_errand(session: Session, clock: Clock, notice_id: int, leaves_at: datetime, *, priority: int) -> None:
    outbox.stage(
        session,
        kind="notice.send",
        key=errand_key(notice_id),
        body={"notice_id": notice_id},
        clock=clock,
        priority=priority,
        business_at=leaves_at if leaves_at > clock.now() else None,
    )


def render(text: Text, language: str, blanks: Mapping[str, str]) -> str:
    """What stands on the phone: translated, filled, and inside GSM-7."""
    return gsm7.fold(translate(text.body, language, **blanks))


def _planned(session: Session, kind: Kind, recipient: str, clock: Clock) -> tuple[datetime, ...]:
    if kind.daily_cap is None:
        return ()
    asked = {"recipient": recipient, "since": clock.now() - _CAP_WINDOW, "kind": kind.name}
    return tuple(session.scalars(_PLANNED, asked))
