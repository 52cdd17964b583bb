"""Phone links: who asks, who decides, who is taken off; from the menu by the holder, in the console by the office.

What a phone asks for is answered in the same words whether the account exists or not. Each method owns its transaction.
From the menu the same turn's key again changes nothing and gives what was said the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.customers import link_queries as queries
from core.customers import links
from core.customers.link_tables import LinkRequestRow
from core.customers.links import HOLDER, MEMBER, ROLES, SEES_AMOUNTS, LinkRefused
from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.db.locks import lock_names
from core.i18n import DEFAULT_LANGUAGE, LANGUAGES, N_
from core.kernel.clock import Clock
from core.kernel.digits import grouped, is_account_number
from core.notices.staging import stage_notice
from core.phone_numbers import masked, parse_e164
from core.turns import deeds
from core.turns.deeds import Kept, Say

Did = Mapping[str, Any]
# So many holders are told of a request; customers have one or two.
_HOLDERS_TOLD = 3
_LIST_LIMIT = 20

_NOT_OPEN = N_("This request is not open any more. Load the page again.")
_NO_NUMBER = N_("This is no phone number in use.")
_NO_LINK = N_("This phone is not linked any more. Load the page again.")


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request as the office sees it. `asked_at`, `expires_at`: business time."""

    id: int
    phone: str
    account: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What happened to one phone of a customer. `by`: a phone, or `staff:` and a login."""

    at: datetime
    phone: str
    what: str
    role: str | None
    by: str


class PhoneLinks:
    """`audit`: `Staff.audit`, which writes into the caller's transaction."""

    def __init__(self, db: Database, clock: Clock, audit: Callable[[Session, str, str, str, str], None]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    # -- from the menu -----------------------------------------------------------------------------------------------

    def ask(self, phone: str, account: str, *, language: str, turn_key: str, say: Say) -> Kept:
        """`phone` (E.164) asks to be linked to an account number. The holders that can decide get an SMS.

        did: `{"asked": true}`, also where nobody has that number or the request is open already; or `{"refused": why}`
        with `linked` (it sees the account now) or `too_often`. Raises NotRecorded, ValueError for no account number.
        """
        if not is_account_number(account):
            raise ValueError("no account number")
        language = language if language in LANGUAGES else DEFAULT_LANGUAGE
        return self._once(
            "link.ask", phone, turn_key, say, lambda session, now: self._ask(session, phone, account, language, now)
        )

    def answer(self, phone: str, request_id: int, *, yes: bool, turn_key: str, say: Say) -> Kept:
        """The holder's phone says whether another may see and pay. Of two answers the first one counts.

        did: `{"state": "confirmed" | "denied", "phone": masked, "account": grouped}`; with `"refused": "decided"` when
        somebody answered before; `{"refused": "gone" | "not_holder"}`. Raises NotRecorded.
        """
        return self._once(
            "link.answer", phone, turn_key, say, lambda session, now: self._answer(session, phone, request_id, yes, now)
        )

    def remove(self, phone: str, link_id: int, *, turn_key: str, say: Say) -> Kept:
        """The holder's phone takes another off the account; other holders only the office can take off.

        did: `{"removed": masked}` or `{"refused": "gone" | "not_holder" | "holder"}`. Raises NotRecorded.
        """
        return self._once(
            "link.remove", phone, turn_key, say, lambda session, now: self._remove(session, phone, link_id, now)
        )

    def _once(self, kind: str, phone: str, turn_key: str, say: Say, do: Callable[[Session, datetime], Did]) -> Kept:
        now = self._clock.now()
        with self._db.begin() as session:
            return deeds.once(
                session, turn_key=turn_key, kind=kind, phone=phone, now=now, do=lambda: do(session, now), say=say
            )

    def _ask(self, session: Session, phone: str, number: str, language: str, now: datetime) -> Did:
        account = queries.account(session, number)
        own = queries.link_of(session, phone, account.customer_id) if account else None
        if own and own.role in SEES_AMOUNTS and links.is_fresh(own.confirmed_at, own.fresh_until, now):
            return {"refused": "linked"}
        # The limits are looked at before the row is written: requests at once come one after the other.
        lock_names(session, f"link.account:{number}", f"link.phone:{phone}")
        if queries.open_request(session, phone, number, now=now) is not None:
            return {"asked": True}
        before = queries.earlier(
            session, phone=phone, number=number, since=now - timedelta(days=1), no_since=now - links.QUIET_AFTER_NO
        )
        if links.limit_reached(by_phone=before.by_phone, for_account=before.for_account):
            return {"refused": "too_often"}
        request_id = queries.ask(session, phone=phone, number=number, account=account, language=language, now=now)
        if request_id is not None and account is not None and not before.said_no:
            self._tell_holders(session, request_id, phone, account, now)
        return {"asked": True}

    def _answer(self, session: Session, phone: str, request_id: int, yes: bool, now: datetime) -> Did:
        request = queries.locked_request(session, request_id)
        if request is None or request.customer_id is None:
            return {"refused": "gone"}
        if request.phone == phone or not queries.is_holder(session, phone, request.customer_id, now=now):
            return {"refused": "not_holder"}
        about = {"phone": masked(request.phone), "account": grouped(request.account_number)}
        if request.state in ("confirmed", "denied"):
            return {"refused": "decided", "state": request.state, **about}
        if request.state != "open" or request.expires_at <= now:
            return {"refused": "gone"}
        self._decide(session, request, MEMBER if yes else None, phone, now)
        return {"state": request.state, **about}

    def _remove(self, session: Session, phone: str, link_id: int, now: datetime) -> Did:
        link = queries.locked_link(session, link_id)
        if link is None:
            return {"refused": "gone"}
        if link.phone == phone or not queries.is_holder(session, phone, link.customer_id, now=now):
            return {"refused": "not_holder"}
        if link.role == HOLDER:
            return {"refused": "holder"}
        self._take_off(session, link, phone, now)
        return {"removed": masked(link.phone)}

    # -- from the console --------------------------------------------------------------------------------------------

    def requests(self, customer_id: int) -> Sequence[OpenRequest]:
        """What waits for an answer, oldest first."""
        with self._db.read() as session:
            rows = queries.open_requests(session, customer_id, now=self._clock.now(), limit=_LIST_LIMIT)
            return [OpenRequest(r.id, r.phone, r.account_number, r.asked_at, r.expires_at) for r in rows]

    def changes(self, customer_id: int) -> Sequence[LinkChange]:
        """What happened to the customer's phones, newest first."""
        with self._db.read() as session:
            rows = queries.changes(session, customer_id, limit=_LIST_LIMIT)
            return [LinkChange(r.at, r.phone, r.what, r.role, r.by) for r in rows]

    def office_answers(self, customer_id: int, request_id: int, *, role: str | None, by: str) -> None:
        """The office has seen who it is. `role` None: no. Raises LinkRefused, NotRecorded, ValueError for no role."""
        if role is not None and role not in ROLES:
            raise ValueError(f"no such role: {role!r}")
        now = self._clock.now()
        with self._db.begin() as session:
            request = queries.locked_request(session, request_id)
            if request is None or request.customer_id != customer_id:
                raise LinkRefused(_NOT_OPEN)
            if request.state != "open" or request.expires_at <= now:
                raise LinkRefused(_NOT_OPEN)
            self._decide(session, request, role, _staff(by), now)
            told = f"{masked(request.phone)}, {role}" if role else masked(request.phone)
            self._audit(session, by, f"link.{request.state}", f"customer {customer_id}", told)

    def office_confirms(self, customer_id: int, link_id: int, *, role: str, by: str) -> None:
        """Confirm a link that a customer gave, renew a stale one, or give it another role: the office has seen who it
        is. Raises LinkRefused, NotRecorded, ValueError for no role."""
        if role not in ROLES:
            raise ValueError(f"no such role: {role!r}")
        now = self._clock.now()
        with self._db.begin() as session:
            link = self._of_customer(session, customer_id, link_id)
            what = "renewed" if link.confirmed_at else "confirmed"
            was = link.role
            queries.confirm(session, phone=link.phone, customer_id=customer_id, role=role, now=now)
            self._note_and_tell(session, link, what, _staff(by), now)
            told = f"{masked(link.phone)}, {role}" if was == role else f"{masked(link.phone)}, {was} to {role}"
            self._audit(session, by, f"link.{what}", f"customer {customer_id}", told)

    def office_links(self, customer_id: int, phone: str, *, role: str, by: str) -> int:
        """Link a phone (E.164), confirmed at once: the office has seen who it is. One that is linked is confirmed; the
        same again tells nobody twice. The link's id. Raises LinkRefused (no number in use), NotRecorded, ValueError."""
        if role not in ROLES:
            raise ValueError(f"no such role: {role!r}")
        if parse_e164(phone) != phone:
            raise LinkRefused(_NO_NUMBER)
        now = self._clock.now()
        with self._db.begin() as session:
            known = queries.link_of(session, phone, customer_id, lock=True)
            if known and known.role == role and links.is_fresh(known.confirmed_at, known.fresh_until, now):
                return known.id
            link = queries.confirm(session, phone=phone, customer_id=customer_id, role=role, now=now)
            self._note_and_tell(session, link, "confirmed", _staff(by), now)
            self._audit(session, by, "link.confirmed", f"customer {customer_id}", f"{masked(phone)}, {role}")
            return link.id

    def office_removes(self, customer_id: int, link_id: int, *, by: str) -> None:
        """Take a phone off a customer. Raises LinkRefused, NotRecorded."""
        now = self._clock.now()
        with self._db.begin() as session:
            link = self._of_customer(session, customer_id, link_id)
            self._take_off(session, link, _staff(by), now)
            self._audit(session, by, "link.removed", f"customer {customer_id}", masked(link.phone))

    def sim_changed(self, customer_id: int, link_id: int, *, by: str) -> None:
        """Another SIM answers under this number: none of its links shows anything until the office renews it.
        Raises LinkRefused, NotRecorded."""
        now = self._clock.now()
        with self._db.begin() as session:
            phone = self._of_customer(session, customer_id, link_id).phone
            for other_id in queries.sim_changed(session, phone, now=now):
                queries.note(
                    session, customer_id=other_id, phone=phone, what="sim_changed", role=None, by=_staff(by), now=now
                )
            self._audit(session, by, "link.sim_changed", f"customer {customer_id}", masked(phone))

    # -- within ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _of_customer(session: Session, customer_id: int, link_id: int) -> PhoneLinkRow:
        link = queries.locked_link(session, link_id)
        if link is None or link.customer_id != customer_id:
            raise LinkRefused(_NO_LINK)
        return link

    def _decide(self, session: Session, request: LinkRequestRow, role: str | None, by: str, now: datetime) -> None:
        """Close a locked, open request; with a role, link its phone."""
        assert request.customer_id is not None
        request.state = "confirmed" if role else "denied"
        request.decided_at, request.decided_by = now, by[:80]
        session.flush()
        phone, customer_id = request.phone, request.customer_id
        if role is None:
            queries.note(session, customer_id=customer_id, phone=phone, what="denied", role=None, by=by, now=now)
            return
        known = queries.link_of(session, phone, customer_id, lock=True)
        if known and known.role == HOLDER and links.is_fresh(known.confirmed_at, known.fresh_until, now):
            # The office made it a holder while the request was open: a yes to "see and pay" takes nothing away.
            role = HOLDER
        link = queries.confirm(
            session, phone=phone, customer_id=customer_id, role=role, now=now, language=request.language
        )
        self._note_and_tell(session, link, "confirmed", by, now, contract_id=request.contract_id)

    def _take_off(self, session: Session, link: PhoneLinkRow, by: str, now: datetime) -> None:
        queries.remove(session, link)
        queries.note(session, customer_id=link.customer_id, phone=link.phone, what="removed", role=None, by=by, now=now)

    def _note_and_tell(
        self,
        session: Session,
        link: PhoneLinkRow,
        what: str,
        by: str,
        now: datetime,
        *,
        contract_id: int | None = None,
    ) -> None:
        """Keep what happened, and tell the phone that it is linked now."""
        change_id = queries.note(
            session, customer_id=link.customer_id, phone=link.phone, what=what, role=link.role, by=by, now=now
        )
        account = queries.account_of(session, link.customer_id, contract_id)
        if account is None:
            return
        stage_notice(
            session,
            clock=self._clock,
            kind="link.confirmed" if link.role in SEES_AMOUNTS else "link.payer",
            key=f"link:{change_id}",
            recipient=link.phone,
            language=queries.language_of(session, link.phone, link.customer_id),
            blanks={"account": grouped(account.number)},
            zone=account.zone,
            customer_id=link.customer_id,
            contract_id=account.contract_id,
        )

    def _tell_holders(
        self, session: Session, request_id: int, phone: str, account: queries.Account, now: datetime
    ) -> None:
        people = queries.holders(session, account.customer_id, now=now, but=phone, limit=_HOLDERS_TOLD)
        for person in people:
            stage_notice(
                session,
                clock=self._clock,
                kind="link.asked",
                key=f"link:asked:{request_id}:{person.phone}",
                recipient=person.phone,
                language=person.language,
                blanks={"phone": masked(phone), "account": grouped(account.number)},
                zone=account.zone,
                customer_id=account.customer_id,
                contract_id=account.contract_id,
            )


def _staff(login: str) -> str:
    return f"staff:{login}"
