"""What the office does about one contract's dunning: holds, protections with their papers, notices handed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.model import DunningFacts
from core.billing.policy import DunningPolicy
from core.billing.tables import HoldRow
from core.customers.protection_tables import SiteProtectionRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.db import Database
from core.desk.dunning_file import BY_HAND, ContractFile, hold_limits, read
from core.desk.dunning_words import PROTECTED
from core.i18n import N_, day
from core.kernel.clock import Clock, day_begins, local_date
from core.kernel.errors import CustomerError
from core.settlement.dunning import facts_of, lock_contract, reevaluate

log = structlog.get_logger(__name__)

_REASON_MAX, _PAPER_MAX, _ENDING_MAX = 200, 120, 50
# How long before its last day a paper is asked for anew.
PAPERS_SOON_DAYS = 7


@dataclass(frozen=True, slots=True)
class EndingPaper:
    contract_id: int
    customer: str
    kind: str
    until: date


class DunningRefused(CustomerError):
    """An act that the policy or the state of things does not allow. `text` says why."""


class DunningDesk:
    """Owns its transactions. `by` is a staff login. The caller writes the audit log."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def file(self, contract_id: int) -> ContractFile | None:
        """One contract; None when there is none. A fixed number of statements."""
        with self._db.read() as session:
            return read(session, contract_id, self._clock.now())

    def put_hold(self, contract_id: int, kind: str, until: date, *, reason: str, by: str) -> int:
        """Hold the cut for all that the contract owes, to the end of the day `until` at the site; the hold's number.

        Raises DunningRefused: another kind, nothing owed, too long, or too often for the policy.
        """
        if kind not in BY_HAND:
            raise DunningRefused(N_("This kind of hold is not put by hand."))
        reason, now = _reason(reason), self._clock.now()
        with self._db.begin() as session:
            lock_contract(session, contract_id)
            policy = queries.policy_on(session, now.date())
            facts = facts_of(session, (contract_id,), policy, now)[contract_id]
            _check_hold(facts, policy, kind, until, now)
            ends = day_begins(until + timedelta(days=1), facts.zone)
            row = HoldRow(contract_id=contract_id, kind=kind, from_at=now, until_at=ends, by=by, reason=reason)
            session.add(row)
            session.flush()
            reevaluate(session, clock=self._clock, contract_id=contract_id, cause="hold.put")
            return row.id

    def release_hold(self, hold_id: int, *, reason: str, by: str) -> None:
        """End a hold that a person put. Raises DunningRefused for others, and for one that is over."""
        reason, now = _reason(reason), self._clock.now()
        with self._db.begin() as session:
            contract_id = session.scalar(select(HoldRow.contract_id).where(HoldRow.id == hold_id))
            if contract_id is None:
                raise DunningRefused(N_("There is no such hold."))
            lock_contract(session, contract_id)
            row = session.get_one(HoldRow, hold_id, populate_existing=True)
            if row.kind not in BY_HAND:
                raise DunningRefused(
                    N_("A promise is cancelled on its page, a dispute ends with its case, money on its way by itself.")
                )
            if row.until_at <= now:
                raise DunningRefused(N_("This hold is over."))
            row.until_at = now
            row.reason = f"{row.reason} | {by}: {reason}"
            session.flush()
            reevaluate(session, clock=self._clock, contract_id=contract_id, cause="hold.released")

    def protect(self, contract_id: int, kind: str, *, paper: str, until: date | None, reason: str, by: str) -> int:
        """Protect the contract's place from cuts; supply that was cut comes back. A paper that is renewed ends the one
        before it. Raises DunningRefused: a medical need has a paper, and ends when the policy says at the latest."""
        reason, paper, now = _reason(reason), " ".join(paper.split())[:_PAPER_MAX], self._clock.now()
        if kind not in PROTECTED:
            raise DunningRefused(N_("Say what is protected."))
        with self._db.begin() as session:
            site = _locked_site(session, contract_id)
            today = local_date(now, site.time_zone)
            if kind == "medical":
                _check_paper(queries.policy_on(session, now.date()), paper, until, today)
            elif until is not None and until < today:
                raise DunningRefused(N_("{day} is over."), day=day(until))
            self._end_protection(session, site, by, N_("renewed"))
            row = SiteProtectionRow(
                site_id=site.id, kind=kind, paper=paper, until=until, reason=reason, by=by, at=now
            )  # fmt: skip
            session.add(row)
            site.protected = kind
            session.flush()
            self._site_changed(session, site.id, "site.protected")
            return row.id

    def unprotect(self, contract_id: int, *, reason: str, by: str) -> None:
        """End the protection of the contract's place. Raises DunningRefused when there is none."""
        reason = _reason(reason)
        with self._db.begin() as session:
            site = _locked_site(session, contract_id)
            if site.protected is None:
                raise DunningRefused(N_("This place is not protected."))
            self._end_protection(session, site, by, reason)
            site.protected = None
            session.flush()
            self._site_changed(session, site.id, "site.unprotected")

    def papers_ending(self, *, days: int = PAPERS_SOON_DAYS) -> tuple[EndingPaper, ...]:
        """Protections whose paper ends within so many days, the first first: somebody should ask for a new one."""
        with self._db.read() as session:
            rows = session.execute(
                select(ContractRow.id, CustomerRow.name, SiteProtectionRow.kind, SiteProtectionRow.until)
                .join(SiteProtectionRow, SiteProtectionRow.site_id == ContractRow.site_id)
                .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
                .where(
                    SiteProtectionRow.ended_at.is_(None),
                    SiteProtectionRow.until <= self._clock.now().date() + timedelta(days=days),
                )
                .order_by(SiteProtectionRow.until, ContractRow.id)
                .limit(_ENDING_MAX)
            )
            return tuple(EndingPaper(row[0], row[1], row[2], row[3]) for row in rows if row[3] is not None)

    def end_papers(self) -> int:
        """End the protections whose last day is over, at their sites; how many. Running it twice ends nothing twice."""
        ended = 0
        with self._db.read() as session:
            found = session.execute(
                select(SiteProtectionRow.id, SiteProtectionRow.until, SiteRow.time_zone)
                .join(SiteRow, SiteRow.id == SiteProtectionRow.site_id)
                .where(
                    SiteProtectionRow.ended_at.is_(None),
                    SiteProtectionRow.until <= self._clock.now().date(),
                )
            ).all()
        for protection_id, until, zone in found:
            if until is not None and until < local_date(self._clock.now(), zone):
                ended += self._end_paper(protection_id)
        if ended:
            log.info("dunning.papers_ended", count=ended)
        return ended

    # Inside.

    def _end_paper(self, protection_id: int) -> int:
        with self._db.begin() as session:
            row = session.get_one(SiteProtectionRow, protection_id, with_for_update=True)
            if row.ended_at is not None:
                return 0
            site = session.get_one(SiteRow, row.site_id, with_for_update=True)
            row.ended_at, row.ended_by, row.end_reason = self._clock.now(), "sweep", "its last day is over"
            site.protected = None
            session.flush()
            self._site_changed(session, site.id, "site.unprotected")
            return 1

    def _end_protection(self, session: Session, site: SiteRow, by: str, reason: str) -> None:
        row = session.scalars(
            select(SiteProtectionRow).where(SiteProtectionRow.site_id == site.id, SiteProtectionRow.ended_at.is_(None))
        ).first()
        if row is not None:
            row.ended_at, row.ended_by, row.end_reason = self._clock.now(), by, reason
            session.flush()

    def _site_changed(self, session: Session, site_id: int, cause: str) -> None:
        ids = session.scalars(select(ContractRow.id).where(ContractRow.site_id == site_id).order_by(ContractRow.id))
        for contract_id in ids.all():
            lock_contract(session, contract_id)
            reevaluate(session, clock=self._clock, contract_id=contract_id, cause=cause)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason or len(reason) > _REASON_MAX:
        raise DunningRefused(N_("Say why, {n} characters at most."), n=str(_REASON_MAX))
    return reason


def _locked_site(session: Session, contract_id: int) -> SiteRow:
    lock_contract(session, contract_id)
    site_id = session.scalars(select(ContractRow.site_id).where(ContractRow.id == contract_id)).one()
    return session.get_one(SiteRow, site_id, with_for_update=True, populate_existing=True)


def _check_hold(facts: DunningFacts, policy: DunningPolicy, kind: str, until: date, now: datetime) -> None:
    if not facts.invoices:
        raise DunningRefused(N_("Nothing is owed: there is nothing to hold."))
    left, latest = hold_limits(facts, policy, now)[kind]
    if until < local_date(now, facts.zone):
        raise DunningRefused(N_("{day} is over."), day=day(until))
    if left == 0:
        raise DunningRefused(
            N_("The policy counts {n} holds of this kind for a bill, and they were used: one more would hold nothing."),
            n=str(policy.hold_limit(kind)[0]),
        )
    if until > latest:
        raise DunningRefused(
            N_("The policy lets a hold of this kind last to {day} at the latest."), day=day(latest)
        )  # fmt: skip


def _check_paper(policy: DunningPolicy, paper: str, until: date | None, today: date) -> None:
    if not paper or until is None:
        raise DunningRefused(N_("A medical need rests on a paper with a last day: write down both."))
    latest = today + timedelta(hours=policy.hold_limit("medical")[1])
    if not today <= until <= latest:
        raise DunningRefused(N_("A paper protects to {day} at the latest; then it is renewed."), day=day(latest))
