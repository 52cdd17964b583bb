"""Prepaid contracts: credit becomes tokens, once for each cause.

The counter of the meter, the tokens and the transfer out of the credit are written in one transaction, under the lock
of the contract and of the meter's counter; the SMS is staged with them and leaves after the commit. A crash before the
commit has issued nothing, one after it has issued everything. Tokens and keys reach no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, String, and_, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from core import outbox
from core.customers.tables import ContractRow, MeterRow, SiteRow
from core.db import Database
from core.i18n import DEFAULT_LANGUAGE, N_, translate
from core.i18n import day as day_text
from core.kernel.clock import Clock, day_begins, local_date
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.ledger.tables import AccountRow
from core.notices.staging import stage_notice
from core.outbox import Dead, Done, Later, Outcome
from core.payments.tables import AttemptRow, PaymentRow
from core.prepaid import queries, rules
from core.prepaid.errors import NoPrice, NoToken, NotProvisioned, PriceRefused
from core.prepaid.model import Issue, Plan, Price, Short, Unit
from core.prepaid.ports import Device, TokenMaker
from core.prepaid.tables import KeypadMeterRow, PrepaidIssueRow, PrepaidPriceRow, PrepaidStandingRow
from core.sealing import SealBroken, Sealer
from core.services.cases import Report, open_case
from core.settlement import post
from core.settlement.dunning import lock_contract
from core.settlement.effects import holders
from core.settlement.events import TokenIssued
from core.settlement.prepaid import KEYPADS

_SHORT = N_("The operator took payment {receipt} back after its tokens had left. Credit of the account: {credit}.")
_UNTOLD_DAYS = N_(
    "Tokens for {quantity} days were made on {date} and nobody could be told: no phone is known for this account. They "
    "stand in the customer's story: read them out, and link a phone."
)
_UNTOLD_KWH = N_(
    "Tokens for {quantity} kWh were made on {date} and nobody could be told: no phone is known for this account. They "
    "stand in the customer's story: read them out, and link a phone."
)
# How many issues of a contract are shown.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Keypad:
    """How a keypad meter is set up. `secret` and `starting_code` are the device's own and shown nowhere.

    `count`: the counter of the newest token it was given. `divider`: steps of the device in one unit.
    """

    secret: bytes
    starting_code: int
    unit: Unit = "day"
    count: int = 1
    divider: int = 1
    restricted: bool = False

    def __repr__(self) -> str:
        return f"Keypad(unit={self.unit}, count={self.count}, divider={self.divider}, restricted={self.restricted})"


@dataclass(frozen=True, slots=True)
class _Job:
    """One contract in hand, locked, and what a token for it needs."""

    contract: ContractRow
    zone: str
    keypad: KeypadMeterRow
    maker: TokenMaker
    device: Device
    price: Price


class Prepaid:
    """Every method owns its transaction. `makers`: kind of meter → who makes its tokens."""

    def __init__(self, db: Database, clock: Clock, sealer: Sealer, makers: Mapping[str, TokenMaker]) -> None:
        self._db = db
        self._clock = clock
        self._sealer = sealer
        self._makers = makers

    def issue(self, contract_id: int, cause: str, payment_id: str | None = None) -> Outcome:
        """Turn a contract's credit into tokens for its keypad meter, once for `cause` (the key of the event).

        Done when there is nothing to issue: issued before, by somebody else, or not enough for one unit. Later where
        the first price is still to come. Dead with the reason where a person has to mend something first: the credit
        stays. Raises NotRecorded.
        """
        try:
            with self._db.begin() as session:
                done = self._issue(session, contract_id, cause, payment_id)
        except NoPrice as error:
            return Later(error.from_at, str(error)) if error.from_at else Dead(str(error))
        except NoToken as error:
            return Dead(str(error))
        return Done(done)

    def provision(self, meter_id: str, keypad: Keypad) -> int:
        """Give a meter its key, code and counter. Tokens that waited for them are staged. Raises NoToken, ValueError.

        A counter never goes back: the device would refuse what follows. Returns the most units that are issued at once:
        what is bought beyond them stays as credit.
        """
        with self._db.begin() as session:
            meter = session.get(MeterRow, meter_id)
            if meter is None:
                raise NotProvisioned(f"there is no meter {meter_id}")
            maker = self._maker(meter)
            maker.check(keypad.secret, keypad.starting_code)
            if not 1 <= keypad.divider <= maker.value_max or keypad.count < 0:
                raise ValueError(f"a divider of {keypad.divider} at count {keypad.count} fits no device")
            row = queries.lock_keypad(session, meter_id)
            if row is None:
                row = KeypadMeterRow(meter_id=meter_id, count=keypad.count, changed_at=self._clock.now())
                session.add(row)
            row.secret = self._sealer.seal(keypad.secret, purpose=_purpose(meter_id))
            row.starting_code, row.unit = keypad.starting_code, keypad.unit
            row.count, row.divider = max(row.count, keypad.count), keypad.divider
            row.restricted, row.changed_at = keypad.restricted, self._clock.now()
            session.flush()
            self._stage_waiting(session, "provisioned", ContractRow.meter_id == meter_id)
            return rules.most_at_once(divider=keypad.divider, value_max=maker.value_max, stack_max=maker.stack_max)

    def set_price(
        self, unit: Unit, each: Money, *, tax_basis_points: int, valid_from: date, by: str, levy: str = "vat"
    ) -> Price:
        """A new version of what a unit costs, tax included. Raises PriceRefused for a day that is over.

        The earliest price of a unit takes up the credit that waited for one, on its first day at the site.
        """
        if each.minor <= 0 or not 0 <= tax_basis_points <= 10_000:
            raise PriceRefused(N_("A price is more than nothing, its tax between 0 and 100 per cent."))
        now = self._clock.now()
        with self._db.begin() as session:
            version = queries.newest_version(session, unit, each.currency) + 1
            if version > 1 and valid_from < now.date():
                raise PriceRefused(N_("This day is over: a price does not change the past."))
            row = PrepaidPriceRow(
                currency=each.currency,
                unit=unit,
                version=version,
                price_minor=each.minor,
                tax_basis_points=tax_basis_points,
                levy=levy,
                valid_from=valid_from,
                made_at=now,
                made_by=by,
            )
            earliest = queries.first_day(session, unit, each.currency)
            session.add(row)
            session.flush()
            if earliest is None or valid_from < earliest:
                counts = select(KeypadMeterRow.meter_id).where(KeypadMeterRow.unit == unit)
                of_price = (ContractRow.currency == each.currency, ContractRow.meter_id.in_(counts))
                self._stage_waiting(session, "priced", *of_price, first_day=valid_from)
            return queries.as_price(row)

    def take_up(self, account_number: str) -> bool:
        """Try again for one account whose token could not be made. False when no credit waits there."""
        with self._db.begin() as session:
            return self._stage_waiting(session, "again", ContractRow.account_number == account_number) > 0

    def prices(self) -> list[Price]:
        """Every version, the newest first."""
        with self._db.read() as session:
            return queries.prices(session)

    def issues(self, contract_id: int) -> list[Issue]:
        """The newest tokens of a contract, for whoever may see them."""
        with self._db.read() as session:
            return queries.issues_of(session, contract_id, limit=_SHOWN)

    def short(self, *, limit: int = 100) -> list[Short]:
        """Accounts below zero: an operator took money back whose tokens had left. A person works through them."""
        with self._db.read() as session:
            return queries.short(session, limit=limit)

    def open_short_case(self, contract_id: int, payment_id: str) -> str:
        """Have a person speak with the customer whose payment was taken back; the number of the case. Once a payment.

        Raises NotRecorded.
        """
        with self._db.begin() as session:
            payment = session.get_one(PaymentRow, payment_id)
            contract = session.get_one(ContractRow, contract_id)
            held = ledger.balance(session, credit(contract_id), contract.currency)
            body = translate(_SHORT, DEFAULT_LANGUAGE, receipt=payment.receipt_number, credit=held.text)
            report = Report("other", "staff", f"prepaid_short:{payment_id}", "system", None, contract_id=contract_id)
            return open_case(
                session, clock=self._clock, report=replace(report, body=body), tell=False, join=False
            ).number

    # One issue.

    def _issue(self, session: Session, contract_id: int, cause: str, payment_id: str | None) -> str:
        lock_contract(session, contract_id)
        if queries.issue_for(session, cause) is not None:
            return "issued before"
        contract = session.get_one(ContractRow, contract_id, populate_existing=True)
        job = self._job(session, contract)
        if job is None:
            return "no keypad to type a token on"
        held = ledger.balance(session, credit(contract_id), contract.currency)
        steps = rules.plan(
            held,
            job.price,
            divider=job.keypad.divider,
            value_max=job.maker.value_max,
            stack_max=job.maker.stack_max,
        )
        if steps is None:
            return "not enough for one unit"
        row = self._write(session, job, steps, cause, payment_id)
        self._tell(session, job, row, held - steps.amount if steps.is_capped else None)
        return f"{row.quantity} {row.unit}"

    def _job(self, session: Session, contract: ContractRow) -> _Job | None:
        """None where nothing is typed: another kind of contract or of meter. Raises NoToken."""
        meter = session.get(MeterRow, contract.meter_id) if contract.meter_id else None
        if contract.kind != "prepaid" or meter is None or meter.control_kind not in KEYPADS:
            return None
        maker = self._maker(meter)
        keypad = queries.lock_keypad(session, meter.id)
        if keypad is None or keypad.secret is None or keypad.starting_code is None:
            raise NotProvisioned(f"meter {meter.id} has no key or starting code: provision it, the credit waits")
        try:
            secret = self._sealer.unseal(keypad.secret, purpose=_purpose(meter.id))
        except SealBroken as error:
            raise NotProvisioned(f"the key of meter {meter.id} cannot be opened: provision it again") from error
        maker.check(secret, keypad.starting_code)
        zone = session.scalars(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)).one()
        day = local_date(self._clock.now(), zone)
        price = queries.price_on(session, keypad.unit, contract.currency, day)
        if price is None:
            first = queries.first_day(session, keypad.unit, contract.currency)
            raise NoPrice(
                f"no price of a {keypad.unit} in {contract.currency} is in force on {day}",
                day_begins(first, zone) if first else None,
            )
        device = Device(keypad.count, keypad.restricted, secret, keypad.starting_code)
        return _Job(contract, zone, keypad, maker, device, price)

    def _maker(self, meter: MeterRow) -> TokenMaker:
        maker = self._makers.get(meter.control_kind)
        if maker is None:
            raise NotProvisioned(f"nobody makes tokens for {meter.control_kind} meters such as {meter.id}")
        return maker

    def _write(self, session: Session, job: _Job, steps: Plan, cause: str, payment_id: str | None) -> PrepaidIssueRow:
        """The tokens, the counter, the money and the standing: together or not at all."""
        device, tokens = job.device, []
        for value in steps.values:
            made = job.maker.add(device, value)
            tokens.append(made.token)
            device = replace(device, count=made.count)
        now = self._clock.now()
        row = PrepaidIssueRow(
            cause=cause,
            contract_id=job.contract.id,
            meter_id=job.keypad.meter_id,
            payment_id=payment_id,
            price_id=job.price.id,
            unit=job.price.unit,
            quantity=steps.quantity,
            currency=steps.amount.currency,
            amount_minor=steps.amount.minor,
            tax_minor=steps.tax.minor,
            tokens=" ".join(tokens),
            counter_before=job.keypad.count,
            counter_after=device.count,
            issued_at=now,
        )
        session.add(row)
        job.keypad.count, job.keypad.changed_at = device.count, now
        session.flush()
        self._stand(session, job, row, now)
        event = TokenIssued(
            key=f"token:{cause}",
            contract_id=job.contract.id,
            amount=steps.amount,
            tax=steps.tax if steps.tax else None,
            levy=job.price.levy,
        )
        post(session, event, clock=self._clock)
        return row

    def _stand(self, session: Session, job: _Job, row: PrepaidIssueRow, now: datetime) -> None:
        standing = queries.standing_of(session, row.contract_id)
        lasts = standing.paid_until if standing is not None else None
        until = rules.paid_until(lasts, now, row.quantity) if row.unit == "day" else None
        before = session.get(PrepaidIssueRow, standing.last_issue_id) if standing is not None else None
        if standing is None:
            standing = PrepaidStandingRow(contract_id=row.contract_id)
            session.add(standing)
        standing.last_issue_id, standing.paid_until = row.id, until
        if before is None or before.meter_id != row.meter_id:
            # Another device on the wall: the tokens of the old one open nothing.
            standing.recent_tokens = row.tokens
        else:
            # One top-up must not hide what the one before it brought.
            of_two = len(before.tokens.split()) + len(row.tokens.split())
            standing.recent_tokens = rules.recent(
                standing.recent_tokens, row.tokens, keep=max(job.maker.stack_max, of_two)
            )
        session.flush()

    def _tell(self, session: Session, job: _Job, row: PrepaidIssueRow, stays: Money | None) -> None:
        """The holder's phone gets the tokens; where none is known and fresh, whoever paid. The menu shows them too.

        Where there is nobody, the office gets a case: somebody paid and has nothing in hand. `stays`: credit that would
        buy more than the device takes at once.
        """
        to = self._addressee(session, job.contract, row.payment_id)
        if to is None:
            self._ask_office(session, job, row)
            return
        phone, language, customer_id = to
        tokens = [grouped(token) for token in row.tokens.split()]
        said = {"token": tokens[0]} if len(tokens) == 1 else {"tokens": ", ".join(tokens)}
        stage_notice(
            session,
            clock=self._clock,
            kind="prepaid.token",
            key=f"token:{row.id}",
            recipient=phone,
            language=language,
            blanks={
                **said,
                "days" if row.unit == "day" else "kwh": str(row.quantity),
                "account": grouped(job.contract.account_number),
                "credit": stays.text if stays else "",
            },
            zone=job.zone,
            customer_id=customer_id,
            contract_id=job.contract.id,
            payment_id=row.payment_id,
        )

    def _ask_office(self, session: Session, job: _Job, row: PrepaidIssueRow) -> None:
        # The digits stay out of it: a case is read by more people than a customer's story.
        body = translate(
            _UNTOLD_DAYS if row.unit == "day" else _UNTOLD_KWH,
            DEFAULT_LANGUAGE,
            quantity=str(row.quantity),
            date=day_text(local_date(row.issued_at, job.zone)),
        )
        report = Report("other", "staff", f"prepaid_untold:{row.id}", "system", contract_id=row.contract_id, body=body)
        open_case(session, clock=self._clock, report=report, tell=False, join=False)

    def _addressee(
        self, session: Session, contract: ContractRow, payment_id: str | None
    ) -> tuple[str, str, int | None] | None:
        known = holders(session, contract, clock=self._clock)
        if known and known[0].fresh:
            return known[0].phone, known[0].language, known[0].customer_id
        payment = session.get(PaymentRow, payment_id) if payment_id else None
        attempt = session.get(AttemptRow, payment.attempt_id) if payment is not None and payment.attempt_id else None
        if attempt is not None:
            return attempt.payer_phone, attempt.language, None
        # A token opens one meter only: on a phone that may be another's by now it is worth nothing.
        return (known[0].phone, known[0].language, known[0].customer_id) if known else None

    def _stage_waiting(
        self, session: Session, why: str, *which: ColumnElement[bool], first_day: date | None = None
    ) -> int:
        """Credit that waits on these contracts for something that is there now, or from `first_day` at their sites on:
        staged under a cause of its own."""
        cause = f"{why}:{self._clock.real_now():%Y%m%d%H%M%S%f}"
        waiting = (
            select(ContractRow.id, SiteRow.time_zone)
            .join(MeterRow, MeterRow.id == ContractRow.meter_id)
            .join(SiteRow, SiteRow.id == ContractRow.site_id)
            .join(
                AccountRow,
                and_(
                    AccountRow.code == "credit",
                    AccountRow.owner == sql_cast(ContractRow.id, String),
                    AccountRow.currency == ContractRow.currency,
                ),
            )
            .where(ContractRow.kind == "prepaid", ContractRow.state == "active", MeterRow.control_kind.in_(KEYPADS))
            .where(AccountRow.balance_minor > 0, *which)
            .order_by(ContractRow.id)
        )
        found = session.execute(waiting).all()
        for contract_id, zone in found:
            of_one = f"{cause}:{contract_id}"
            outbox.stage(
                session,
                kind="prepaid.token",
                key=f"prepaid:{of_one}",
                body={"contract_id": contract_id, "cause": of_one, "payment_id": None},
                clock=self._clock,
                business_at=day_begins(first_day, zone) if first_day else None,
            )
        return len(found)


def _purpose(meter_id: str) -> str:
    return f"keypad:{meter_id}"
