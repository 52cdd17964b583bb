"""Write an e-mail, and the effect that will send it, into the caller's transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core import outbox
from core.customers.tables import ContractRow, CustomerRow
from core.i18n import DEFAULT_LANGUAGE, LANGUAGES, translate
from core.kernel.clock import Clock
from core.notices import rules
from core.notices.emails import ATTACHED, EMAILS, GREETING, WHY_YOU, EmailKind, sentence
from core.notices.tables import EmailAddressRow, NoticeRow
from core.notices.texts import DEFAULT_SHORT_CODE, UnknownKind

# What a mail server will take: words parted by single dots, one at, a dot behind it, nothing that could end a header.
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_WORD}(\.{_WORD})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_ADDRESS_LONGEST = 160
_CUSTOMER = select(CustomerRow.email, CustomerRow.name, CustomerRow.language).where(
    CustomerRow.id == bindparam("customer_id")
)


def is_address(text: str) -> bool:
    """Whether `text` can be an e-mail address; whether anybody reads it, only a letter tells."""
    return len(text) <= _ADDRESS_LONGEST and _ADDRESS.fullmatch(text) is not None


def email_key(notice_id: int) -> str:
    """The key of the errand that sends an e-mail."""
    return f"email:{notice_id}"


def stage_email(
    session: Session,
    *,
    clock: Clock,
    kind: str,
    key: str,
    recipient: str,
    name: str,
    language: str,
    blanks: Mapping[str, str],
    zone: str,
    paper: str | None = None,
    customer_id: int | None = None,
    contract_id: int | None = None,
    invoice_id: int | None = None,
    payment_id: str | None = None,
) -> int | None:
    """Have somebody written to. Returns the notice's id; None when `key` was staged before, or there is no address.

    `kind`: see `core.notices.emails`. `paper`: the id of the invoice, payment or payslip whose PDF goes along. `zone`:
    whose night is not disturbed. One that must not leave (opted out, an address where nothing arrives) is written as
    suppressed and gets an id all the same. Raises UnknownKind when its words cannot be filled with `blanks`.
    """
    recipient = recipient.strip().lower()
    if not is_address(recipient) or session.scalar(select(NoticeRow.id).where(NoticeRow.key == key)) is not None:
        return None
    declared = EMAILS.get(kind)
    if declared is None:
        raise UnknownKind(kind)
    language = language if language in LANGUAGES else DEFAULT_LANGUAGE
    now = clock.now()
    plan = _plan(session, declared, recipient, now, zone)
    row = NoticeRow(
        key=key,
        kind=kind,
        channel="email",
        recipient=recipient,
        language=language,
        zone=zone,
        subject=_subject(declared, language, blanks),
        body=_body(session, declared, name, language, blanks, with_paper=paper is not None),
        attachment=f"{declared.paper}:{paper}" if declared.paper and paper is not None else None,
        segments=0,
        customer_id=customer_id,
        contract_id=contract_id,
        invoice_id=invoice_id,
        payment_id=payment_id,
        created_at=now,
        **rules.standing(plan, now, declared.rule),
    )
    session.add(row)
    session.flush()
    if row.state != "suppressed":
        outbox.stage(
            session,
            kind="email.send",
            key=email_key(row.id),
            body={"notice_id": row.id},
            clock=clock,
            priority=declared.rule.priority,
            business_at=row.not_before if row.not_before > now else None,
        )
    return row.id


def _plan(
    session: Session, declared: EmailKind, recipient: str, now: datetime, zone: str
) -> rules.Times | rules.Suppressed:
    known = session.get(EmailAddressRow, recipient)
    opted_out = known is not None and known.opted_out_at is not None
    plan = rules.plan(declared.rule, now, zone, opted_out=opted_out, planned=())
    if known is not None and known.bounced_at is not None and isinstance(plan, rules.Times):
        return rules.Suppressed("nothing arrives at this address")
    return plan


def email_customer(
    session: Session,
    contract: ContractRow,
    *,
    clock: Clock,
    kind: str,
    key: str,
    blanks: Mapping[str, str],
    zone: str,
    paper: str | None = None,
    invoice_id: int | None = None,
    payment_id: str | None = None,
) -> int | None:
    """Write to the account's holder, where there is an address. `key` as for the SMS about the same thing."""
    # Values, not the row: nearly nobody has an address, and this is asked with every payment and every notice.
    customer = session.execute(_CUSTOMER, {"customer_id": contract.customer_id}).one()
    if not customer.email:
        return None
    return stage_email(
        session,
        clock=clock,
        kind=kind,
        key=f"{key}:email",
        recipient=customer.email,
        name=customer.name,
        language=customer.language,
        blanks=blanks,
        zone=zone,
        paper=paper,
        customer_id=contract.customer_id,
        contract_id=contract.id,
        invoice_id=invoice_id,
        payment_id=payment_id,
    )


def _subject(kind: EmailKind, language: str, blanks: Mapping[str, str]) -> str:
    """One line: what ends a line would end the header."""
    return " ".join(translate(kind.subject.body, language, **blanks).split())[:_ADDRESS_LONGEST]


def _body(
    session: Session, kind: EmailKind, name: str, language: str, blanks: Mapping[str, str], *, with_paper: bool
) -> str:
    filled = {"code": str(session.info.get("short_code", DEFAULT_SHORT_CODE)), **blanks}
    parts = [
        translate(GREETING, language, name=" ".join(name.split())),
        translate(sentence(kind, filled).body, language, **filled),
    ]
    if kind.paper and with_paper:
        parts.append(translate(ATTACHED[kind.paper], language))
    if filled.get("account"):
        parts.append(translate(WHY_YOU, language, account=filled["account"]))
    return "\n\n".join(parts)
