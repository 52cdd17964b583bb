"""What the notices services ask of an SMS gateway and of a mail server, and what gateways tell us later."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from core.notices.rules import DeliveryState


@dataclass(frozen=True, slots=True)
class OutboundText:
    """One text for one number. `to`: E.164 with the plus. `body`: inside GSM-7. `reference`: ours, for logs."""

    to: str
    body: str = field(repr=False)
    reference: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The gateway took it on; never "delivered". `reference` None: it gave none, so no report will find it.

    `cost` is what it says it costs, as it says it.
    """

    gateway: str
    reference: str | None
    cost: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of a text. `status` is the gateway's word; `meaning` ours, None for a word nobody knows yet.

    `phone`: E.164, empty when it does not say. `blocked`: the person has told the gateway to stop.
    """

    reference: str
    status: str
    meaning: DeliveryState | None
    reason: str = ""
    network: str = ""
    phone: str = ""
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text somebody sent us. `reference` is the gateway's, the same when it is delivered again.

    `phone`: E.164, or whatever stands there when it is no number (a name, a short code). `to`: the number or short code
    it was sent to, empty when the gateway does not say. `sent_at`: when it left the phone, None when unknown.
    """

    reference: str
    phone: str
    body: str = field(repr=False)
    to: str = ""
    sent_at: datetime | None = None


class SmsGateway(Protocol):
    """Hands texts over. One call, one text: nothing here repeats by itself."""

    @property
    def name(self) -> str: ...

    def send(self, text: OutboundText) -> Receipt:
        """Hand one text over. Raises one of `core.notices.errors` or PartnerRefused for a clear no, PartnerThrottled,
        or PartnerDown (`sent` False: certainly nothing reached the gateway; True: nobody knows)."""
        ...


@dataclass(frozen=True, slots=True)
class Attachment:
    """A PDF that goes with an e-mail. `name`: ASCII, as it is saved."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutboundEmail:
    """One e-mail for one address. `reference`: ours, nobody can guess it; the mail server's answers name it.

    `text` and `html` say the same. `unwanted`: whether the reader may ask for no more of these.
    """

    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    reference: str
    language: str = "fr"
    attachments: tuple[Attachment, ...] = ()
    unwanted: bool = False


class EmailGateway(Protocol):
    """Hands e-mails to a mail server. One call, one e-mail: nothing here repeats by itself."""

    @property
    def name(self) -> str: ...

    def send(self, email: OutboundEmail) -> Receipt:
        """Hand one e-mail over; a receipt means "taken on". Raises as `SmsGateway.send` does: BadRecipient when nothing
        will ever arrive at this address, RouteRefused when the server does not take us for who we are."""
        ...
