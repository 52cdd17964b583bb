"""What outbox rows are about, in words people know: one statement per sort of thing, however many rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, cast, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import String

from core.billing.run_tables import BillingOrderRow
from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow
from core.desk.queue_model import Subject
from core.notices.tables import InboundSmsRow, NoticeRow
from core.outbox import OutboxRow
from core.payments.tables import AttemptRow, CallbackRow, PaymentRow, RefundRow
from core.phone_numbers import masked

Ids = Collection[Any]
Found = Mapping[str, Subject]
# Which thing a row is about: the first of these its body names. A payment may stand beside the contract it is for.
FIELDS = (
    "attempt_id", "refund_id", "callback_id", "notice_id", "inbound_id", "invoice_id", "payment_id", "payslip_id",
    "contract_id", "order_id", "import_id",
)  # fmt: skip


def subjects(session: Session, rows: Iterable[OutboxRow], *, now: datetime) -> Mapping[int, Subject]:
    """Outbox id → its subject. `now`: business time, to know what came too late."""
    wanted: dict[str, dict[int, Any]] = defaultdict(dict)
    given: dict[int, Subject] = {}
    for row in rows:
        field = next((f for f in FIELDS if row.body.get(f) not in (None, "")), None)
        if row.kind == "schedule.run":
            name = "@".join(str(row.body[part]) for part in ("name", "zone") if part in row.body)
            given[row.id] = Subject("run", str(row.body.get("run_id", "")), name)
        elif row.kind == "payroll.close":
            given[row.id] = Subject("payroll", str(row.body.get("run_id", "")), str(row.body.get("run_id", "")))
        elif field in ("payslip_id", "import_id"):
            given[row.id] = Subject(field.removesuffix("_id"), str(row.body[field]), str(row.body[field]))
        elif field is not None:
            wanted[field][row.id] = row.body[field]
        else:
            given[row.id] = Subject("other", "", row.key)
    for field, ids in wanted.items():
        found = _READERS[field](session, _usable(field, ids.values()), now)
        for row_id, thing_id in ids.items():
            given[row_id] = found.get(str(thing_id), Subject())
    return given


def _usable(field: str, ids: Iterable[object]) -> list[Any]:
    """Ids of the right type: what a body carries was written by us, but a dead row may be dead for that reason."""
    if field in ("attempt_id", "refund_id", "payment_id"):
        return [str(i) for i in ids]
    return [int(str(i)) for i in ids if str(i).isascii() and str(i).isdecimal() and len(str(i)) < 19]


def _with_whose(
    what: tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...],
    key: InstrumentedAttribute[Any],
    contract: InstrumentedAttribute[Any],
    ids: Ids,
) -> Select[Any]:
    return (
        select(key, *what, ContractRow.id, ContractRow.account_number, CustomerRow.id, CustomerRow.name)
        .outerjoin(ContractRow, ContractRow.id == contract)
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(key.in_(ids))
    )


def _reader(
    thing: str,
    key: InstrumentedAttribute[Any],
    contract: InstrumentedAttribute[Any],
    number: InstrumentedAttribute[Any],
    state: InstrumentedAttribute[Any],
) -> Callable[[Session, Ids, datetime], Found]:
    def read(session: Session, ids: Ids, _now: datetime) -> Found:
        rows = session.execute(_with_whose((number, cast(state, String)), key, contract, ids))
        return {
            str(row[0]): Subject(thing, str(row[0]), row[1] or "", "", row[2] or "", False, *_whose(row))
            for row in rows
        }

    return read


def _whose(row: Any) -> tuple[int | None, str, int | None, str]:
    contract_id, account, customer_id, customer = row[-4:]
    return contract_id, account or "", customer_id, customer or ""


def _notices(session: Session, ids: Ids, now: datetime) -> Found:
    what = (NoticeRow.kind, NoticeRow.recipient, NoticeRow.state, NoticeRow.expires_at, NoticeRow.customer_id)
    found: dict[str, Subject] = {}
    for row in session.execute(_with_whose(what, NoticeRow.id, NoticeRow.contract_id, ids)):
        contract_id, account, customer_id, customer = _whose(row)
        found[str(row[0])] = Subject(
            "notice", str(row[0]), _covered(row.recipient), row.kind, row.state, now >= row.expires_at, contract_id,
            account, customer_id or row[5], customer,
        )  # fmt: skip
    return found


def _covered(recipient: str) -> str:
    """Enough to recognise it by; the customer's page has the rest."""
    if "@" in recipient:
        return f"{recipient[:2]}***@{recipient.partition('@')[2]}"
    return masked(recipient)


def _callbacks(session: Session, ids: Ids, _now: datetime) -> Found:
    rows = session.execute(
        select(
            CallbackRow.id, CallbackRow.wallet, CallbackRow.kind, CallbackRow.state, ContractRow.id,
            ContractRow.account_number, CustomerRow.id, CustomerRow.name,
        )
        .outerjoin(AttemptRow, AttemptRow.id == CallbackRow.attempt_id)
        .outerjoin(ContractRow, ContractRow.id == AttemptRow.contract_id)
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(CallbackRow.id.in_(ids))
    )  # fmt: skip
    return {str(r[0]): Subject("callback", str(r[0]), r.wallet, r.kind, r.state, False, *_whose(r)) for r in rows}


def _texts(session: Session, ids: Ids, _now: datetime) -> Found:
    rows = session.scalars(select(InboundSmsRow).where(InboundSmsRow.id.in_(ids)))
    return {str(row.id): Subject("text", str(row.id), masked(row.phone), "", row.handled) for row in rows}


def _orders(session: Session, ids: Ids, _now: datetime) -> Found:
    rows = session.execute(select(BillingOrderRow.id, BillingOrderRow.period).where(BillingOrderRow.id.in_(ids)))
    return {str(row.id): Subject("order", str(row.id), row.period) for row in rows}


def _contracts(session: Session, ids: Ids, _now: datetime) -> Found:
    rows = session.execute(
        select(ContractRow.state, ContractRow.id, ContractRow.account_number, CustomerRow.id, CustomerRow.name)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(ContractRow.id.in_(ids))
    )
    return {
        str(row[1]): Subject("contract", str(row[1]), row.account_number, "", row.state, False, *_whose(row))
        for row in rows
    }


_READERS: Mapping[str, Callable[[Session, Ids, datetime], Found]] = {
    "attempt_id": _reader("attempt", AttemptRow.id, AttemptRow.contract_id, AttemptRow.own_ref, AttemptRow.state),
    "refund_id": _reader("refund", RefundRow.id, RefundRow.contract_id, RefundRow.own_ref, RefundRow.state),
    "payment_id": _reader(
        "payment", PaymentRow.id, PaymentRow.contract_id, PaymentRow.receipt_number, PaymentRow.found_by
    ),
    "invoice_id": _reader("invoice", InvoiceRow.id, InvoiceRow.contract_id, InvoiceRow.number, InvoiceRow.state),
    "callback_id": _callbacks,
    "notice_id": _notices,
    "inbound_id": _texts,
    "contract_id": _contracts,
    "order_id": _orders,
}
