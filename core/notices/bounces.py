"""What comes back to the address we write from: reports of non-delivery (RFC 3464), and people who want no more. Pure.

A report is believed only with the reference of the e-mail it speaks of: nobody but its reader ever saw that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import default
from email.utils import parseaddr

from core.notices.rules import is_stop

_REFERENCE = re.compile(r"<([0-9a-f-]{36})@")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
# Permanent, but not the address's fault: the mailbox is full, the letter too large, the server suspects us.
_NOT_THE_ADDRESS = ("5.2.2", "5.2.3", "5.3.", "5.4.", "5.5.", "5.6.", "5.7.")
# Without an enhanced code, what a server says by these alone (RFC 5321, section 4.2.3).
_NO_SUCH_MAILBOX = frozenset({"550", "551", "553"})


@dataclass(frozen=True, slots=True)
class Bounce:
    """An e-mail that did not arrive. `status`: as RFC 3463 writes it, `5.1.1`. `why`: the server's own words."""

    reference: str
    recipient: str
    status: str
    why: str

    @property
    def dead_address(self) -> bool:
        return is_dead(self.status)


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody answered that she wants no more of these. `address`: in lower case."""

    address: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Neither. `why` is for the log."""

    why: str


def read(raw: bytes) -> Bounce | Stop | Nothing:
    """Read one e-mail that came back to us."""
    mail = message_from_bytes(raw, policy=default)
    if mail.get_content_type() == "multipart/report":
        return _report(mail)
    sender = parseaddr(str(mail.get("From", "")))[1].strip().lower()
    if sender and is_stop(str(mail.get("Subject", ""))):
        return Stop(sender)
    return Nothing("neither a report nor a wish to be left alone")


def enhanced(text: str, otherwise: str) -> str:
    """The enhanced code in a server's words (`5.1.1`); `otherwise` where there is none."""
    found = _STATUS.search(text)
    return found.group() if found else otherwise


def is_dead(code: str) -> bool:
    """Whether a refusal (`5.1.1`, or a plain `550`) says that nothing will ever arrive at this address."""
    if "." not in code:
        return code in _NO_SUCH_MAILBOX
    return code.startswith("5.") and not code.startswith(_NOT_THE_ADDRESS)


def _report(mail: Message) -> Bounce | Nothing:
    fields = _delivery_fields(mail)
    if fields.get("action", "").strip().lower() != "failed":
        return Nothing(f"a report that says {fields.get('action', 'nothing')!r}")
    reference = _reference(mail)
    if reference is None:
        return Nothing("a report about no e-mail of ours")
    recipient = fields.get("final-recipient", "").partition(";")[2].strip().lower()
    why = " ".join(fields.get("diagnostic-code", "").partition(";")[2].split())
    return Bounce(reference, recipient, enhanced(fields.get("status", ""), "5.0.0"), why[:200])


def _delivery_fields(mail: Message) -> dict[str, str]:
    """The fields of the first recipient: we write to one at a time."""
    for part in mail.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        blocks = part.get_payload()
        if not isinstance(blocks, list):
            return {}
        found: dict[str, str] = {}
        for block in blocks:
            if isinstance(block, Message):
                found.update({name.lower(): str(value) for name, value in block.items()})
        return found
    return {}


def _reference(mail: Message) -> str | None:
    """From the headers of our own e-mail, which the report brings along whole or as headers alone."""
    for part in mail.walk():
        kind = part.get_content_type()
        if kind == "text/rfc822-headers":
            text = part.get_payload(decode=True)
            found = _REFERENCE.search(text.decode("latin-1") if isinstance(text, bytes) else "")
        elif part is not mail:
            found = _REFERENCE.search(str(part.get("Message-ID", "")))
        else:
            continue
        if found:
            return found.group(1)
    return None
