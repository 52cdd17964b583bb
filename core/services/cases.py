"""Cases: opened from a phone, a text or the counter; taken, answered and closed by named people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core.billing.dunning import holds_of
from core.billing.queries import next_number, policy_on
from core.billing.tables import HoldRow
from core.cases import queries
from core.cases.model import CaseCounts, CaseFile, CaseLine, Opened
from core.cases.rules import CLOSED, KINDS, SERIES, number_of
from core.cases.tables import CaseRow
from core.customers.links import SEES_AMOUNTS
from core.customers.tables import ContractRow, PhoneLinkRow, PhoneRow, SiteRow
from core.db import Database
from core.i18n import DEFAULT_LANGUAGE
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.digits import grouped, normalise
from core.kernel.errors import StateConflict
from core.notices.case_texts import ANSWER_MAX
from core.notices.staging import Written, stage_notice
from core.promises.queries import end_hold
from core.settlement.dunning import facts_of, lock_contract, reevaluate
from core.supply.tables import MeterDesiredRow
from core.turns import deeds
from core.turns.deeds import Kept, Say

OPENED = "case.open"
DISPUTE_HOLD = "dispute"
# A text of an SMS or of a form is kept up to this length.
BODY_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody reports. `key` names this very report for ever: the same one again opens nothing.

    `contract_id` None: whose it is, is not known. `invoice_id`: the disputed bill. `phone` None: nobody to answer.
    """

    kind: str
    source: str
    key: str
    by: str
    phone: str | None = None
    language: str = DEFAULT_LANGUAGE
    contract_id: int | None = None
    invoice_id: int | None = None
    body: str = ""


def open_case(session: Session, *, clock: Clock, report: Report, tell: bool, join: bool = True) -> Opened:
    """Take a report down in the caller's transaction; one of the same within a day joins the case there is.

    A dispute keeps the cut away from its invoice, within the policy's limits; no day is named where supply is wanted
    off already. `tell`: the number goes out by SMS.
    """
    known = queries.written(session, report.key)
    if known is not None:
        return Opened(known, joined=True)
    now = clock.now()
    if report.contract_id is not None:
        lock_contract(session, report.contract_id)
    case = (
        queries.to_join(
            session,
            kind=report.kind,
            contract_id=report.contract_id,
            invoice_id=report.invoice_id,
            phone=report.phone,
            now=now,
        )
        if join
        else None
    )
    if case is not None:
        case.reports += 1
        queries.add_note(session, case, key=report.key, at=now, by=report.by, kind="again", words=report.body)
        return Opened(case.number, joined=True)
    case = CaseRow(
        number=number_of(next_number(session, SERIES)),
        kind=report.kind,
        source=report.source,
        contract_id=report.contract_id,
        invoice_id=report.invoice_id,
        phone=report.phone,
        language=report.language,
        body=report.body[:BODY_MAX],
        opened_at=now,
        opened_by=report.by,
    )
    session.add(case)
    session.flush()
    queries.add_note(session, case, key=report.key, at=now, by=report.by, kind="opened", words=report.body)
    hold = _hold(session, clock, case)
    if tell and case.phone is not None:
        _tell(session, clock, case, kind="case.opened", key=f"case:{case.number}:opened")
    return Opened(case.number, held_to=hold)


def open_from_sms(session: Session, *, clock: Clock, phone: str, text: str, message_id: int | str) -> str:
    """File a text that nobody understood, in the caller's transaction; the number of its case, digits only.

    `phone`: E.164. `message_id`: of the row of the text; the same one again files nothing. Texts of one phone within a
    day are one case. Nothing is sent from here: who answers the text can name the number.
    """
    contracts = session.scalars(_contracts_of(phone, clock.now()).limit(2)).all()
    language = session.scalar(select(PhoneRow.language).where(PhoneRow.phone == phone))
    report = Report(
        kind="other",
        source="sms",
        key=f"sms:{message_id}",
        by=phone,
        phone=phone,
        language=language or DEFAULT_LANGUAGE,
        contract_id=contracts[0] if len(contracts) == 1 else None,
        body=text,
    )
    return open_case(session, clock=clock, report=report, tell=False).number


class Cases:
    """Owns its transactions. `by` is a staff login; `key` names a form, so that sending it twice does it once."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # From the phone.

    def report(
        self, *, kind: str, contract_id: int | None, invoice_id: int | None, phone: str, language: str,
        turn_key: str, say: Say,
    ) -> Kept:  # fmt: skip
        """Take down what a caller reports. The number goes out by SMS.

        `did`: {"number": digits, "joined": bool, "held_to": day or None}. A contract that this phone may not see any
        more is left out. The same `turn_key` again changes nothing. Raises ValueError for a kind there is not, and
        NotRecorded.
        """
        if kind not in KINDS:
            raise ValueError(f"there are no cases of kind {kind!r}")
        now = self._clock.now()
        with self._db.begin() as session:

            def do() -> Mapping[str, Any]:
                own = contract_id is not None and contract_id in set(session.scalars(_contracts_of(phone, now)))
                report = Report(
                    kind=kind,
                    source="ussd",
                    key=f"turn:{turn_key}",
                    by=phone,
                    phone=phone,
                    language=language,
                    contract_id=contract_id if own else None,
                    invoice_id=invoice_id if own else None,
                )
                opened = open_case(session, clock=self._clock, report=report, tell=True)
                held = opened.held_to.isoformat() if opened.held_to else None
                return {"number": opened.number, "joined": opened.joined, "held_to": held}

            return deeds.once(session, turn_key=turn_key, kind=OPENED, phone=phone, now=now, do=do, say=say)

    def open_from_sms(self, phone: str, text: str, message_id: int | str) -> str:
        """`open_from_sms` in a transaction of its own. Raises NotRecorded."""
        with self._db.begin() as session:
            return open_from_sms(session, clock=self._clock, phone=phone, text=text, message_id=message_id)

    # From the console.

    def open_by_staff(self, *, kind: str, body: str, account: str, phone: str | None, key: str, by: str) -> str:
        """Open a case for somebody at the counter or on the telephone; its number. The number goes to `phone` by SMS.

        `account` may be empty. Raises StateConflict for an account or a kind there is not, or nothing written.
        """
        if kind not in KINDS or not body.strip():
            raise StateConflict("a case has a kind and some words")
        with self._db.begin() as session:
            contract_id = None
            if account:
                contract_id = session.scalar(
                    select(ContractRow.id).where(ContractRow.account_number == normalise(account))
                )
                if contract_id is None:
                    raise StateConflict("there is no such account")
            language = session.scalar(select(PhoneRow.language).where(PhoneRow.phone == phone)) if phone else None
            report = Report(
                kind=kind,
                source="staff",
                key=f"form:{key}",
                by=by,
                phone=phone,
                language=language or DEFAULT_LANGUAGE,
                contract_id=contract_id,
                body=body.strip(),
            )
            return open_case(session, clock=self._clock, report=report, tell=True, join=False).number

    def take(self, number: str, *, to: str, key: str, by: str) -> None:
        """Give a case to somebody. Raises StateConflict when it is closed or not there."""
        with self._db.begin() as session:
            case = self._live(session, number, key)
            if case is None:
                return
            case.assigned_to = to
            case.state = "taken" if case.state == "open" else case.state
            self._note(session, case, key, by, "assigned", to)

    def note(self, number: str, text: str, *, key: str, by: str) -> None:
        """Write something down that only staff read. Raises StateConflict for a closed case or an empty note."""
        with self._db.begin() as session:
            case = self._live(session, number, key)
            if case is not None:
                self._note(session, case, key, by, "note", _written(text, BODY_MAX))

    def answer(self, number: str, text: str, *, key: str, by: str) -> None:
        """Answer the reporter by SMS. Raises StateConflict for a closed case, no phone, or a text that is too long."""
        with self._db.begin() as session:
            case = self._live(session, number, key)
            if case is None:
                return
            if case.phone is None:
                raise StateConflict("nobody's phone is known for this case")
            words = _written(text, ANSWER_MAX)
            told = _tell(
                session, self._clock, case, kind="case.answer", key=f"case:{number}:answer:{key}", answer=words
            )
            case.state, case.assigned_to = "answered", case.assigned_to or by
            self._note(session, case, key, by, "answer", words, told.id if told else None)

    def close(self, number: str, *, reason: str, key: str, by: str) -> None:
        """Close a case: its hold of the cut ends, and its reporter is told. Raises StateConflict without a reason."""
        words = _written(reason, 200)
        with self._db.begin() as session:
            # The contract's row is taken before the case's, as everywhere.
            contract_id = session.scalar(select(CaseRow.contract_id).where(CaseRow.number == number))
            if contract_id is not None:
                lock_contract(session, contract_id)
            case = self._live(session, number, key)
            if case is None:
                return
            now = self._clock.now()
            case.state, case.closed_at, case.closed_by, case.close_reason = CLOSED, now, by, words
            self._note(session, case, key, by, "closed", words)
            if case.hold_id is not None and contract_id is not None:
                end_hold(session, case.hold_id, now)
                session.flush()
                reevaluate(session, clock=self._clock, contract_id=contract_id, cause="case.closed")
            if case.phone is not None:
                _tell(session, self._clock, case, kind="case.closed", key=f"case:{number}:closed")

    # Looks.

    def listed(
        self, *, view: str = "live", kind: str | None = None, assigned_to: str | None = None, limit: int = 200
    ) -> tuple[CaseLine, ...]:
        """Cases: `live`, `all`, or of one state."""
        with self._db.read() as session:
            return queries.lines(session, view=view, kind=kind, assigned_to=assigned_to, limit=limit)

    def one(self, number: str) -> CaseFile | None:
        """One case with its history."""
        with self._db.read() as session:
            return queries.file_of(session, number)

    def counts(self) -> CaseCounts:
        """Those that are not closed."""
        with self._db.read() as session:
            return queries.counts(session)

    # Inside.

    @staticmethod
    def _live(session: Session, number: str, key: str) -> CaseRow | None:
        """The case, locked; None when this form was sent before."""
        if queries.written(session, f"form:{key}") is not None:
            return None
        case = queries.locked(session, number)
        if case is None or case.state == CLOSED:
            raise StateConflict(f"case {grouped(number)} is closed or not there")
        return case

    def _note(
        self, session: Session, case: CaseRow, key: str, by: str, kind: str, words: str, notice_id: int | None = None
    ) -> None:
        queries.add_note(
            session, case, key=f"form:{key}", at=self._clock.now(), by=by, kind=kind, words=words, notice_id=notice_id
        )


def _contracts_of(phone: str, now: datetime) -> Select[int]:
    """The ids of the active contracts that a phone may see."""
    return (
        select(ContractRow.id)
        .join(PhoneLinkRow, PhoneLinkRow.customer_id == ContractRow.customer_id)
        .where(
            PhoneLinkRow.phone == phone,
            PhoneLinkRow.confirmed_at.is_not(None),
            PhoneLinkRow.fresh_until > now,
            PhoneLinkRow.role.in_(SEES_AMOUNTS),
            ContractRow.state == "active",
        )
        .order_by(ContractRow.id)
    )


def _hold(session: Session, clock: Clock, case: CaseRow) -> date | None:
    """Keep the cut away from a disputed invoice; the day it may come again.

    None where the policy allows no further, and where supply is wanted off already: no day can be promised then. The
    hold stands all the same.
    """
    if case.kind != "dispute" or case.contract_id is None or case.invoice_id is None:
        return None
    now = clock.now()
    policy = policy_on(session, now.date())
    facts = facts_of(session, (case.contract_id,), policy, now)[case.contract_id]
    invoice = next((i for i in facts.invoices if i.invoice_id == case.invoice_id), None)
    most, hours = policy.hold_limit(DISPUTE_HOLD)
    if invoice is None or sum(h.kind == DISPUTE_HOLD for h in holds_of(invoice, facts)) >= most:
        return None
    hold = HoldRow(
        contract_id=case.contract_id,
        invoice_id=case.invoice_id,
        kind=DISPUTE_HOLD,
        from_at=now,
        until_at=now + timedelta(hours=hours),
        by=f"case:{case.number}",
        reason="The bill is disputed.",
    )
    session.add(hold)
    session.flush()
    case.hold_id = hold.id
    session.flush()
    reevaluate(session, clock=clock, contract_id=case.contract_id, cause="case.dispute")
    return None if _wanted_off(session, case.contract_id) else local_date(hold.until_at, facts.zone)


def _wanted_off(session: Session, contract_id: int) -> bool:
    supply = (
        select(MeterDesiredRow.supply)
        .join(ContractRow, ContractRow.meter_id == MeterDesiredRow.meter_id)
        .where(ContractRow.id == contract_id)
    )
    return session.scalar(supply) == "off"


def _tell(session: Session, clock: Clock, case: CaseRow, *, kind: str, key: str, **blanks: str) -> Written | None:
    zone = None
    customer_id = None
    if case.contract_id is not None:
        zone, customer_id = session.execute(
            select(SiteRow.time_zone, ContractRow.customer_id)
            .join(ContractRow, ContractRow.site_id == SiteRow.id)
            .where(ContractRow.id == case.contract_id)
        ).one()
    assert case.phone is not None
    return stage_notice(
        session,
        clock=clock,
        kind=kind,
        key=key,
        recipient=case.phone,
        language=case.language,
        blanks={"number": grouped(case.number), **blanks},
        zone=zone or WEST,
        customer_id=customer_id,
        contract_id=case.contract_id,
    )


def _written(text: str, most: int) -> str:
    """What a form brought. Raises StateConflict when it is nothing, or more than `most` characters."""
    words = " ".join(text.split())
    if not words or len(words) > most:
        raise StateConflict(f"this needs some words, {most} characters at most")
    return words
