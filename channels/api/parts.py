"""What the API is made of: the services behind it, and how fast a program may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.kernel.clock import Clock
from core.services.agencies import Agencies
from core.services.api_tokens import ApiTokens
from core.services.billing import Billing
from core.services.counter import Counter
from core.services.enrolment import Enrolment
from core.services.invoice_papers import InvoicePapers
from core.services.links import PhoneLinks
from core.services.readings import Readings
from core.services.register import Register


class Receipts(Protocol):
    def receipt_pdf(self, payment_id: str) -> bytes | None:
        """None: the money is not placed, so there is no receipt yet."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`burst` requests at once for each token (or address), then `per_minute`; each web process counts for itself."""

    burst: int = 120
    per_minute: float = 600.0


@dataclass(frozen=True, slots=True)
class ApiParts:
    tokens: ApiTokens
    register: Register
    agencies: Agencies
    billing: Billing
    counter: Counter
    enrolment: Enrolment
    receipts: Receipts
    papers: InvoicePapers
    links: PhoneLinks
    readings: Readings
    clock: Clock
    pace: Pace = Pace()
