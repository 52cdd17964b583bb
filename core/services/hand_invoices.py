"""Invoices that a person writes: a connection fee, a seal that was broken, the last energy of a meter taken down."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.billing.labels import LABEL_MAX
from core.billing.run_model import Month
from core.billing.run_queries import lock_months
from core.billing.tables import InvoiceLineRow, InvoiceRow, TariffRow
from core.billing.tariff_queries import versions
from core.billing.tariff_rules import rounded
from core.billing.tariffs import MICRO, Levy, price_text
from core.customers.tables import ContractRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock, local_date
from core.kernel.errors import StateConflict
from core.kernel.money import Money

LINES_MAX = 8
_KEY = re.compile(r"[0-9a-f]{12}")
_WHOLE_BP = 10_000
# No line of a utility's invoice is longer than twelve digits of francs: a slip of the finger, not an amount.
_MINOR_MAX = 10**14


class HandRefused(StateConflict):
    """An invoice that cannot be written. `code`: no_contract, no_lines, bad_line, currency, month_taken."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class HandLine:
    """What is charged, before levies; `levies`: the codes of those that are put on it."""

    label: str
    amount: Money
    levies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """A line as it will stand on the paper. `levy`: its code, where it is one."""

    label: str
    amount: Money
    quantity: str = "1"
    levy: str | None = None
    price: str | None = None


class HandInvoices:
    """Owns its transactions. What it writes is a draft: it is looked at, validated and sent like any other."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def levies(self, contract_id: int) -> tuple[Levy, ...]:
        """The levies of the contract's tariff as it is in force today; none where it has no tariff."""
        with self._db.read() as session:
            return self._levies(session, contract_id)

    def planned(self, contract_id: int, lines: Sequence[HandLine]) -> tuple[PlannedLine, ...]:
        """The lines with their levies, one for each levy, in whole steps of the currency. Raises HandRefused."""
        with self._db.read() as session:
            return self._planned(session, contract_id, lines)

    def write(self, key: str, contract_id: int, *, period: str, lines: Sequence[HandLine], besides: bool = True) -> int:
        """Write a draft; its id. The same `key` (12 hex digits, made by the form) again is the same draft.

        `besides`: besides the month's own invoice, which a run still makes; otherwise instead of it.
        Raises HandRefused; BadPeriod for what is no month.
        """
        number = f"DRAFT-{key}"
        if not _KEY.fullmatch(key):
            raise HandRefused("bad_line")
        try:
            with self._db.begin() as session:
                known = session.scalar(select(InvoiceRow.id).where(InvoiceRow.number == number))
                return known or self._write(session, number, contract_id, period, lines, besides)
        except IntegrityError:
            # Sent twice in the same instant: the other one is the draft.
            with self._db.read() as session:
                twin = session.scalar(select(InvoiceRow.id).where(InvoiceRow.number == number))
            if twin is None:
                raise
            return twin

    # Inside.

    def _write(
        self,
        session: Session,
        number: str,
        contract_id: int,
        period: str,
        lines: Sequence[HandLine],
        besides: bool,
    ) -> int:
        planned = self._planned(session, contract_id, lines)
        if not besides:
            # A run that writes this month at this moment ends first, and is seen below.
            lock_months(session)
        contract = session.get_one(ContractRow, contract_id, with_for_update={"key_share": True})
        month = Month.read(period).text
        if not besides and self._is_billed(session, contract_id, month):
            raise HandRefused("month_taken")
        zone = session.scalars(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)).one()
        invoice = InvoiceRow(
            number=number,
            contract_id=contract.id,
            period=month,
            currency=contract.currency,
            total_minor=sum(one.amount.minor for one in planned),
            tax_minor=sum(one.amount.minor for one in planned if one.levy),
            issued_on=local_date(self._clock.now(), zone),
            besides=besides,
        )
        session.add(invoice)
        session.flush()
        for position, line in enumerate(planned, start=1):
            session.add(
                InvoiceLineRow(
                    invoice_id=invoice.id,
                    position=position,
                    label=line.label,
                    quantity=line.quantity,
                    amount_minor=line.amount.minor,
                    levy=line.levy,
                    price=line.price,
                )
            )
        return invoice.id

    @staticmethod
    def _is_billed(session: Session, contract_id: int, month: str) -> bool:
        found = select(InvoiceRow.id).where(
            InvoiceRow.contract_id == contract_id,
            InvoiceRow.period == month,
            InvoiceRow.state != "cancelled",
            InvoiceRow.besides.is_(False),
        )
        return session.scalar(found.limit(1)) is not None

    def _planned(self, session: Session, contract_id: int, lines: Sequence[HandLine]) -> tuple[PlannedLine, ...]:
        contract = session.get(ContractRow, contract_id)
        if contract is None or contract.state != "active":
            raise HandRefused("no_contract")
        if not 0 < len(lines) <= LINES_MAX:
            raise HandRefused("no_lines")
        known = {levy.code: levy for levy in self._levies(session, contract_id)}
        bases: dict[str, int] = {}
        planned: list[PlannedLine] = []
        for line in lines:
            label = " ".join(line.label.split())
            if line.amount.currency != contract.currency:
                raise HandRefused("currency")
            if not label or len(label) > LABEL_MAX or not line.amount.is_chargeable or line.amount.minor > _MINOR_MAX:
                raise HandRefused("bad_line")
            planned.append(PlannedLine(label, line.amount))
            for code in line.levies:
                if code not in known:
                    raise HandRefused("bad_line")
                bases[code] = bases.get(code, 0) + line.amount.minor
        unit = Money.units(1, contract.currency).minor
        for code, base in bases.items():
            levy = known[code]
            minor = rounded(base * levy.basis_points, unit * _WHOLE_BP, contract.currency)
            if minor:
                rate = price_text(levy.basis_points * MICRO // 100)
                name = f"{levy.name} {rate.replace('.', ',')} %"
                amount = Money(minor, contract.currency)
                planned.append(PlannedLine(name, amount, Money(base, contract.currency).text, code, rate))
        return tuple(planned)

    def _levies(self, session: Session, contract_id: int) -> tuple[Levy, ...]:
        found = session.execute(
            select(TariffRow.code, SiteRow.time_zone)
            .select_from(ContractRow)
            .join(SiteRow, SiteRow.id == ContractRow.site_id)
            .join(TariffRow, TariffRow.id == ContractRow.tariff_id)
            .where(ContractRow.id == contract_id)
        ).first()
        if found is None:
            return ()
        code, zone = found
        today = local_date(self._clock.now(), zone)
        known = versions(session, {code}).get(code)
        return next((one.levies for one in reversed(known.all) if one.valid_from <= today), ()) if known else ()
