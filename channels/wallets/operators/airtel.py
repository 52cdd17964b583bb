"""Airtel Money through the Airtel Africa Open API (v1; v2 with message signing): USSD push, enquiry, callback, refund.

Our id on the wire: `transaction.id` is the attempt's 20-character own reference. Airtel refuses a repeated one
(ESB000041), enquiry and callback carry it back. Only `data.transaction.status` (TS, TF, TA, TIP, TE) decides about
money: two official tables give the same DP numbers opposite meanings, and a push merely taken says SUCCESS too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import structlog

from channels.wallets.airtel_answers import (
    LONGEST_WORD,
    SIGNATURE_DIFFERS,
    code_of,
    ending_of,
    read_query,
    read_refund,
    read_start,
    real_id,
    refuses,
    state_of,
)
from channels.wallets.airtel_checks import check_wallet
from channels.wallets.airtel_signing import (
    HASH_FORMS,
    HashForm,
    KeyCache,
    SigningKey,
    fitting_form,
    hash_fits,
    load_signing_key,
    read_validity,
    signed_headers,
)
from channels.wallets.sessions import Fresh, Session, SessionNotReady, SessionPool, SessionStore
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
from core.kernel.money import BadAmount
from core.partner_http import PartnerHttp, Reply, json_bytes, parse_json, text_at
from core.payments.ports import (
    Ack,
    Capabilities,
    Failed,
    Finding,
    Hint,
    Malformed,
    NotAccepted,
    QueryAnswer,
    RawCallback,
    RefundAnswer,
    RefundQueryAnswer,
    StartAnswer,
    Unknown,
    WalletAttempt,
    WalletRefund,
)
from core.phone_numbers import NotCongolese, national

NAME = "airtel"

_log = structlog.get_logger("airtel")


@dataclass(frozen=True, slots=True)
class AirtelConfig:
    """What the country's portal gives one application. `version` v2 signs each message.

    `callback_hash`: what the hash of a callback is made over (`off`: not looked at), `callback_hash_key`: with which
    key. `callback_url`: what the portal has been told, for `check` alone.
    """

    client_id: str
    client_secret: str = field(repr=False)
    base_url: str = "https://openapi.airtel.cd"
    country: str = "CD"
    version: Literal["v1", "v2"] = "v1"
    callback_hash: HashForm = "off"
    callback_hash_key: Literal["callback_key", "client_secret"] = "callback_key"
    callback_hash_required: bool = True
    callback_key: str = field(default="", repr=False)
    callback_url: str = ""
    start_timeout_s: int = 30
    query_timeout_s: int = 30
    token_timeout_s: int = 20
    token_lifetime_s: int = 180
    keys_timeout_s: int = 20
    keys_lifetime_s: int = 3600
    calls_per_minute: int = 300


# Stands for the amount until the body is text: money is never a float, and JSON numbers of Python would be.
_AMOUNT = "@amount@"
# A token is not used in its last 25 s (10 of them are the pool's own): a slow request must not outlive it.
_TOKEN_MARGIN_S = 15


class AirtelWallet:
    """Collects through Airtel Money. See docs/wallets/airtel.md."""

    name = NAME
    secrets: tuple[str, ...] = ("client_secret", "callback_key")

    def __init__(
        self, config: AirtelConfig, *, http: PartnerHttp, clock: Clock, session_store: SessionStore | None = None
    ) -> None:
        """`session_store`: where several processes share the token; each keeps its own by default.

        Raises ValueError naming the setting that cannot be right.
        """
        _check_config(config)
        self.config = config
        self.clock = clock
        self._http = http
        self._base = config.base_url.rstrip("/")
        self.tokens = SessionPool(
            self._create_token,
            clock,
            lifetime_s=config.token_lifetime_s,
            warmup_s=0,
            patience_s=config.token_timeout_s + 5,
            store=session_store,
        )
        self._keys = KeyCache(self.fetch_key, clock)
        self.can = Capabilities(
            decimals={"CDF": 0, "USD": 2},
            query_by_own_id=True,
            callback_proof="hash",
            query_slots_s=(180, 300, 600, 1200, 3600),
            prompt_lifetime_s=600,
            not_found_after_s=600,
            refunds="full",
            calls_per_minute=config.calls_per_minute,
        )

    def prepare(self) -> None:
        """Have a token before it is needed. Raises PartnerError."""
        self.tokens.prepare()

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        try:
            body = self._debit(attempt)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        except NotCongolese:
            return Failed("payer_unknown", "not_sent")
        path = f"/merchant/{self.config.version}/payments/"
        reply = self._post(path, body, attempt.amount.currency)
        return read_start(reply, attempt.own_ref) if isinstance(reply, Reply) else reply

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        return self.enquire(attempt.own_ref, attempt.amount.currency)

    def enquire(self, own_ref: str, currency: str) -> QueryAnswer:
        """What became of the transaction with this id of ours."""
        try:
            token = self.tokens.take()
            reply = self._http.get_json(
                f"{self._base}/standard/v1/payments/{own_ref}",
                headers=self._headers(token, currency),
                timeout_s=self.config.query_timeout_s,
                read_errors=True,
            )
        except SessionNotReady:
            return Unknown("token_awaited")
        except PartnerError as error:
            return Unknown(error.code)
        if self._token_refused(reply, token) is not None:
            return Unknown("token_refused")
        return read_query(reply, own_ref)

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        """Give one payment back, all of it. Airtel has no key against repetition but its own transaction id."""
        if refund.amount != refund.original:
            return Failed("amount_refused", "full_only")
        if refund.provider_txn_id is None:
            return Failed("not_found", "no_airtel_money_id")
        body = json_bytes({"transaction": {"airtel_money_id": refund.provider_txn_id}})
        reply = self._post("/standard/v1/payments/refund", body, refund.amount.currency)
        return read_refund(reply, refund.provider_txn_id) if isinstance(reply, Reply) else reply

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        """Nobody can be asked: the enquiry speaks of the payment, and says TS before and after. The statement tells."""
        return Unknown("refunds_have_no_enquiry")

    def read_callback(self, raw: RawCallback) -> Hint | Malformed:
        """Without amount, currency and number, and its hash ambiguous: a claim. Whoever books must ask."""
        try:
            body = parse_json(raw.body)
        except ValueError:
            return Malformed("not JSON")
        own_ref = text_at(body, "transaction.id")
        if not isinstance(body, dict) or own_ref is None:
            return Malformed("no transaction id")
        if not self._hash_accepted(raw.body, body):
            return Malformed("hash")
        state = state_of(text_at(body, "transaction.status_code"))
        txn_id = real_id(text_at(body, "transaction.airtel_money_id"))
        return Hint(own_ref=own_ref, claim=ending_of(state, txn_id))

    def acknowledge(self, raw: RawCallback) -> Ack:
        return Ack(content_type="text/plain")

    def check(self) -> Sequence[Finding]:
        return check_wallet(self)

    def ask_token(self) -> Reply:
        """Ask for a token, whatever comes. Raises PartnerError when nothing readable does."""
        body = {
            "client_id": self.config.client_id,
            "client_secret": self.config.client_secret,
            "grant_type": "client_credentials",
        }
        url, timeout_s = f"{self._base}/auth/oauth2/token", self.config.token_timeout_s
        return self._http.post_json(url, body, headers={"accept": "*/*"}, timeout_s=timeout_s, read_errors=True)

    def fetch_key(self) -> SigningKey:
        """Airtel's public key of now. Raises PartnerError."""
        token = self.tokens.take()
        currency = next(iter(self.can.decimals))
        reply = self._http.get_json(
            f"{self._base}/v1/rsa/encryption-keys",
            headers=self._headers(token, currency),
            timeout_s=self.config.keys_timeout_s,
            read_errors=True,
        )
        if self._token_refused(reply, token) is not None:
            raise PartnerDown(self.name, "token_refused", "no key")
        text = reply.text_at("data.key")
        if not reply.ok or text is None:
            code = code_of(reply) or str(reply.status)
            raise PartnerRefused(self.name, code) if refuses(reply) else PartnerDown(self.name, code, "no key")
        try:
            key = load_signing_key(text)
        except ValueError:
            raise PartnerDown(self.name, "unreadable", "key") from None
        until = read_validity(reply.text_at("data.valid_upto"))
        return SigningKey(key, until or self.clock.real_now() + timedelta(seconds=self.config.keys_lifetime_s))

    def _debit(self, attempt: WalletAttempt) -> bytes:
        """The bytes of one payment. Raises BadAmount or KeyError for the amount, NotCongolese for the number."""
        currency = attempt.amount.currency
        amount = attempt.amount.decimal_text(self.can.decimals[currency])
        where = {"country": self.config.country, "currency": currency}
        body = {
            "reference": _reference(attempt),
            "subscriber": {**where, "msisdn": national(attempt.payer_phone)},
            "transaction": {"amount": _AMOUNT, **where, "id": attempt.own_ref},
        }
        return json_bytes(body).replace(f'"{_AMOUNT}"'.encode(), amount.encode())

    def _post(self, path: str, body: bytes, currency: str) -> Reply | Failed | NotAccepted | Unknown:
        """POST once. What comes back is a reply of Airtel's own, or what its absence means."""
        ready = self._ready(body, currency)
        if not isinstance(ready, tuple):
            return ready
        token, headers = ready
        url, timeout_s = self._base + path, self.config.start_timeout_s
        try:
            reply = self._http.post_json(url, body, headers=headers, timeout_s=timeout_s, read_errors=True)
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        wait_s = self._token_refused(reply, token)
        if wait_s is not None:
            return NotAccepted("token_refused", retry_after_s=wait_s)
        if reply.text_at("status.response_code") == SIGNATURE_DIFFERS:
            self._keys.forget()
            _log.warning("signature_not_taken", path=path)
        return reply

    def _ready(self, body: bytes, currency: str) -> tuple[Session, dict[str, str]] | Failed | NotAccepted:
        """The token and the headers for these bytes; or why nothing can be sent yet."""
        missing = "no_token"
        try:
            token = self.tokens.take()
            headers = self._headers(token, currency)
            if self.config.version == "v2":
                missing = "no_key"
                headers |= signed_headers(self._keys.take(), body)
        except SessionNotReady as wait:
            return NotAccepted("token_awaited", wait.after_s, posted=False)
        except PartnerRefused as refused:
            return Failed("configuration", refused.code)
        except PartnerError as down:
            return NotAccepted(f"{missing}_{down.code}", retry_after_s=15, posted=False)
        return token, headers

    def _token_refused(self, reply: Reply, token: Session) -> int | None:
        """Seconds to wait when the token was refused, so that nothing was taken on; else None."""
        if reply.status == 401:
            return self.tokens.rejected(token)
        self.tokens.worked(token)
        return None

    def _create_token(self) -> Fresh:
        """Raises PartnerRefused for what waiting does not mend, other PartnerErrors for the rest."""
        reply = self.ask_token()
        token = reply.text_at("access_token")
        if reply.ok and token is not None:
            said = reply.text_at("expires_in") or ""
            lifetime_s = int(said) if re.fullmatch(r"\d{1,6}", said) else self.config.token_lifetime_s
            return Fresh(token, max(lifetime_s - _TOKEN_MARGIN_S, lifetime_s // 2))
        code = reply.text_at("error") or code_of(reply) or f"http_{reply.status}"
        raise (
            PartnerRefused(self.name, code[:LONGEST_WORD])
            if refuses(reply)
            else PartnerDown(self.name, code[:LONGEST_WORD], "no token")
        )

    def _headers(self, token: Session, currency: str) -> dict[str, str]:
        return {
            "accept": "*/*",
            "content-type": "application/json",
            "x-country": self.config.country,
            "x-currency": currency,
            "authorization": f"Bearer {token.id}",
        }

    def _hash_accepted(self, raw: bytes, body: Mapping[str, object]) -> bool:
        """Whether the callback may be read on. Where the hash does not fit, the log tells which variant would."""
        config = self.config
        key = config.callback_key if config.callback_hash_key == "callback_key" else config.client_secret
        if config.callback_hash != "off" and hash_fits(config.callback_hash, key, raw, body):
            return True
        if "hash" in body:
            fits = {name: fitting_form(getattr(config, name), raw, body) for name in self.secrets}
            tell = _log.info if config.callback_hash == "off" else _log.warning
            tell("callback_hash_differs", expected=config.callback_hash, **fits)
        return config.callback_hash == "off" or not config.callback_hash_required


def _reference(attempt: WalletAttempt) -> str:
    """What the payer sees: 4 to 64 letters and digits, for anything else was refused elsewhere."""
    plain = re.sub(r"[^A-Za-z0-9]", "", attempt.account_number)[:64]
    return plain if len(plain) >= 4 else attempt.own_ref


def _check_config(config: AirtelConfig) -> None:
    if not config.client_id:
        raise ValueError("client_id is missing")
    if config.version not in ("v1", "v2"):
        raise ValueError("version must be v1 or v2")
    if not re.fullmatch(r"[A-Z]{2}", config.country):
        raise ValueError("country must be two capital letters, such as CD")
    if config.token_lifetime_s < 30:
        raise ValueError("token_lifetime_s must be at least 30")
    if config.callback_hash not in HASH_FORMS:
        raise ValueError(f"callback_hash must be one of {', '.join(HASH_FORMS)}")
    if config.callback_hash != "off" and config.callback_hash_key == "callback_key" and not config.callback_key:
        raise ValueError("callback_key is missing, and callback_hash is on")
