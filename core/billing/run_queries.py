"""What a billing run reads and writes, a chunk of contracts at a time: a fixed number of statements for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, false, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from core.billing.labels import label_of
from core.billing.queries import next_number
from core.billing.run_model import LeftOut, Measure, Month, Planned, Previous, Subject
from core.billing.run_tables import InvoiceMeasureRow, LeftOutRow
from core.billing.tables import InvoiceLineRow, InvoiceRow, TariffRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.kernel.ids import new_uuid

# Written a thousand at a time: as tables, past the unit of work.
_INVOICE = cast(Table, InvoiceRow.__table__)
_LINE = cast(Table, InvoiceLineRow.__table__)
_MEASURE = cast(Table, InvoiceMeasureRow.__table__)

# The month's own invoice, not one that a person wrote besides it.
IS_THE_MONTHS = InvoiceRow.besides == false()
BILLED_KINDS = ("monthly", "consumption", "flat")


def unbilled(month: Month, *, agency_id: int | None, contract_id: int | None) -> ColumnElement[bool]:
    """Which contracts a run has to look at. Join of contract and site.

    A cancelled invoice of a run keeps the next run away: whoever cancelled it says when it is made anew, by naming the
    contract. One that a person wrote for the same month keeps it away too, unless it was written besides it.
    """
    mine = and_(InvoiceRow.contract_id == ContractRow.id, InvoiceRow.period == month.text, IS_THE_MONTHS)
    if contract_id is not None:
        mine = and_(mine, InvoiceRow.state != "cancelled")
    found = and_(
        ContractRow.state == "active",
        ContractRow.kind.in_(BILLED_KINDS),
        ContractRow.opened_on < month.after,
        ~exists().where(mine),
    )
    if agency_id is not None:
        found = and_(found, SiteRow.agency_id == agency_id)
    return found if contract_id is None else and_(found, ContractRow.id == contract_id)


def count(session: Session, wanted: ColumnElement[bool]) -> int:
    """How many contracts are left."""
    found = select(func.count()).select_from(ContractRow).join(SiteRow, SiteRow.id == ContractRow.site_id)
    return int(session.scalar(found.where(wanted)) or 0)


def page(session: Session, wanted: ColumnElement[bool], *, after: int, limit: int) -> list[Subject]:
    """The next contracts by id, without their past and their registers."""
    rows = session.execute(
        select(
            ContractRow.id, ContractRow.account_number, ContractRow.kind, ContractRow.currency, ContractRow.opened_on,
            CustomerRow.language, SiteRow.time_zone, ContractRow.meter_id, TariffRow.code,
        )
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .outerjoin(TariffRow, TariffRow.id == ContractRow.tariff_id)
        .where(wanted, ContractRow.id > after)
        .order_by(ContractRow.id)
        .limit(limit)
    )  # fmt: skip
    return [Subject(*row) for row in rows]


def previous(session: Session, contract_ids: Collection[int], month: Month) -> dict[int, Previous | Month]:
    """contract → its newest invoice of a month before that nobody cancelled: as a run made it; its month alone where a
    person wrote it instead."""
    one = aliased(InvoiceRow)
    newest = (
        select(one.id)
        .where(
            one.contract_id == ContractRow.id,
            one.period < month.text,
            one.state != "cancelled",
            one.besides == false(),
            or_(one.run_id.is_(None), one.from_on.is_not(None)),
        )
        .order_by(one.period.desc(), one.id.desc())
        .limit(1)
        .correlate(ContractRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(InvoiceRow, InvoiceMeasureRow)
        .outerjoin(InvoiceMeasureRow, InvoiceMeasureRow.invoice_id == InvoiceRow.id)
        .where(InvoiceRow.id.in_(select(newest).select_from(ContractRow).where(ContractRow.id.in_(contract_ids))))
    )
    return {
        invoice.contract_id: Month.read(invoice.period) if invoice.run_id is None else _previous(invoice, measure)
        for invoice, measure in rows
    }


def billed_from(session: Session, contract_ids: Collection[int], month: Month) -> dict[int, datetime]:
    """contract → from when on its later invoices measure: what they have billed is not billed once more."""
    rows = session.execute(
        select(InvoiceRow.contract_id, func.min(InvoiceMeasureRow.from_at).label("first"))
        .join(InvoiceMeasureRow, InvoiceMeasureRow.invoice_id == InvoiceRow.id)
        .where(
            InvoiceRow.contract_id.in_(contract_ids), InvoiceRow.period > month.text, InvoiceRow.state != "cancelled"
        )
        .group_by(InvoiceRow.contract_id)
    )
    return {row.contract_id: row.first for row in rows}


def billed_already(session: Session, contract_ids: Collection[int], month: Month) -> set[int]:
    """Those that got an invoice since they were read: by another run, or by a person."""
    rows = session.scalars(
        select(InvoiceRow.contract_id).where(
            InvoiceRow.contract_id.in_(contract_ids),
            InvoiceRow.period == month.text,
            InvoiceRow.state != "cancelled",
            IS_THE_MONTHS,
        )
    )
    return set(rows)


def lock_months(session: Session) -> None:
    """One at a time writes invoices for months, of whatever month, until the caller's transaction ends: where one month
    ends is where the next one begins to measure, and a person may write one instead of a run."""
    next_number(session, "billing")


def overtaken(session: Session, planned: Sequence[Planned]) -> set[int]:
    """Contracts whose energy another month's run, or one that a person wrote, has billed since these were planned: they
    are planned anew by the next run."""
    measured = {one.subject.contract_id: one.measure for one in planned if one.measure is not None}
    if not measured:
        return set()
    begin = min(measure.from_at for measure in measured.values())
    rows = session.execute(
        select(InvoiceRow.contract_id, InvoiceMeasureRow.from_at, InvoiceMeasureRow.until_at)
        .join(InvoiceMeasureRow, InvoiceMeasureRow.invoice_id == InvoiceRow.id)
        .where(
            InvoiceRow.contract_id.in_(list(measured)),
            InvoiceRow.state != "cancelled",
            # No invoice measures beyond its month: those of years ago are not looked up one by one.
            InvoiceRow.period >= f"{begin - timedelta(days=1):%Y-%m}",
            InvoiceMeasureRow.until_at > begin,
        )
    )
    return {
        contract_id
        for contract_id, from_at, until_at in rows
        if from_at < measured[contract_id].until_at and until_at > measured[contract_id].from_at
    }


def write(session: Session, planned: Sequence[Planned], month: Month, *, run_id: int, issued_on: date) -> None:
    """Drafts with their lines and measures: three statements."""
    if not planned:
        return
    drafts = [_invoice(one, month, run_id, issued_on) for one in planned]
    # By number, not in order: SQLite returns rows in the order given only when they are inserted one by one.
    rows = session.execute(insert(_INVOICE).returning(_INVOICE.c.number, _INVOICE.c.id), drafts)
    ids = {row.number: row.id for row in rows}
    made = [(ids[draft["number"]], one) for draft, one in zip(drafts, planned, strict=True)]
    session.execute(insert(_LINE), [line for invoice_id, one in made for line in _lines(invoice_id, one)])
    measures = [_measure(invoice_id, one.measure) for invoice_id, one in made if one.measure is not None]
    if measures:
        session.execute(insert(_MEASURE), measures)


def note_left_out(
    session: Session, left_out: Sequence[LeftOut], billed: Collection[int], month: Month, *, run_id: int
) -> None:
    """Write down who could not be billed; whoever was billed now is on the list no more."""
    gone = [*billed, *(one.contract_id for one in left_out)]
    session.execute(delete(LeftOutRow).where(LeftOutRow.period == month.text, LeftOutRow.contract_id.in_(gone)))
    if left_out:
        session.execute(
            insert(cast(Table, LeftOutRow.__table__)),
            [
                {
                    "contract_id": one.contract_id,
                    "period": month.text,
                    "run_id": run_id,
                    "reason": one.reason,
                    "detail": one.detail[:160],
                }
                for one in left_out
            ],
        )


def in_state(
    session: Session,
    month: Month,
    state: str,
    *,
    agency_id: int | None,
    contract_id: int | None,
    after: int,
    limit: int,
) -> list[int]:
    """Invoices that runs made for a month and that are in a state, by id, above `after`."""
    found = _made(select(InvoiceRow.id), month, state, agency_id, contract_id)
    return list(session.scalars(found.where(InvoiceRow.id > after).order_by(InvoiceRow.id).limit(limit)))


def count_in_state(
    session: Session, month: Month, state: str, *, agency_id: int | None, contract_id: int | None
) -> int:
    """How many there are."""
    found = _made(select(func.count()).select_from(InvoiceRow), month, state, agency_id, contract_id)
    return int(session.scalar(found) or 0)


def made_by(session: Session, run_id: int) -> int:
    """How many invoices a run drafted."""
    return int(session.scalar(select(func.count()).where(InvoiceRow.run_id == run_id)) or 0)


def left_out_by(session: Session, month: Month, run_id: int) -> int:
    """How many a run was the last to leave out."""
    found = select(func.count()).where(LeftOutRow.period == month.text, LeftOutRow.run_id == run_id)
    return int(session.scalar(found) or 0)


def left_out(session: Session, month: Month, *, after: int, limit: int) -> list[tuple[LeftOut, str, str]]:
    """(who could not be billed and why, account number, customer), by contract, above `after`."""
    rows = session.execute(
        select(LeftOutRow, ContractRow.account_number, CustomerRow.name)
        .join(ContractRow, ContractRow.id == LeftOutRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(LeftOutRow.period == month.text, LeftOutRow.contract_id > after)
        .order_by(LeftOutRow.contract_id)
        .limit(limit)
    )
    return [(LeftOut(row.contract_id, row.reason, row.detail), account, name) for row, account, name in rows]  # type: ignore[arg-type]


def _made(what: Select[int], month: Month, state: str, agency_id: int | None, contract_id: int | None) -> Select[int]:
    found = (
        what.join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(InvoiceRow.period == month.text, InvoiceRow.run_id.is_not(None), InvoiceRow.state == state)
    )
    if agency_id is not None:
        found = found.where(SiteRow.agency_id == agency_id)
    return found if contract_id is None else found.where(InvoiceRow.contract_id == contract_id)


def _previous(invoice: InvoiceRow, measure: InvoiceMeasureRow | None) -> Previous:
    assert invoice.from_on is not None
    assert invoice.until_on is not None
    return Previous(
        month=Month.read(invoice.period),
        from_on=invoice.from_on,
        until_on=invoice.until_on,
        total_minor=invoice.total_minor,
        estimated=invoice.estimated,
        measure=None
        if measure is None
        else Measure(
            measure.meter_id,
            measure.from_at,
            measure.until_at,
            measure.from_wh,
            measure.until_wh,
            measure.until_measured_wh,
            measure.estimated,
        ),
    )


def _invoice(one: Planned, month: Month, run_id: int, issued_on: date) -> dict[str, Any]:
    return {
        # A number of its own until it is validated; the series has no gaps for drafts that are dropped.
        "number": f"DRAFT-{new_uuid().replace('-', '')[:18]}",
        "contract_id": one.subject.contract_id,
        "period": month.text,
        "currency": one.subject.currency,
        "total_minor": one.total_minor,
        "tax_minor": one.tax_minor,
        "paid_minor": 0,
        "state": "draft",
        "issued_on": issued_on,
        "cycle": 1,
        "disputed": False,
        "estimated": one.estimated,
        "besides": False,
        "run_id": run_id,
        "from_on": one.use.from_on,
        "until_on": one.use.until_on,
        "explained": list(one.explained) if one.explained is not None else None,
    }


def _lines(invoice_id: int, one: Planned) -> list[dict[str, Any]]:
    return [
        {
            "invoice_id": invoice_id,
            "position": position,
            "label": label_of(line, one.subject.language, blocks=one.blocks),
            "quantity": line.quantity,
            "amount_minor": line.amount_minor,
            "levy": line.levy,
            "component": line.component,
            "block": line.block,
            "price": line.price,
            "tariff_id": line.tariff_id,
            "from_on": line.from_on,
            "until_on": line.until_on,
        }
        for position, line in enumerate(one.charges, start=1)
    ]


def _measure(invoice_id: int, measure: Measure) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "meter_id": measure.meter_id,
        "from_at": measure.from_at,
        "until_at": measure.until_at,
        "from_wh": measure.from_wh,
        "until_wh": measure.until_wh,
        "until_measured_wh": measure.until_measured_wh,
        "estimated": measure.estimated,
    }
