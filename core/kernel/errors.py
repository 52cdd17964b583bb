"""Who must act when something goes wrong.

ServiceError
├── CustomerError       they can fix it; `text` is a message key shown in their language
├── StateConflict       the thing is not in a state that allows this; nothing was changed
├── NotRecorded         the database did not answer in time; nothing was committed
└── PartnerError        a gateway, operator or vending system; `retry` says what to do next
    ├── PartnerDown         retry: no answer, 5xx, unreadable body
    ├── PartnerThrottled    retry: 429
    └── PartnerRefused      final: a clear "no"; `code` is theirs, word for word

Bugs are never caught.
"""

from __future__ import annotations


class ServiceError(Exception):
    """The root of everything the services raise on purpose."""


class CustomerError(ServiceError):
    """Something the customer can mend. `text` is an English msgid; `blanks` fill it."""

    def __init__(self, text: str, **blanks: str) -> None:
        super().__init__(text)
        self.text = text
        self.blanks = blanks


class StateConflict(ServiceError):
    """The thing is not in a state that allows this. Nothing was changed."""


class Refused(StateConflict):
    """A conflict that a person reads: `text` is an English msgid, `blanks` fill it; as a string it is whole."""

    def __init__(self, text: str, **blanks: str) -> None:
        super().__init__(text.format(**blanks))
        self.text = text
        self.blanks = blanks


class NotRecorded(ServiceError):
    """The database did not take it in time. Nothing was committed; the caller may say "try again"."""


class PartnerError(ServiceError):
    """A partner did not do what was asked. `partner` names it, `code` is theirs (or the kind of failure)."""

    retry = True

    def __init__(self, partner: str, code: str, detail: str = "") -> None:
        super().__init__(f"{partner}: {code}{': ' + detail if detail else ''}")
        self.partner = partner
        self.code = code
        self.detail = detail


class PartnerDown(PartnerError):
    """No answer, a 5xx, or a body nobody can read. `sent` False: certainly nothing reached the partner."""

    def __init__(self, partner: str, code: str, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(partner, code, detail)
        self.sent = sent


class PartnerThrottled(PartnerError):
    """429, or the partner's own word for it."""


class PartnerRefused(PartnerError):
    """A clear "no". Asking again changes nothing."""

    retry = False
