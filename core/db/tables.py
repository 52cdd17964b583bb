"""Every table, imported once, so that metadata and migrations know them all."""

from __future__ import annotations

from core import outbox
from core.agents import tables as agents
from core.api_access import tables as api_access
from core.billing import policy_tables as dunning_policies
from core.billing import run_tables as billing_runs
from core.billing import tables as billing
from core.cases import tables as cases
from core.customers import link_tables as phone_links
from core.customers import protection_tables as protections
from core.customers import tables as customers
from core.db.base import Base
from core.documents import tables as documents
from core.imports import tables as imports
from core.ledger import tables as ledger
from core.notices import tables as notices
from core.payments import counter_tables as counter_payments
from core.payments import tables as payments
from core.payroll import tables as payroll
from core.prepaid import tables as prepaid
from core.promises import tables as promises
from core.readings import tables as readings
from core.reconciliation import tables as reconciliation
from core.staff import tables as staff
from core.supply import tables as supply
from core.turns import tables as turns

MODULES = (
    agents,
    api_access,
    billing,
    billing_runs,
    cases,
    counter_payments,
    customers,
    documents,
    dunning_policies,
    imports,
    ledger,
    notices,
    outbox,
    payments,
    payroll,
    phone_links,
    prepaid,
    promises,
    protections,
    readings,
    reconciliation,
    staff,
    supply,
    turns,
)
metadata = Base.metadata
