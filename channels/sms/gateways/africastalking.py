"""Africa's Talking SMS, through the aggregator's own SDK. Codes and traps: `docs/aggregators/africastalking-sms.md`.

Of the SDK, an instance of its service class is used, never its module globals: those hold one account per process. Its
HTTP is replaced by our one door, because the SDK drops the status of a refusal, and reads JSON only under one spelling
of the content type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from africastalking.SMS import SMSService

from channels.sms.gateway import Malformed, OptOut
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused
from core.notices.errors import BadRecipient, NotTaken, OptedOut, RouteRefused
from core.notices.ports import DeliveryReport, InboundText, OutboundText, Receipt
from core.notices.rules import DeliveryState
from core.partner_http import PartnerHttp, Reply, redact, text_at
from core.phone_numbers import parse_e164

LIVE = "https://api.africastalking.com"
SANDBOX = "https://api.sandbox.africastalking.com"

_ACCEPTED = frozenset({"100", "101", "102"})
# A new or rotated key takes 5 to 20 minutes to work; credit takes a person.
_PAUSE_KEY_S, _PAUSE_CREDIT_S, _PAUSE_HELD_S = 300, 600, 900

_Refusal = Callable[[str, str], PartnerError]


def _route(pause_s: int = 0) -> _Refusal:
    return lambda name, code: RouteRefused(name, code, pause_s=pause_s)


def _not_now(after_s: int, tries: int) -> _Refusal:
    return lambda name, code: NotTaken(name, code, after_s=after_s, tries=tries)


_REFUSALS: Mapping[str, _Refusal] = {
    "401": _route(_PAUSE_HELD_S),
    "402": _route(),
    "403": BadRecipient,
    "404": BadRecipient,
    "405": _route(_PAUSE_CREDIT_S),
    "406": OptedOut,
    "407": _route(),
    "409": _not_now(3600, 5),
    "500": _not_now(60, 5),
    "501": _not_now(60, 5),
    "502": _not_now(60, 2),
}
# A whole request is refused in words: 201 with an empty list. The same words stand beside a recipient's number.
_CODE_OF_WORD: Mapping[str, str] = {
    "riskhold": "401",
    "invalidsenderid": "402",
    "invalidphonenumber": "403",
    "unsupportednumbertype": "404",
    "insufficientbalance": "405",
    "userinblacklist": "406",
    "couldnotroute": "407",
    "donotdisturbrejection": "409",
    "internalservererror": "500",
    "gatewayerror": "501",
    "rejectedbygateway": "502",
}
_MEANINGS: Mapping[str, DeliveryState] = {
    "sent": "sent",
    "submitted": "sent",
    "buffered": "sent",
    "success": "delivered",
    "delivered": "delivered",
    "rejected": "failed",
    "failed": "failed",
    "absentsubscriber": "failed",
    "expired": "failed",
}


@dataclass(frozen=True, slots=True)
class AfricasTalkingSmsConfig:
    """`base_url` None: the live host, or the sandbox's for the user name `sandbox`. `sender_id` None: their default."""

    username: str
    api_key: str = field(repr=False)
    sender_id: str | None = None
    base_url: str | None = None
    timeout_s: float = 10.0

    @property
    def url(self) -> str:
        return (self.base_url or (SANDBOX if self.username == "sandbox" else LIVE)).rstrip("/")


class FormPoster(Protocol):
    """The part of `PartnerHttp` that is needed here."""

    def post_form(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Reply: ...


class _Service(SMSService):  # type: ignore[misc]  # the SDK has no types
    """The SDK's service with our way to the network. Its `send` builds the form and answers with our Reply."""

    def __init__(self, config: AfricasTalkingSmsConfig, http: FormPoster) -> None:
        super().__init__(config.username, config.api_key)
        self._baseUrl = f"{config.url}/version1"
        self._http = http
        self._timeout_s = config.timeout_s

    def _make_request(self, url: str, method: str, headers: Any, data: Any, params: Any, **_unused: Any) -> Reply:
        assert method == "POST", "this adapter only sends"
        fields = {name: str(value) for name, value in data.items()}
        return self._http.post_form(url, fields, headers, self._timeout_s)


class AfricasTalkingSms:
    """Sends texts through Africa's Talking and reads its callbacks."""

    name = "africastalking"
    secrets = ("api_key",)

    def __init__(self, config: AfricasTalkingSmsConfig, http: PartnerHttp | FormPoster) -> None:
        self._config = config
        self._service = _Service(config, http)

    def send(self, text: OutboundText) -> Receipt:
        """Hand one text over. A receipt means "accepted", never "delivered". See `SmsGateway.send` for errors."""
        try:
            reply: Reply = self._service.send(text.body, [text.to], sender_id=self._config.sender_id)
        except ValueError:
            # The SDK looks at the numbers before it calls anybody.
            raise BadRecipient(self.name, "InvalidPhoneNumber") from None
        if not reply.ok:
            raise self._refused_by_status(reply)
        return self._read(reply, text.to)

    def _refused_by_status(self, reply: Reply) -> PartnerError:
        """An answer with a status of its own kind: nothing was taken on."""
        words = redact(reply.text, [self._config.api_key])[:80]
        code = str(reply.status)
        if reply.status in (401, 403):
            return RouteRefused(self.name, code, words, pause_s=_PAUSE_KEY_S)
        if reply.status == 404 or 300 <= reply.status < 400:
            return RouteRefused(self.name, code, "wrong address", pause_s=_PAUSE_KEY_S)
        return PartnerRefused(self.name, code, words)

    def _read(self, reply: Reply, to: str) -> Receipt:
        recipients = reply.json.get("SMSMessageData", {}) if isinstance(reply.json, dict) else {}
        recipients = recipients.get("Recipients") if isinstance(recipients, dict) else None
        if not isinstance(recipients, list):
            raise PartnerDown(self.name, "unreadable", "no list of recipients")
        if not recipients:
            said = reply.text_at("SMSMessageData.Message") or "no reason given"
            code = _code_in(said)
            # Nobody was taken on: whatever the reason, nothing was sent.
            raise self._refusal(code) if code in _REFUSALS else RouteRefused(self.name, "nobody", said[:60])
        mine = [one for one in recipients if text_at(one, "number") == to] or recipients
        code = text_at(mine[0], "statusCode") or _code_of(text_at(mine[0], "status") or "")
        if code not in _ACCEPTED:
            raise self._refusal(code)
        reference = text_at(mine[0], "messageId")
        return Receipt(self.name, None if reference == "None" else reference, text_at(mine[0], "cost") or "")

    def _refusal(self, code: str) -> PartnerError:
        """A code that is not listed is no refusal: nobody knows what happened."""
        make = _REFUSALS.get(code)
        return make(self.name, code) if make else PartnerDown(self.name, code[:60], "a code that is not listed")

    def read_delivery(self, form: Mapping[str, str]) -> DeliveryReport | Malformed:
        reference, status = _clean(form, "id", 80), _clean(form, "status", 24)
        if not reference or not status:
            return Malformed("no_id_or_status")
        reason = _clean(form, "failureReason", 60)
        return DeliveryReport(
            reference=reference,
            status=status,
            meaning=_MEANINGS.get(status.lower()),
            reason=reason,
            network=_clean(form, "networkCode", 12),
            phone=_phone(form, "phoneNumber") or "",
            # `UserInBlackList` here, `UserInBlacklist` in an answer.
            blocked=reason.lower() == "userinblacklist",
        )

    def read_inbound(self, form: Mapping[str, str]) -> InboundText | Malformed:
        reference, sender = _clean(form, "id", 80), _clean(form, "from", 40)
        if not reference or not sender:
            return Malformed("no_id_or_sender")
        return InboundText(
            reference,
            _phone(form, "from") or sender[:16],
            _clean(form, "text", 2000),
            to=_clean(form, "to", 20),
            sent_at=_moment(_clean(form, "date", 40)),
        )

    def read_opt_out(self, form: Mapping[str, str]) -> OptOut | Malformed:
        phone = _phone(form, "phoneNumber")
        return OptOut(phone) if phone else Malformed("no_phone")


def read_cost(text: str) -> tuple[str, Decimal] | None:
    """`KES 0.8000` → currency and amount; None for what is no such thing (a refused recipient costs `0`)."""
    currency, _, amount = text.partition(" ")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return None
    return (currency, value) if len(currency) == 3 and currency.isalpha() and value.is_finite() else None


def _code_in(message: str) -> str:
    """The code a whole request was refused with: `InvalidSenderId`, alone or inside a sentence. Else empty."""
    for word in message.replace(".", " ").replace(",", " ").replace(":", " ").split():
        if word.lower() in _CODE_OF_WORD:
            return _CODE_OF_WORD[word.lower()]
    return ""


def _code_of(word: str) -> str:
    """For an answer without a number beside its word."""
    plain = word.lower()
    return "101" if plain in ("success", "sent") else _CODE_OF_WORD.get(plain, word or "no status")


def _moment(text: str) -> datetime | None:
    """`2017-05-03T06:04:45Z`, `2017-05-03 06:04:45`, with milliseconds or not; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _clean(form: Mapping[str, str], name: str, longest: int) -> str:
    """A field as a database will take it: no NUL, no lone surrogates, no longer than its column."""
    return form.get(name, "").encode("utf-8", "replace").decode().replace("\x00", "").strip()[:longest]


def _phone(form: Mapping[str, str], name: str) -> str | None:
    """E.164. A plus that was not encoded arrives as a blank; a number without it is read all the same."""
    return parse_e164(_clean(form, name, 40))
