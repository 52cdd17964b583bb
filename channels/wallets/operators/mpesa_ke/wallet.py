"""The wallet `mpesa_ke`: STK push, its query and callback, and the bill number.

Our ids on the wire: Daraja has no field that carries an id of ours back. The CallBackURL ends in the attempt's id, so a
callback finds its attempt even when the answer to the push was lost; `AccountReference` (12 characters) is the account
number and the last two characters of the own reference, which a C2B confirmation of the same money repeats. A query
asks by the CheckoutRequestID of the answer: while nobody knows it, nothing can be asked.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from channels.wallets.operators.mpesa_ke import bill
from channels.wallets.operators.mpesa_ke.codes import (
    CURRENCY,
    amount_in,
    ending_of,
    moment_in,
    password,
    real_id,
    result_of,
    timestamp,
    trouble_in,
)
from channels.wallets.sessions import Fresh, Session, SessionNotReady, SessionPool, SessionStore
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
from core.kernel.gsm7 import ascii_only
from core.kernel.money import BadAmount, Money
from core.partner_http import PartnerHttp, Reply, parse_json, text_at
from core.payments.ports import (
    Accepted,
    Ack,
    BillPayment,
    BillRefusal,
    Capabilities,
    Failed,
    Finding,
    Hint,
    Malformed,
    NotAccepted,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    StartAnswer,
    Unknown,
    WalletAttempt,
)
from core.phone_numbers import international

NAME = "mpesa_ke"
SANDBOX_SHORT_CODE = "174379"
_LOWEST, _HIGHEST = Money.units(1, CURRENCY), Money.units(250_000, CURRENCY)
_PAYER = re.compile(r"254[17][0-9]{8}")
_ACCOUNT = re.compile(r"[0-9]{10}")
_LONGEST_REFERENCE, _LONGEST_DESCRIPTION = 12, 13
# What a token lives when Daraja does not say.
_TOKEN_S = 3600
# Further apart than this, a Timestamp may be refused and a day's report looks wrong.
_CLOCKS_AGREE_S = 60


@dataclass(frozen=True, slots=True)
class MpesaKeConfig:
    """What the portal gives one application and its short code. `party_b` and `bill_number`: see docs/wallets."""

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    passkey: str = field(repr=False)
    base_url: str = "https://sandbox.safaricom.co.ke"
    short_code: str = SANDBOX_SHORT_CODE
    party_b: str = ""
    transaction_type: Literal["CustomerPayBillOnline", "CustomerBuyGoodsOnline"] = "CustomerPayBillOnline"
    bill_number: str = ""
    c2b_version: Literal["v1", "v2"] = "v2"
    c2b_default: Literal["Completed", "Cancelled"] = "Completed"
    token_timeout_s: int = 30
    start_timeout_s: int = 30
    query_timeout_s: int = 30
    calls_per_minute: int = 120


class MpesaKeWallet:
    """Collects through Safaricom M-Pesa (Daraja). See docs/wallets/mpesa_ke.md."""

    name = NAME
    secrets: tuple[str, ...] = ("consumer_key", "consumer_secret", "passkey")

    def __init__(
        self,
        config: MpesaKeConfig,
        *,
        http: PartnerHttp,
        clock: Clock,
        session_store: SessionStore | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`session_store`: where all processes share the one token; each has its own by default.

        Raises ValueError naming the setting that cannot be right.
        """
        _must_be_right(config)
        self._config = config
        self._http = http
        self._clock = clock
        self._base = config.base_url.rstrip("/")
        # A new token ends the one before, for everybody who uses this application.
        self.tokens = SessionPool(
            self._create_token, clock, lifetime_s=_TOKEN_S, warmup_s=0, single=True, store=session_store, sleep=sleep
        )
        self.can = Capabilities(
            decimals={CURRENCY: 0},
            query_by_own_id=False,
            callback_proof="none",
            query_slots_s=(15, 30, 60, 90, 180, 300, 900, 3600),
            prompt_lifetime_s=180,
            bill_number=True,
            calls_per_minute=config.calls_per_minute,
            limits={CURRENCY: (_LOWEST.minor, _HIGHEST.minor)},
        )

    def prepare(self) -> None:
        """Have a token before it is needed. Workers call it at start and every minute. Raises PartnerError."""
        self.tokens.prepare()

    # -- asking for money

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        body = self._push(attempt)
        if isinstance(body, Failed):
            return body
        try:
            token = self.tokens.take()
        except SessionNotReady as waiting:
            return NotAccepted("no_token_yet", waiting.after_s, posted=False)
        except PartnerRefused as refused:
            return Failed("configuration", refused.code)
        except PartnerError as down:
            return NotAccepted(f"no_token_{down.code}", retry_after_s=15, posted=False)
        try:
            reply = self._post("mpesa/stkpush/v1/processrequest", body, token, self._config.start_timeout_s)
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        trouble = trouble_in(reply)
        if trouble is None:
            return _read_start(reply)
        if trouble.token_refused:
            return NotAccepted("token_refused", retry_after_s=self.tokens.rejected(token))
        return ending_of(trouble)

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        if attempt.provider_ref is None:
            return Unknown("no_checkout_id")
        try:
            token = self.tokens.take()
            reply = self._ask_about(attempt.provider_ref, token)
        except SessionNotReady:
            return Unknown("no_token_yet")
        except PartnerError as error:
            return Unknown(error.code)
        trouble = trouble_in(reply)
        if trouble is None:
            return _read_query(reply, attempt.provider_ref)
        if trouble.token_refused:
            self.tokens.rejected(token)
            return Unknown("token_refused")
        # An error speaks of the question, not of the money, with this exception.
        if trouble.in_process:
            return Pending()
        # A refusal is our own fault, whatever status it came on.
        return Unknown(trouble.code if isinstance(ending_of(trouble), Failed) else trouble.why)

    def _push(self, attempt: WalletAttempt) -> dict[str, str] | Failed:
        """The body of one push, or why none can be sent."""
        amount, payer, config = attempt.amount, international(attempt.payer_phone), self._config
        if amount.currency != CURRENCY or not _LOWEST <= amount <= _HIGHEST:
            return Failed("amount_refused", "not_sent")
        try:
            whole = amount.decimal_text(0)
        except BadAmount:
            return Failed("amount_refused", "not_sent")
        if not _PAYER.fullmatch(payer):
            return Failed("payer_unknown", "not_sent")
        if not attempt.callback_url:
            return Failed("configuration", "no_callback_address")
        if bill.forbidden_in(attempt.callback_url):
            return Failed("configuration", "callback_address_refused")
        return {
            **self._signed(),
            "TransactionType": config.transaction_type,
            "Amount": whole,
            "PartyA": payer,
            "PartyB": config.party_b or config.short_code,
            "PhoneNumber": payer,
            "CallBackURL": attempt.callback_url,
            "AccountReference": reference_of(attempt),
            "TransactionDesc": _plain(attempt.description),
        }

    def _ask_about(self, checkout_id: str, token: Session) -> Reply:
        body = {**self._signed(), "CheckoutRequestID": checkout_id}
        return self._post("mpesa/stkpushquery/v1/query", body, token, self._config.query_timeout_s)

    def _signed(self) -> dict[str, str]:
        at = timestamp(self._clock.real_now())
        code = self._config.short_code
        return {
            "BusinessShortCode": code,
            "Password": password(code, self._config.passkey, at),
            "Timestamp": at,
        }

    # -- callbacks

    def read_callback(self, raw: RawCallback) -> Hint | BillPayment | Malformed:
        """`callback` is unsigned: a claim. `confirm` is money that moved, proven by nothing but the secret address."""
        if raw.kind == "confirm":
            return bill.read_notice(raw.body, self._short_codes)
        if raw.kind != "callback":
            return Malformed(f"nothing was asked that is answered as {raw.kind}")
        try:
            said = parse_json(raw.body)
        except ValueError:
            return Malformed("not JSON")
        checkout_id = real_id(text_at(said, "Body.stkCallback.CheckoutRequestID"))
        code = text_at(said, "Body.stkCallback.ResultCode")
        if checkout_id is None or code is None:
            return Malformed("no CheckoutRequestID" if checkout_id is None else "no ResultCode")
        description = text_at(said, "Body.stkCallback.ResultDesc") or ""
        return Hint(provider_ref=checkout_id, claim=result_of(code, description, _paid(said)))

    def acknowledge(self, raw: RawCallback) -> Ack:
        return bill.acknowledgement(raw.kind)

    # -- the bill number

    def read_validation(self, raw: RawCallback) -> BillPayment | Malformed:
        return bill.read_notice(raw.body, self._short_codes)

    def answer_validation(self, raw: RawCallback, refusal: BillRefusal | None) -> Ack:
        return bill.answer(refusal)

    def register_bill_number(self, validate_url: str, confirm_url: str) -> Finding:
        """Tell Daraja where it asks and tells about payments by bill number. May be repeated; moves no money."""
        for address in (validate_url, confirm_url):
            word = bill.forbidden_in(address)
            if word is not None:
                # The address holds the secret of our door, and what is printed ends up in tickets and chats.
                where = f"{urlsplit(address).hostname}/…/{address.rpartition('/')[2]}"
                return Finding(False, f"the address at {where} contains a word that Daraja refuses: {word!r}",
                               "Choose another host or MWOLO_HOOK_SECRETS.")  # fmt: skip
        version = self._config.c2b_version
        body = {
            "ShortCode": self._config.bill_number or self._config.short_code,
            "ResponseType": self._config.c2b_default,
            "ConfirmationURL": confirm_url,
            "ValidationURL": validate_url,
        }
        try:
            token = self.tokens.take()
            reply = self._post(f"mpesa/c2b/{version}/registerurl", body, token, self._config.query_timeout_s)
        except (SessionNotReady, PartnerError) as error:
            return Finding(False, f"bill number addresses: not registered, {_code_of(error)}", "Try again.")
        trouble = trouble_in(reply)
        if trouble is not None and trouble.token_refused:
            self.tokens.rejected(token)
        return bill.registered(reply, trouble, version)

    @property
    def _short_codes(self) -> frozenset[str]:
        config = self._config
        return frozenset({config.short_code, config.party_b, config.bill_number} - {""})

    # -- what of it works

    def check(self) -> Sequence[Finding]:
        """Keys, host, passkey and clock, without moving money. The callback address is looked at for all wallets."""
        findings = [self._check_environment()]
        try:
            token = self.tokens.take()
        except (SessionNotReady, PartnerError) as error:
            advice = "Compare MWOLO_MPESA_KE_CONSUMER_KEY, _SECRET and _BASE_URL: keys belong to one environment."
            return [*findings, Finding(False, f"Daraja gives no token: {_code_of(error)}", advice)]
        findings.append(Finding(True, "Daraja gives a token for these keys"))
        try:
            reply = self._ask_about("ws_CO_01012026000000000000000000", token)
        except PartnerError as error:
            return [*findings, Finding(False, f"a status query got no answer: {error.code}", "Try again later.")]
        return [*findings, _passkey_finding(reply), self._check_clock(reply)]

    def _check_environment(self) -> Finding:
        host, code = urlsplit(self._base).hostname or "", self._config.short_code
        if host == "api.safaricom.co.ke" and code == SANDBOX_SHORT_CODE:
            return Finding(False, f"{host} with the sandbox's short code", "Set MWOLO_MPESA_KE_SHORT_CODE to yours.")
        return Finding(True, f"{host}, short code {code}")

    def _check_clock(self, reply: Reply) -> Finding:
        try:
            theirs = parsedate_to_datetime(reply.headers["date"])
            apart = abs((self._clock.real_now() - theirs).total_seconds())
        except (KeyError, ValueError, TypeError):
            return Finding(None, "Daraja did not say what time its clock has")
        if apart > _CLOCKS_AGREE_S:
            return Finding(False, f"our clock and Daraja's are {apart:.0f} s apart", "Set this machine's clock (NTP).")
        return Finding(True, "our clock agrees with Daraja's")

    # -- the wire

    def _create_token(self) -> Fresh:
        """Ask for a token. Raises PartnerRefused for what waiting does not mend, other PartnerErrors for the rest."""
        keys = f"{self._config.consumer_key}:{self._config.consumer_secret}"
        reply = self._http.get_json(
            f"{self._base}/oauth/v1/generate",
            params={"grant_type": "client_credentials"},
            headers={"authorization": f"Basic {base64.b64encode(keys.encode()).decode()}"},
            timeout_s=self._config.token_timeout_s,
            read_errors=True,
        )
        token, lifetime = reply.text_at("access_token"), reply.text_at("expires_in") or ""
        if reply.ok and token is not None:
            return Fresh(token, int(lifetime) if re.fullmatch(r"[0-9]{1,6}", lifetime) else _TOKEN_S)
        trouble = trouble_in(reply)
        code = trouble.code if trouble else "no_token"
        if reply.status >= 500 or reply.ok:
            raise PartnerDown(self.name, code, "no token")
        # Wrong keys are often answered by an empty 400.
        raise PartnerRefused(self.name, code, "no token")

    def _post(self, path: str, body: Mapping[str, Any], token: Session, timeout_s: int) -> Reply:
        headers = {"authorization": f"Bearer {token.id}"}
        return self._http.post_json(
            f"{self._base}/{path}", body, headers=headers, timeout_s=timeout_s, read_errors=True
        )


def reference_of(attempt: WalletAttempt) -> str:
    """What the payer sees, 12 characters: the account, and the attempt as far as it fits behind it."""
    if _ACCOUNT.fullmatch(attempt.account_number):
        return attempt.account_number + attempt.own_ref[-2:]
    return attempt.own_ref[-_LONGEST_REFERENCE:]


def _read_start(reply: Reply) -> StartAnswer:
    """Answered without an error: taken on for delivery, nothing more."""
    code, checkout_id = reply.text_at("ResponseCode"), real_id(reply.text_at("CheckoutRequestID"))
    if code != "0":
        return Unknown(f"response_{code or 'missing'}")
    return Accepted(checkout_id) if checkout_id is not None else Unknown("no_checkout_id")


def _read_query(reply: Reply, asked_about: str) -> QueryAnswer:
    if reply.text_at("ResponseCode") != "0":
        return Unknown(f"response_{reply.text_at('ResponseCode') or 'missing'}")
    echoed = real_id(reply.text_at("CheckoutRequestID"))
    if echoed is not None and echoed != asked_about:
        return Unknown("contradictory_answer")
    code = reply.text_at("ResultCode")
    if code is None:
        return Unknown("no_result_code")
    # Neither receipt nor amount comes back here: the callback or the confirmation brings them.
    return result_of(code, reply.text_at("ResultDesc") or "", Paid())


def _paid(said: object) -> Paid:
    """What a callback's list of names and values tells. `Balance` may have no value; the order is anybody's."""
    told: dict[str, str | None] = {}
    place = 0
    while (name := text_at(said, f"Body.stkCallback.CallbackMetadata.Item.{place}.Name")) is not None:
        told.setdefault(name, text_at(said, f"Body.stkCallback.CallbackMetadata.Item.{place}.Value"))
        place += 1
    payer = told.get("PhoneNumber") or ""
    return Paid(
        provider_txn_id=real_id(told.get("MpesaReceiptNumber")),
        amount=amount_in(told.get("Amount")),
        paid_at=moment_in(told.get("TransactionDate")),
        payer_phone=f"+{payer}" if _PAYER.fullmatch(payer) else None,
    )


def _passkey_finding(reply: Reply) -> Finding:
    """What a question about a made-up id shows of short code and passkey."""
    trouble = trouble_in(reply)
    ending = None if trouble is None else ending_of(trouble)
    if trouble is not None and trouble.token_refused:
        return Finding(None, "the token was ended by another one meanwhile", "Check again.")
    if isinstance(ending, Failed) and ending.reason == "configuration" and trouble and trouble.code != "400.002.02":
        advice = "Compare MWOLO_MPESA_KE_SHORT_CODE and _PASSKEY with the portal, and the products of the application."
        return Finding(False, f"Daraja refuses the short code: {trouble.code} {trouble.message}", advice)
    if isinstance(ending, NotAccepted):
        return Finding(None, f"Daraja is too busy to say: {trouble.code if trouble else ''}", "Check again.")
    return Finding(True, "Daraja takes short code and passkey")


def _plain(text: str) -> str:
    """As many of the first words as fit, letters and digits only: other characters in it were refused."""
    words, kept = re.sub(r"[^A-Za-z0-9]+", " ", ascii_only(text)).split(), ""
    for word in words:
        longer = f"{kept} {word}".strip()
        if len(longer) > _LONGEST_DESCRIPTION:
            break
        kept = longer
    return kept or "Facture"


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, PartnerError) else str(error)


def _must_be_right(config: MpesaKeConfig) -> None:
    for name in ("consumer_secret", "passkey"):
        if not getattr(config, name):
            raise ValueError(f"{name} is missing")
    for name in ("short_code", "party_b", "bill_number"):
        code = getattr(config, name)
        if not re.fullmatch(r"[0-9]{5,7}", code) and (code or name == "short_code"):
            raise ValueError(f"{name} ({code!r}) is no short code of 5 to 7 digits")
    if config.transaction_type == "CustomerBuyGoodsOnline" and not config.party_b:
        raise ValueError("party_b (the till) is missing for CustomerBuyGoodsOnline")
