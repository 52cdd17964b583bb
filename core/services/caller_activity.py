"""What the second read of a caller's snapshot brought, sorted out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.customers.links import LinkRequestView, MemberView
from core.customers.model import AttemptView, CaseView, ReceiptView
from core.kernel.money import Money
from core.services.customer_reads import CASES, RECEIPTS


@dataclass(frozen=True, slots=True)
class Activity:
    """Attempts, receipts and cases newest first, requests and members oldest first; each once."""

    attempts: tuple[AttemptView, ...]
    receipts: tuple[ReceiptView, ...]
    requests: tuple[LinkRequestView, ...]
    members: tuple[MemberView, ...]
    cases: tuple[CaseView, ...]
    end_text: str | None

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Activity:
        """Rows of `customer_reads.ACTIVITY`."""
        found: dict[str, dict[str, Any]] = {what: {} for what in _READERS}
        end_text = None
        for row in rows:
            if row.what == "end":
                end_text = row.reference
            else:
                found[row.what][row.key] = _READERS[row.what](row)
        return cls(
            attempts=tuple(sorted(found["attempt"].values(), key=lambda a: a.created_at, reverse=True)),
            receipts=tuple(sorted(found["payment"].values(), key=lambda r: r.at, reverse=True)[:RECEIPTS]),
            requests=tuple(sorted(found["request"].values(), key=lambda r: r.id)),
            members=tuple(sorted(found["member"].values(), key=lambda m: m.link_id)),
            cases=tuple(sorted(found["case"].values(), key=lambda c: c.opened_at, reverse=True)[:CASES]),
            end_text=end_text,
        )


def _attempt(row: Any) -> AttemptView:
    return AttemptView(
        row.key,
        row.contract_id,
        Money(row.minor, row.currency),
        row.reference,
        row.payer_phone,
        row.asked_by_phone,
        row.state,
        bool(row.is_open),
        row.reason,
        row.at,
        row.ended_at,
    )


def _receipt(row: Any) -> ReceiptView:
    amount = Money(row.minor, row.currency)
    return ReceiptView(row.key, row.reference, amount, row.at, row.account_number, row.time_zone)


def _request(row: Any) -> LinkRequestView:
    return LinkRequestView(int(row.key), row.contract_id, row.customer_id, row.reference, row.at)


def _member(row: Any) -> MemberView:
    return MemberView(int(row.key), row.customer_id, row.reference, row.state, bool(row.is_open))


def _case(row: Any) -> CaseView:
    return CaseView(row.key, row.reference, row.state, row.at, row.contract_id)


_READERS = {"attempt": _attempt, "payment": _receipt, "request": _request, "member": _member, "case": _case}
