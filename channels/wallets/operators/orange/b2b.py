"""Orange Money RDC through the REST B2B API: cashout (the customer pays; named from the wallet's side) and cashin.

Known from one project's notes only, so everything doubtful is a setting: paths, field names, status words. Our id on
the wire is `transactionId`, the attempt's UUID. Without a status call (`b2b_status_path` empty) nobody can be asked:
then an attempt ends by a statement or a person, unless `b2b_believe_callback` says that their callback is proof.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping, Sequence

from channels.wallets.operators.orange.config import (
    NAME,
    NOT_FOUND_AFTER_S,
    PROMPT_LIFETIME_S,
    QUERY_SLOTS_S,
    OrangeConfig,
    listed,
    paired,
    reasons,
)
from channels.wallets.sessions import Fresh, Session, SessionNotReady, SessionPool, SessionStore
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
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
    Unknown,
    WalletAttempt,
    WalletRefund,
)
from core.phone_numbers import NotCongolese, national

# What a token lives when the answer does not say; 7200 was seen.
_TOKEN_S = 3600
_MEANINGS = ("paid", "pending", "failed")
_FIELDS = ("own_id", "status", "provider_id", "amount", "currency", "error", "type")
_NO_STATUS_CALL = Unknown("no_status_call")


class OrangeB2bWallet:
    """Collects from Orange Money through the B2B API. See docs/wallets/orange.md."""

    name = NAME
    secrets: tuple[str, ...] = ("bearer_token", "client_secret")

    def __init__(
        self, config: OrangeConfig, *, http: PartnerHttp, clock: Clock, session_store: SessionStore | None = None
    ) -> None:
        """`session_store`: where all workers share the one token. Raises ValueError naming a setting that is wrong."""
        _look_at(config)
        self._config = config
        self._words = _words(config)
        self._decimals = _decimals(config)
        self._callback_fields = _fields(config, "b2b_callback_fields")
        self._status_fields = _fields(config, "b2b_status_fields")
        self._http = http
        self._base = config.base_url.rstrip("/")
        self._refusals = reasons(config, "b2b_refused_codes")
        self._not_taken = listed(config, "b2b_not_taken_codes")
        self._not_found = listed(config, "b2b_not_found_codes")
        if set(self._not_taken) & set(self._refusals):
            raise ValueError("b2b_not_taken_codes and b2b_refused_codes name the same code")
        self.sessions = SessionPool(
            self._create_token,
            clock,
            lifetime_s=_TOKEN_S,
            warmup_s=0,
            patience_s=config.b2b_token_timeout_s + 5,
            store=session_store,
        )
        self.can = Capabilities(
            decimals=self._decimals,
            query_by_own_id=bool(config.b2b_status_path),
            callback_proof="none",
            query_slots_s=QUERY_SLOTS_S,
            prompt_lifetime_s=PROMPT_LIFETIME_S,
            not_found_after_s=NOT_FOUND_AFTER_S,
            refunds="partial",
            calls_per_minute=config.calls_per_minute,
        )

    def prepare(self) -> None:
        """Have a token before it is needed. Raises PartnerError."""
        self.sessions.prepare()

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        return self._post(self._config.b2b_cashout_path, attempt.attempt_id, attempt.payer_phone, attempt.amount)

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        return self._status(attempt.attempt_id)

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        return self._post(self._config.b2b_cashin_path, refund.refund_id, refund.payer_phone, refund.amount)

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        return self._status(refund.refund_id)

    def read_callback(self, raw: RawCallback) -> Hint | RefundHint | Malformed:
        """A claim. It counts as proof only where the setting says so, and a whole one only: id, word, amount."""
        try:
            body = parse_json(raw.body)
        except ValueError:
            return Malformed("not JSON")
        fields = self._callback_fields
        own_id = _uuid(_at(body, fields, "own_id"))
        if own_id is None:
            return Malformed("no transaction id of ours")
        if (_at(body, fields, "type") or "").lower() == "cashin":
            return RefundHint(own_id)
        claim = self._read_words(body, fields)
        whole = isinstance(claim, Failed) or (isinstance(claim, Paid) and claim.amount is not None)
        return Hint(attempt_id=own_id, claim=claim, authentic=self._config.b2b_believe_callback and whole)

    def acknowledge(self, raw: RawCallback) -> Ack:
        return Ack(b"{}")

    def check(self) -> Sequence[Finding]:
        """Asks for a token; whether the product is activated shows only in a payment, or in the status call."""
        try:
            self.sessions.take()
        except PartnerRefused as refused:
            advice = f"refused ({refused.code}): compare client id and secret with the application's"
            return [Finding(False, "a token is given", advice)]
        except (PartnerError, SessionNotReady) as error:
            return [Finding(False, "a token is given", f"none was given: {error}")]
        return [
            Finding(True, "a token is given"),
            self._check_status(),
            Finding(None, "callbacks arrive", "their address is fixed at Orange: make one of the smallest payments"),
        ]

    def _check_status(self) -> Finding:
        if not self._config.b2b_status_path:
            what = "a payment can be asked about"
            if self._config.b2b_believe_callback:
                return Finding(None, what, "there is no status call; callbacks are believed as they come")
            return Finding(False, what, "there is no status call: what a callback claims ends on a person's list")
        answer = self._status(str(uuid.uuid4()))
        found = isinstance(answer, NotFound)
        told = re.fullmatch(r"http_404_(?!no_code)(.+)", answer.why) if isinstance(answer, Unknown) else None
        if told is not None and told[1] not in self._refusals:
            advice = f"code {told[1]}: if it means an unknown id, name it in MWOLO_ORANGE_B2B_NOT_FOUND_CODES"
            return Finding(None, "the status call answers a made-up id with a 404", advice)
        advice = "" if found else f"a made-up id is answered with {answer}: compare the path"
        return Finding(found, "the status call answers", advice)

    # -- on the wire

    def _post(self, path: str, own_id: str, phone: str, amount: Money) -> Accepted | Failed | NotAccepted | Unknown:
        """One cashout or cashin, once. Both are taken on first and decided later."""
        try:
            body = self._body(own_id, phone, amount)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        except NotCongolese:
            return Failed("payer_unknown", "not_sent")
        try:
            session = self.sessions.take()
        except SessionNotReady as warming:
            return NotAccepted("no_token", warming.after_s, posted=False)
        except PartnerRefused as refused:
            return Failed("configuration", refused.code)
        except PartnerError as down:
            return NotAccepted(f"no_token_{down.code}", retry_after_s=15, posted=False)
        try:
            reply = self._http.post_json(
                self._url(path), body, headers=_bearer(session), timeout_s=self._config.b2b_timeout_s, read_errors=True
            )
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        if reply.status == 401:
            return NotAccepted("token_refused", retry_after_s=self.sessions.rejected(session))
        self.sessions.worked(session)
        return self._read_start(reply, own_id)

    def _body(self, own_id: str, phone: str, amount: Money) -> dict[str, object]:
        decimals = self._decimals[amount.currency]
        if amount.minor <= 0:
            raise BadAmount("nothing to ask for")
        text = amount.decimal_text(decimals)
        return {
            "peerId": national(phone),
            "peerIdType": "msisdn",
            # The one sample has a number here. A text would be a guess; with decimals there is no sample at all.
            "amount": int(text) if decimals == 0 else text,
            "currency": amount.currency,
            "posId": self._config.b2b_pos_id,
            "transactionId": own_id,
        }

    def _read_start(self, reply: Reply, own_id: str) -> Accepted | Failed | NotAccepted | Unknown:
        if reply.status == 403:
            return Failed("configuration", "403")
        if not reply.ok:
            code = reply.text_at("code")
            if code is not None and code in self._not_taken:
                return NotAccepted(code, retry_after_s=30)
            if code is not None and code in self._refusals and 400 <= reply.status < 500 and reply.status != 409:
                return Failed(self._refusals[code], code)
            return Unknown(str(reply.status) if reply.status >= 500 else f"http_{reply.status}_{code or 'no_code'}")
        if reply.text_at("transactionData.transactionId") not in (None, own_id):
            return Unknown("contradictory_answer")
        word = reply.text_at("status")
        meaning = self._words.get((word or "").upper())
        if meaning != "pending":
            # "Success" in this place may mean no more than "received": nothing is booked on it.
            return Unknown(f"answer_{word or 'without_status'}")
        return Accepted(reply.text_at("transactionData.txnId"))

    def _status(self, own_id: str) -> QueryAnswer:
        if not self._config.b2b_status_path:
            return _NO_STATUS_CALL
        try:
            session = self.sessions.take()
            reply = self._http.get_json(
                self._url(self._config.b2b_status_path.replace("{id}", own_id)),
                headers=_bearer(session),
                timeout_s=self._config.b2b_timeout_s,
                read_errors=True,
            )
        except SessionNotReady:
            return Unknown("no_token")
        except PartnerError as error:
            return Unknown(error.code)
        if reply.status == 401:
            self.sessions.rejected(session)
            return Unknown("token_refused")
        code = reply.text_at("code")
        if reply.status == 404 and code is not None and code in self._not_found:
            return NotFound()
        if not reply.ok:
            return Unknown(str(reply.status) if reply.status >= 500 else f"http_{reply.status}_{code or 'no_code'}")
        fields = self._status_fields
        if _at(reply.json, fields, "own_id") not in (None, own_id):
            return Unknown("contradictory_answer")
        return self._read_words(reply.json, fields)

    def _read_words(self, body: object, fields: Mapping[str, str]) -> QueryAnswer:
        """A status with what stands around it, in a status answer or in a callback, each by its own field names."""
        word = _at(body, fields, "status")
        match self._words.get((word or "").upper()):
            case "paid":
                return _paid(body, fields)
            case "pending":
                return Pending(_at(body, fields, "provider_id"))
            case "failed":
                # Their error codes are not known: the reason stays open, and so does the attempt for late money.
                return Failed("other", _at(body, fields, "error") or str(word), final=False)
        return Unknown(f"status_{word or 'missing'}")

    def _create_token(self) -> Fresh:
        """Raises PartnerRefused for what waiting does not mend, other PartnerErrors for the rest."""
        config = self._config
        reply = self._http.post_form(
            self._base + config.b2b_token_path,
            {"grant_type": "client_credentials"},
            headers={"authorization": _basic(config.client_id, config.client_secret)},
            timeout_s=config.b2b_token_timeout_s,
        )
        token = reply.text_at("access_token")
        if reply.ok and token is not None:
            return Fresh(token, _seconds(reply.text_at("expires_in")))
        raise PartnerRefused(self.name, reply.text_at("code") or f"http_{reply.status}", "no token")

    def _url(self, path: str) -> str:
        return self._base + self._config.b2b_path + path


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _bearer(session: Session) -> dict[str, str]:
    return {"authorization": f"Bearer {session.id}"}


def _paid(body: object, fields: Mapping[str, str]) -> Paid | Unknown:
    """Paid, with the amount where there is one. One that cannot be read is no amount to book."""
    amount, currency = _at(body, fields, "amount"), _at(body, fields, "currency")
    txn_id = _at(body, fields, "provider_id")
    if amount is None and currency is None:
        return Paid(txn_id)
    try:
        return Paid(txn_id, Money.parse(amount or "", (currency or "").upper()))
    except BadAmount:
        return Unknown("paid_amount_unreadable")


def _at(body: object, fields: Mapping[str, str], what: str) -> str | None:
    """What stands where the settings say it does."""
    path = fields.get(what)
    return text_at(body, path) if path else None


def _seconds(text: str | None) -> int:
    """The lifetime as received, a number or a text; 0 where it says nothing usable."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 9 else 0


def _uuid(text: str | None) -> str | None:
    try:
        return str(uuid.UUID(text)) if text is not None and len(text) == 36 else None
    except ValueError:
        return None


def _look_at(config: OrangeConfig) -> None:
    """Raises ValueError naming the first setting that cannot be right."""
    for setting in ("client_id", "client_secret", "b2b_pos_id"):
        if not getattr(config, setting):
            raise ValueError(f"{setting} is empty")
    if config.b2b_status_path and "{id}" not in config.b2b_status_path:
        raise ValueError("b2b_status_path must have {id} where our transaction id belongs")


def _words(config: OrangeConfig) -> Mapping[str, str]:
    words = {word.upper(): meaning for word, meaning in paired(config, "b2b_words").items()}
    if not set(words.values()) <= set(_MEANINGS):
        raise ValueError(f"b2b_words must map each word to one of {', '.join(_MEANINGS)}")
    return words


def _decimals(config: OrangeConfig) -> Mapping[str, int]:
    decimals = paired(config, "b2b_decimals")
    if not decimals or not set(decimals) <= {"CDF", "USD"} or not set(decimals.values()) <= {"0", "2"}:
        raise ValueError("b2b_decimals must give 0 or 2 for CDF, USD or both")
    return {currency: int(count) for currency, count in decimals.items()}


def _fields(config: OrangeConfig, setting: str) -> Mapping[str, str]:
    fields = paired(config, setting)
    if not set(fields) <= set(_FIELDS) or not {"own_id", "status"} <= set(fields):
        raise ValueError(f"{setting} must name own_id and status, and may name {', '.join(_FIELDS[2:])}")
    return fields
