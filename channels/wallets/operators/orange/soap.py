"""Orange Money RDC through the SOAP merchant gateway: doS2M (a PIN prompt with our text), doCheckTrans (its status by
our id), doCallback (theirs to us), doM2S (giving money back), TcheckBal (for the check).

One code means three things, and each has its own table and its own function here: 0 is "in progress" in the answer to
doS2M, and "paid" in a callback; 200 is "done" in the answers to doM2S, TcheckBal and doCheckTrans. Our id on the wire
is `transid`: the attempt's own reference. A status answer has neither amount nor currency; a callback has both, and no
proof of who sent it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from channels.wallets import soap
from channels.wallets.doubt import doubt
from channels.wallets.operators.orange.config import (
    NAME,
    NOT_FOUND_AFTER_S,
    PROMPT_LIFETIME_S,
    QUERY_SLOTS_S,
    OrangeConfig,
    listed,
    reasons,
)
from core.i18n import N_, translate
from core.kernel.errors import PartnerDown, PartnerError, PartnerThrottled
from core.kernel.gsm7 import ascii_only
from core.kernel.ids import own_reference
from core.kernel.money import BadAmount, Money
from core.partner_http import PartnerHttp, Reply
from core.payments.ports import (
    Accepted,
    Ack,
    Capabilities,
    Failed,
    FailureReason,
    Finding,
    Hint,
    Malformed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    RefundAnswer,
    RefundQueryAnswer,
    StartAnswer,
    Unknown,
    WalletAttempt,
    WalletRefund,
)
from core.phone_numbers import NotCongolese, parse_e164, trunk

SERVICES = "http://services.ws1.com/"
CALLBACKS = "http://servicecb.ws.com/"
DECIMALS = {"CDF": 0, "USD": 2}
# What Orange shows in its prompt. Plain letters: a handset shows others wrongly.
PROMPT = N_("Electricity bill {account}: {amount}. Confirm by typing your PIN:")
_MESSAGE_MAX = 160


@dataclass(frozen=True, slots=True)
class StartCodes:
    """What the answer to doS2M may say besides 0. Raises ValueError when 0 is given another meaning."""

    not_taken: tuple[str, ...]
    refused: Mapping[str, FailureReason]

    def __post_init__(self) -> None:
        _each_once("start_*_codes", ("0",), self.not_taken, tuple(self.refused))


@dataclass(frozen=True, slots=True)
class StatusCodes:
    """What the answer to doCheckTrans may say. Raises ValueError when a code has two meanings."""

    paid: tuple[str, ...]
    pending: tuple[str, ...]
    failed: Mapping[str, FailureReason]
    not_found: tuple[str, ...]

    def __post_init__(self) -> None:
        _each_once("status_*_codes", self.paid, self.pending, tuple(self.failed), self.not_found)


class OrangeSoapWallet:
    """Collects from Orange Money through the merchant gateway. See docs/wallets/orange.md."""

    name = NAME
    secrets: tuple[str, ...] = ("bearer_token", "client_secret")

    def __init__(self, config: OrangeConfig, *, http: PartnerHttp) -> None:
        self._config = config
        self._http = http
        self._merchants = _merchants(config)
        self._start = StartCodes(listed(config, "start_not_taken_codes"), reasons(config, "start_refused_codes"))
        self._status = StatusCodes(
            listed(config, "status_paid_codes"),
            listed(config, "status_pending_codes"),
            reasons(config, "status_failed_codes"),
            listed(config, "status_not_found_codes"),
        )
        self.can = Capabilities(
            decimals={currency: DECIMALS[currency] for currency in self._merchants},
            query_by_own_id=True,
            callback_proof="none",
            query_slots_s=QUERY_SLOTS_S,
            prompt_lifetime_s=PROMPT_LIFETIME_S,
            not_found_after_s=NOT_FOUND_AFTER_S,
            refunds="partial",
            calls_per_minute=config.calls_per_minute,
        )

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        try:
            fields = self._debit(attempt)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        except NotCongolese:
            return Failed("payer_unknown", "not_sent")
        try:
            reply = self._call("doS2M", fields)
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        turned_away = _turned_away(reply)
        if turned_away is not None:
            return turned_away
        said = _answer(reply, "doS2MResponse")
        return said if isinstance(said, Unknown) else read_start(said, attempt.own_ref, self._start)

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        return self._check_trans(attempt.own_ref, attempt.amount.currency)

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        """Money from the merchant's own account to the payer's wallet; the answer is already the end of it."""
        try:
            fields = {
                "subsmsisdn": trunk(refund.payer_phone),
                "PartnId": self._config.partner_id,
                "mermsisdn": self._merchants[refund.amount.currency],
                "transid": refund.own_ref,
                "currency": refund.amount.currency,
                "amount": refund.amount.decimal_text(DECIMALS[refund.amount.currency]),
            }
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        except NotCongolese:
            return Failed("payer_unknown", "not_sent")
        try:
            reply = self._call("doM2S", fields)
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        turned_away = _turned_away(reply)
        if turned_away is not None:
            return turned_away
        said = _answer(reply, "doM2SResponse")
        return said if isinstance(said, Unknown) else read_done(said, refund.own_ref)

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        """That doCheckTrans knows what doM2S did is unconfirmed: "not found" there does not mean "not paid"."""
        answer = self._check_trans(refund.own_ref, refund.amount.currency)
        return Unknown("refund_not_found") if isinstance(answer, NotFound) else answer

    def read_callback(self, raw: RawCallback) -> Hint | Malformed:
        """Unsigned: a claim. Amount and currency are in it, but whoever books must ask with doCheckTrans first."""
        try:
            said = soap.read(raw.body)
        except soap.Unreadable as why:
            return Malformed(str(why))
        own_ref = said.text("transid")
        if said.operation != "doCallback" or own_ref is None:
            return Malformed("no doCallback with a transid")
        return Hint(own_ref=own_ref, claim=read_claim(said))

    def acknowledge(self, raw: RawCallback) -> Ack:
        try:
            partner = soap.read(raw.body).text("PartnId") or ""
        except soap.Unreadable:
            partner = ""
        fields = {"partnId": partner, "resultCode": "0", "resultDesc": "success"}
        body = soap.write(CALLBACKS, "doCallbackResponse", fields, wrapped_in="return")
        return Ack(body.encode(), soap.CONTENT_TYPE)

    def check(self) -> Sequence[Finding]:
        """Asks for the balance of each merchant account: proves address, token, partner and account at once."""
        parts = urlsplit(self._config.base_url)
        scheme, host = parts.scheme, parts.hostname
        encrypted = Finding(scheme == "https", f"the gateway's address is {scheme}", "" if scheme == "https" else
                            "without TLS the token travels in clear: allow it in a private tunnel only")  # fmt: skip
        if scheme != "https" and host in ("localhost", "127.0.0.1", "::1"):
            encrypted = Finding(None, f"the gateway's address is {scheme} on this machine: a sandbox, no real money")
        asked = [self._check_balance(currency, merchant) for currency, merchant in self._merchants.items()]
        return [
            encrypted,
            *asked,
            Finding(None, "callbacks arrive", "only a payment shows it: make one of the smallest"),
        ]

    def _check_trans(self, own_ref: str, currency: str) -> QueryAnswer:
        merchant = self._merchants.get(currency)
        if merchant is None:
            return Unknown(f"no_merchant_{currency}")
        fields = {"PartnId": self._config.partner_id, "mermsisdn": merchant, "transid": own_ref}
        try:
            reply = self._call("doCheckTrans", fields)
        except PartnerError as error:
            return Unknown(error.code)
        said = _answer(reply, "doCheckTransResponse")
        return said if isinstance(said, Unknown) else read_status(said, own_ref, self._status)

    def _check_balance(self, currency: str, merchant: str) -> Finding:
        what = f"the {currency} merchant account answers"
        fields = {
            "subsmsisdn": merchant,
            "currency": currency,
            "PartnId": self._config.partner_id,
            "transid": own_reference(),
        }
        try:
            reply = self._call("TcheckBal", fields)
        except PartnerDown as down:
            return Finding(False, what, f"no answer ({down.code}): is the tunnel up, and our address on Orange's list?")
        except PartnerError as error:
            return Finding(None, what, f"Orange is busy ({error.code}): try again")
        if reply.status in (401, 403):
            return Finding(False, what, f"refused with {reply.status}: the token, or our address, is not accepted")
        said = _answer(reply, "TcheckBalResponse")
        if isinstance(said, Unknown):
            return Finding(False, what, f"the answer cannot be read ({said.why}): compare address and path")
        code = said.text("resultCode")
        if code != "200":
            return Finding(False, what, f"result {code}: compare partner id and the {currency} merchant number")
        return Finding(True, what)

    def _debit(self, attempt: WalletAttempt) -> dict[str, str]:
        """The fields of one payment. Raises BadAmount or KeyError for an amount, NotCongolese for a phone, that this
        wallet cannot take."""
        currency = attempt.amount.currency
        return {
            "subsmsisdn": trunk(attempt.payer_phone),
            "PartnId": self._config.partner_id,
            "mermsisdn": self._merchants[currency],
            "transid": attempt.own_ref,
            "currency": currency,
            "amount": attempt.amount.decimal_text(DECIMALS[currency]),
            "callbackurl": attempt.callback_url or "",
            "message_s2m": prompt_text(attempt),
        }

    def _call(self, operation: str, fields: dict[str, str]) -> Reply:
        return self._http.post_text(
            self._config.base_url.rstrip("/") + self._config.soap_path,
            soap.write(SERVICES, operation, fields),
            headers={
                "authorization": f"Bearer {self._config.bearer_token}",
                "content-type": soap.CONTENT_TYPE,
                "accept": "text/xml, application/xml",
                # SOAP 1.1 wants the header; this family of services reads the operation from the body.
                "soapaction": '""',
            },
            timeout_s=self._config.soap_timeout_s,
            read_errors=True,
        )


def read_start(said: soap.Message, own_ref: str, codes: StartCodes) -> StartAnswer:
    """The code of doS2M's answer. 0: the prompt is on its way, nothing is paid. 200 is not a word it has."""
    code = said.text("resultCode") or ""
    if _names_another(said, own_ref):
        return Unknown("contradictory_answer")
    if code == "0":
        return Accepted(said.text("systemId"))
    if code in codes.not_taken:
        return NotAccepted(code, retry_after_s=30)
    if code in codes.refused:
        return Failed(codes.refused[code], code)
    return Unknown(code or "no_code")


def read_status(said: soap.Message, own_ref: str, codes: StatusCodes) -> QueryAnswer:
    """The code of doCheckTrans's answer. Only listed ones decide: most of the real ones are unconfirmed."""
    code = said.text("resultCode") or ""
    if _names_another(said, own_ref):
        return Unknown("contradictory_answer")
    if code in codes.paid:
        return _paid(said)
    if code in codes.pending:
        return Pending(said.text("systemId"))
    if code in codes.not_found:
        return NotFound()
    if code in codes.failed:
        # Whether such a code is Orange's last word is unconfirmed: the attempt stays under watch.
        return Failed(codes.failed[code], code, final=False)
    return Unknown(code or "no_code")


def read_claim(said: soap.Message) -> QueryAnswer:
    """The code of a callback. 0: paid. Nothing in it is believed before Orange was asked."""
    code = said.text("ResultCode")
    if code is None:
        return Unknown("no_code")
    return _paid(said) if code == "0" else Failed("other", code, final=False)


def read_done(said: soap.Message, own_ref: str) -> RefundAnswer:
    """The code of doM2S's answer. 200: the money is back. 0 is not a word it has; no refusal of it is confirmed."""
    code = said.text("resultCode")
    if _names_another(said, own_ref):
        return Unknown("contradictory_answer")
    return Paid(said.text("systemId")) if code == "200" else Unknown(code or "no_code")


def prompt_text(attempt: WalletAttempt) -> str:
    """What stands in the payer's prompt: in her language, in ASCII, short enough for one screen."""
    words = translate(PROMPT, attempt.language, account=attempt.account_number, amount=attempt.amount.text)
    return ascii_only(words)[:_MESSAGE_MAX]


def _paid(said: soap.Message) -> Paid | Unknown:
    """Paid, with the amount where the message has one. One that cannot be read is no amount to book."""
    amount, currency = said.text("amount"), said.text("currency")
    payer = said.text("subsmsisdn")
    phone = parse_e164(payer) if payer else None
    if amount is None and currency is None:
        return Paid(said.text("systemId"), payer_phone=phone)
    try:
        return Paid(said.text("systemId"), Money.parse(amount or "", (currency or "").upper()), payer_phone=phone)
    except BadAmount:
        return Unknown("paid_amount_unreadable")


def _answer(reply: Reply, operation: str) -> soap.Message | Unknown:
    """The answer to one operation; a fault or anything else is doubt, whatever status it came on."""
    try:
        said = soap.read(reply.text)
    except soap.Unreadable:
        return Unknown("unreadable" if reply.ok else doubt(reply.status, None))
    if said.operation == "Fault":
        code = (said.text("faultcode") or said.text("Value") or "").rpartition(":")[2]
        fault = f"fault_{code[:40] or 'unnamed'}"
        # Every fault travels on a 500: one that blames our request is no trouble of theirs.
        return Unknown(fault if code.partition(".")[0] in ("Client", "Sender") else doubt(reply.status, fault))
    if not reply.ok:
        return Unknown(doubt(reply.status, None))
    return said if said.operation == operation else Unknown("contradictory_answer")


def _turned_away(reply: Reply) -> NotAccepted | Failed | None:
    """What the gateway's door says before the service hears of anything. A token being exchanged is worth one more
    request; a wrong address or path is not."""
    if reply.status == 401:
        return NotAccepted("http_401", retry_after_s=15)
    return Failed("configuration", f"http_{reply.status}") if reply.status in (403, 404) else None


def _names_another(said: soap.Message, own_ref: str) -> bool:
    """Whether an answer speaks of another request. Some leave the id out."""
    return said.text("transId") not in (None, own_ref)


def _merchants(config: OrangeConfig) -> dict[str, str]:
    """currency → our number in it. Raises ValueError naming the setting that cannot be right."""
    merchants = {"CDF": config.merchant_cdf, "USD": config.merchant_usd}
    given = {currency: number for currency, number in merchants.items() if number}
    if not given:
        raise ValueError("merchant_cdf and merchant_usd are both empty: one number per currency is needed")
    for currency, number in given.items():
        if not (len(number) == 10 and number.isdecimal() and number.startswith("0")):
            raise ValueError(f"merchant_{currency.lower()} must be ten digits with the leading zero")
    for setting in ("bearer_token", "partner_id"):
        if not getattr(config, setting):
            raise ValueError(f"{setting} is empty")
    return given


def _each_once(setting: str, *lists: tuple[str, ...]) -> None:
    codes = [code for one in lists for code in one]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"{setting}: {', '.join(twice)} has two meanings")
