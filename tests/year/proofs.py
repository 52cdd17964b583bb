"""What must hold: the books are the clerk's, and nobody was cut who should not have been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import HoldRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow
from core.ledger import queries as ledger
from core.payments.tables import PaymentRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow, RelayCommandRow

if TYPE_CHECKING:
    from tests.year.utility import Year

# The least that is cut for, as the policy's first version has it.
FLOOR = {"CDF": 500_000, "USD": 200}
HOLIDAYS = ("01-01", "01-04", "01-16", "01-17", "04-06", "05-01", "05-17", "06-30", "08-01", "12-25")


def everything(year: Year) -> None:
    _books(year)
    _invoices(year)
    _supply(year)
    _numbers(year)
    _energy(year)


def _books(year: Year) -> None:
    with year.db.snapshot() as session:
        trial = {key: minor for key, minor in ledger.trial_balance(session).items() if minor}
        wrong = ledger.differences(session)
    mine = year.clerk.balances()
    differ = {key: (trial.get(key, 0), mine.get(key, 0)) for key in trial.keys() | mine.keys()}
    differ = {key: both for key, both in differ.items() if both[0] != both[1]}
    assert not differ, f"(books, clerk): {dict(sorted(differ.items())[:6])}"
    assert not wrong, f"cached balances: {wrong[:3]}"
    for currency in ("CDF", "USD"):
        assert sum(minor for (_, _, cur), minor in trial.items() if cur == currency) == 0


def _invoices(year: Year) -> None:
    with year.db.read() as session:
        rows = session.execute(
            select(
                InvoiceRow.id, InvoiceRow.contract_id, InvoiceRow.total_minor, InvoiceRow.paid_minor, InvoiceRow.state
            )
        ).all()
        waiting = dict(session.execute(select(PaymentRow.id, PaymentRow.in_suspense)).all())
    assert {row.id for row in rows} == set(year.clerk.bills)
    for row in rows:
        bill = year.clerk.bills[row.id]
        said = (row.state, row.contract_id, row.total_minor, row.paid_minor)
        assert said == ("sent", bill.contract, bill.total, bill.paid), (
            f"contract {bill.contract}, bill {row.id}: {said}"
        )
    for payment, minor in year.clerk.waiting.items():
        assert waiting[payment] == (minor > 0), f"payment {payment}"


def _supply(year: Year) -> None:
    """Everybody whose off is no longer due is on: the books want it, and the meter says so or is being told."""
    with year.db.read() as session:
        rows = session.execute(
            select(
                ContractRow.id, ContractRow.currency, MeterDesiredRow.supply, MeterReportedRow.supply,
                MeterReportedRow.version, MeterDesiredRow.version,
            )
            .join(MeterDesiredRow, MeterDesiredRow.meter_id == ContractRow.meter_id)
            .join(MeterReportedRow, MeterReportedRow.meter_id == ContractRow.meter_id)
        )  # fmt: skip
        for contract, currency, wanted, is_so, seen, version in rows:
            if wanted == "off":
                owed = year.clerk.overdue(contract, year.today)
                assert owed >= FLOOR[currency], f"contract {contract} is off and owes {owed}"
            if seen == version:
                assert is_so == wanted, f"contract {contract}: wanted {wanted}, is {is_so}"


def _numbers(year: Year) -> None:
    with year.db.read() as session:
        numbers = session.scalars(select(InvoiceRow.number)).all()
    series: dict[str, list[int]] = {}
    for number in numbers:
        name, _, count = number.rpartition("-")
        series.setdefault(name, []).append(int(count))
    for name, counts in series.items():
        assert sorted(counts) == list(range(1, len(counts) + 1)), f"series {name} has a gap or a twin"


def _energy(year: Year) -> None:
    """No watt-hour twice, none never: each bill begins where the one before ended, up to a register that was read."""
    with year.db.read() as session:
        rows = session.execute(
            select(
                InvoiceRow.contract_id, InvoiceMeasureRow.from_at, InvoiceMeasureRow.until_at,
                InvoiceMeasureRow.from_wh, InvoiceMeasureRow.until_wh, InvoiceMeasureRow.estimated,
            )
            .join(InvoiceMeasureRow, InvoiceMeasureRow.invoice_id == InvoiceRow.id)
            .order_by(InvoiceRow.contract_id, InvoiceMeasureRow.until_at)
        ).all()  # fmt: skip
    ended: dict[int, tuple[datetime, int]] = {}
    billed: dict[int, int] = {}
    caught_up: dict[int, bool] = {}
    for contract, from_at, until_at, from_wh, until_wh, estimated in rows:
        house = year.houses[contract]
        begin = ended.get(contract, house.believed[0])
        assert (from_at, from_wh) == begin, f"contract {contract}: a bill begins at {from_wh}, not at {begin[1]}"
        assert until_wh >= from_wh
        ended[contract] = (until_at, until_wh)
        billed[contract] = billed.get(contract, 0) + until_wh - from_wh
        read = dict(house.believed).get(until_at)
        caught_up[contract] = not estimated and read is not None and read == until_wh
    for contract, wh in billed.items():
        if caught_up[contract]:
            register = dict(year.houses[contract].believed)[ended[contract][0]]
            first = year.houses[contract].believed[0][1]
            assert wh == register - first, f"contract {contract}: {wh} Wh billed, {register - first} went through"


def cuts(year: Year, contracts: Sequence[int]) -> None:
    """Nobody without the evidence, outside a window, or for money that is not owed."""
    if not contracts:
        return
    now = year.clock.now()
    with year.db.read() as session:
        for contract in contracts:
            house = year.houses[contract]
            where = f"contract {contract}"
            local = now.astimezone(ZoneInfo(house.zone))
            assert (local.weekday() < 4, 8 <= local.hour < 14) == (True, True), f"{where} was cut on {local}"
            assert not {_month_day(local.date()), _month_day(local.date() + timedelta(days=1))} & set(HOLIDAYS), where
            assert year.clerk.overdue(contract, year.today) >= FLOOR[house.currency], f"{where} owes too little"
            command = session.scalars(
                select(RelayCommandRow)
                .where(RelayCommandRow.contract_id == contract, RelayCommandRow.supply == "off")
                .order_by(RelayCommandRow.version.desc())
            ).first()
            assert command is not None, where
            assert command.invoice_id is not None, where
            _evidence(year, session.get_one(InvoiceRow, command.invoice_id), session, now, where)
            promised = select(HoldRow.until_at).where(HoldRow.contract_id == contract, HoldRow.kind == "promise")
            assert not any(until > now for until in session.scalars(promised)), f"{where} had promised"


def _evidence(year: Year, invoice: InvoiceRow, session: Session, now: datetime, where: str) -> None:
    bill = year.clerk.bills[invoice.id]
    assert bill.left > 0, f"{where}: bill {invoice.number} is paid"
    assert bill.disputed_until is None or bill.disputed_until <= now, f"{where}: bill {invoice.number} is disputed"
    began = year.again.get(invoice.id, bill.day)
    assert year.today >= began + timedelta(days=14), f"{where}: cut on day {(year.today - began).days}"
    steps = session.scalars(
        select(ReminderRow).where(ReminderRow.invoice_id == invoice.id, ReminderRow.cycle == invoice.cycle)
    ).all()
    for base, day in (("sent", 0), ("reminder", 3), ("warning", 7)):
        mine = [step for step in steps if step.step.partition(".")[0] == base]
        assert any(step.delivered_at and step.delivered_at <= now for step in mine), f"{where}: no {base} arrived"
        assert min(step.created_at.date() for step in mine) >= began + timedelta(days=day), f"{where}: {base} too early"
    warnings = [s for s in steps if s.step.startswith("warning")]
    arrived = max(s.delivered_at for s in warnings if s.delivered_at)
    assert timedelta(hours=48) <= now - arrived <= timedelta(days=8), f"{where}: warned {now - arrived} ago"
    assert all(s.cut_on is None or s.cut_on <= year.today for s in warnings), f"{where}: cut before the day named"


def _month_day(day: date) -> str:
    return f"{day:%m-%d}"
