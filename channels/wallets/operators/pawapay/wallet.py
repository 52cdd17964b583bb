"""pawaPay (API v2): one contract for the Congolese wallets, with signed callbacks.

Our id on the wire: `depositId` is the attempt's UUID, on which pawaPay refuses a second deposit (DUPLICATE_IGNORED);
`clientReferenceId` is the 20-character own reference. Status and callback carry the `depositId` back.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from channels.wallets.http_signatures import NotAuthentic, PublicKey, SignedRequest, load_key, verify
from channels.wallets.operators.pawapay.checks import check_wallet
from channels.wallets.operators.pawapay.keys import KeyRing
from channels.wallets.operators.pawapay.refunds import read_refund, read_refund_start, refund_body
from channels.wallets.operators.pawapay.statements import Reports
from channels.wallets.operators.pawapay.words import REASONS, UNDECIDED
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerThrottled
from core.kernel.gsm7 import ascii_only
from core.kernel.money import BadAmount, Money
from core.partner_http import PartnerHttp, Reply, parse_json, text_at
from core.payments.ports import (
    Accepted,
    Ack,
    Capabilities,
    Failed,
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
    RefundHint,
    RefundQueryAnswer,
    StartAnswer,
    StatementLine,
    Unknown,
    WalletAttempt,
    WalletRefund,
)
from core.phone_numbers import international, parse_e164

NAME = "pawapay"
PROVIDERS: Mapping[str, str] = {"mpesa": "VODACOM_MPESA_COD", "airtel": "AIRTEL_COD", "orange": "ORANGE_COD"}

_log = structlog.get_logger("pawapay")


@dataclass(frozen=True, slots=True)
class PawapayConfig:
    """`public_authority`: host (and port) under which pawaPay reaches us, as signatures cover it; None: as it arrived.
    `statement_timeout_s`: how long a report may take to be written. `statement_callback_url`: where pawaPay tells that
    it is ready, only for contracts that demand one: we look ourselves.
    `decimals`: currency → decimals; pawaPay's active configuration tells them per provider, Vodacom takes none in CDF.
    """

    api_token: str = field(repr=False)
    base_url: str = "https://api.sandbox.pawapay.io"
    public_authority: str | None = None
    providers: Mapping[str, str] = field(default_factory=lambda: dict(PROVIDERS))
    decimals: Mapping[str, int] = field(default_factory=lambda: {"CDF": 0, "USD": 2})
    start_timeout_s: int = 30
    query_timeout_s: int = 30
    keys_timeout_s: int = 10
    keys_lifetime_s: int = 86400
    signature_window_s: int = 300
    statement_timeout_s: int = 120
    statement_callback_url: str = ""
    calls_per_minute: int = 600


_MESSAGE_SIZES = (4, 22)


class PawapayWallet:
    """Collects from every Congolese wallet through pawaPay. See docs/wallets/pawapay.md."""

    name = NAME
    secrets: tuple[str, ...] = ("api_token",)

    def __init__(
        self, config: PawapayConfig, *, http: PartnerHttp, clock: Clock, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._config = config
        self._http = http
        self._base = config.base_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {config.api_token}"}
        self._keys = KeyRing(self._fetch_keys, clock, lifetime_s=config.keys_lifetime_s)
        self.can = Capabilities(
            decimals=config.decimals,
            query_by_own_id=True,
            callback_proof="signature",
            query_slots_s=(10, 20, 60, 180, 600, 1800, 3600),
            prompt_lifetime_s=600,
            refunds="partial",
            statements=True,
            calls_per_minute=config.calls_per_minute,
        )
        self._reports = Reports(
            http,
            self._base,
            self._headers,
            timeout_s=config.query_timeout_s,
            patience_s=config.statement_timeout_s,
            callback_url=config.statement_callback_url,
            sleep=sleep,
        )

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        provider = self._config.providers.get(attempt.brand)
        if provider is None:
            return Failed("configuration", "no_provider")
        try:
            body = self._deposit(attempt, provider)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        try:
            reply = self._http.post_json(
                f"{self._base}/v2/deposits", body, headers=self._headers, timeout_s=self._config.start_timeout_s
            )
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        return _read_start(reply, attempt.attempt_id)

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        try:
            reply = self._http.get_json(
                f"{self._base}/v2/deposits/{attempt.attempt_id}",
                headers=self._headers,
                timeout_s=self._config.query_timeout_s,
            )
        except PartnerError as error:
            return Unknown(error.code)
        if not reply.ok:
            return Unknown(reply.text_at("failureReason.failureCode") or f"http_{reply.status}")
        match reply.text_at("status"):
            case "NOT_FOUND":
                return NotFound()
            case "FOUND" if reply.text_at("data.depositId") == attempt.attempt_id:
                return read_deposit(reply.json["data"])
            case "FOUND":
                return Unknown("another_deposit")
            case status:
                return Unknown(f"status_{status or 'missing'}")

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        """`refundId` is our own id, on which pawaPay refuses a second refund (DUPLICATE_IGNORED)."""
        if refund.attempt_id is None:
            # It refunds deposits by the id they were asked under; money found otherwise has none.
            return Failed("configuration", "no_deposit")
        try:
            body = refund_body(refund, refund.attempt_id, self._config.decimals)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        try:
            reply = self._http.post_json(
                f"{self._base}/v2/refunds", body, headers=self._headers, timeout_s=self._config.start_timeout_s
            )
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        return read_refund_start(reply, refund.refund_id)

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        try:
            reply = self._http.get_json(
                f"{self._base}/v2/refunds/{refund.refund_id}",
                headers=self._headers,
                timeout_s=self._config.query_timeout_s,
            )
        except PartnerError as error:
            return Unknown(error.code)
        return read_refund(reply, refund.refund_id)

    def statement(self, start: datetime, end: datetime) -> Sequence[StatementLine]:
        """Every line of every wallet of ours in [start, end). Waits until pawaPay has written the reports."""
        return self._reports.lines(start, end)

    def check(self) -> Sequence[Finding]:
        return check_wallet(
            self._http,
            self._base,
            self._headers,
            providers=self._config.providers,
            decimals=self._config.decimals,
            public_authority=self._config.public_authority or "",
            read_keys=self._fetch_keys,
        )

    def read_callback(self, raw: RawCallback) -> Hint | RefundHint | Malformed:
        """May fetch pawaPay's public keys: call it where the network may be waited for. Never raises for a callback
        that cannot be verified; then it is a claim like any other, and the operator is asked."""
        try:
            body = parse_json(raw.body)
        except ValueError:
            return Malformed("not JSON")
        if isinstance(body, dict) and "refundId" in body:
            refund_id = _uuid(text_at(body, "refundId"))
            return RefundHint(refund_id) if refund_id else Malformed("no refundId")
        deposit = body["data"] if isinstance(body, dict) and isinstance(body.get("data"), dict) else body
        attempt_id = _uuid(text_at(deposit, "depositId"))
        if attempt_id is None:
            return Malformed("no depositId")
        return Hint(attempt_id=attempt_id, claim=read_deposit(deposit), authentic=self._is_authentic(raw))

    def acknowledge(self, raw: RawCallback) -> Ack:
        """Exactly 200 counts as delivered; the body is not read."""
        return Ack(content_type="text/plain")

    def _is_authentic(self, raw: RawCallback) -> bool:
        request = SignedRequest(
            raw.method,
            self._config.public_authority or raw.authority,
            raw.path,
            raw.headers,
            raw.body,
            raw.received_at,
        )
        try:
            verify(request, self._keys.find, label="sig-pp", window_s=self._config.signature_window_s)
        except NotAuthentic as why:
            if "signature" in raw.headers:
                _log.warning("callback_not_authentic", why=str(why))
            return False
        except PartnerError as error:
            _log.warning("callback_not_verified", code=error.code)
            return False
        return True

    def _deposit(self, attempt: WalletAttempt, provider: str) -> dict[str, object]:
        """The body of one deposit. Raises BadAmount or KeyError for an amount this wallet cannot take."""
        currency = attempt.amount.currency
        return {
            "depositId": attempt.attempt_id,
            "amount": attempt.amount.decimal_text(self._config.decimals[currency]),
            "currency": currency,
            "payer": {
                "type": "MMO",
                "accountDetails": {"phoneNumber": international(attempt.payer_phone), "provider": provider},
            },
            "clientReferenceId": attempt.own_ref,
            "customerMessage": customer_message(attempt.description, attempt.account_number),
        }

    def _fetch_keys(self) -> Mapping[str, PublicKey]:
        """pawaPay's public keys by id. Raises PartnerError. A key that cannot be read is left out."""
        reply = self._http.get_json(
            f"{self._base}/v2/public-key/http", headers=self._headers, timeout_s=self._config.keys_timeout_s
        )
        if not reply.ok or not isinstance(reply.json, list):
            raise PartnerDown(self.name, f"http_{reply.status}", "no keys")
        keys: dict[str, PublicKey] = {}
        for row in reply.json:
            key_id, text = text_at(row, "id"), text_at(row, "key")
            if key_id is None or text is None:
                continue
            try:
                keys[key_id] = load_key(text)
            except ValueError:
                _log.warning("public_key_unreadable", key_id=key_id)
        return keys


def read_deposit(deposit: object) -> QueryAnswer:
    """Read a deposit as status and callback carry it."""
    status = text_at(deposit, "status")
    if status in ("ACCEPTED", "PROCESSING", "SUBMITTED"):
        return Pending()
    if status == "FAILED":
        code = text_at(deposit, "failureReason.failureCode") or UNDECIDED
        return Failed(REASONS.get(code, "other"), code, final=code != UNDECIDED)
    if status != "COMPLETED":
        # IN_RECONCILIATION: pawaPay itself is finding out.
        return Unknown(status or "status_missing")
    try:
        amount = Money.parse(text_at(deposit, "amount") or "", text_at(deposit, "currency") or "")
    except BadAmount:
        return Unknown("paid_amount_unreadable")
    payer = text_at(deposit, "payer.accountDetails.phoneNumber")
    return Paid(
        text_at(deposit, "providerTransactionId"), amount, payer_phone=parse_e164("+" + payer) if payer else None
    )


def customer_message(description: str, account_number: str) -> str:
    """4 to 22 letters, digits and blanks: what the payer reads in the prompt."""
    low, high = _MESSAGE_SIZES
    plain = _plain(description)[:high].strip()
    return plain if len(plain) >= low else f"Facture {_plain(account_number)}"[:high].strip()


def _read_start(reply: Reply, deposit_id: str) -> StartAnswer:
    status, code = reply.text_at("status"), reply.text_at("failureReason.failureCode")
    if status in ("ACCEPTED", "DUPLICATE_IGNORED") and reply.ok:
        return Accepted() if reply.text_at("depositId") in (deposit_id, None) else Unknown("another_deposit")
    if code == "PROVIDER_TEMPORARILY_UNAVAILABLE":
        return NotAccepted(code, retry_after_s=60)
    if code == UNDECIDED:
        return Unknown(code)
    if code is not None and code in REASONS:
        return Failed(REASONS[code], code)
    if status == "REJECTED":
        return Failed("other", code or "REJECTED")
    return Unknown(code or f"http_{reply.status}_{status or 'no_status'}")


def _uuid(text: str | None) -> str | None:
    try:
        return str(uuid.UUID(text)) if text is not None and len(text) == 36 else None
    except ValueError:
        return None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^A-Za-z0-9]+", " ", ascii_only(text)).split())
