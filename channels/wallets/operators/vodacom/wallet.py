"""Vodacom M-Pesa through the pan-African OpenAPI: one-step C2B payments, status query, result callback.

Our ids on the wire: `input_ThirdPartyConversationID` is the attempt's UUID without dashes (32 characters; Vodacom
refuses a repeated one, INS-10, so it is the idempotency key), `input_TransactionReference` is the 20-character own
reference, which the payer sees. Query and callback find the attempt by the conversation id.

Decide by the code, not by the HTTP status: INS-6 arrives as 401, INS-9 as 408, INS-10 as 409, INS-16 as 503.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.wallets.doubt import doubt
from channels.wallets.operators.vodacom.checks import check_wallet
from channels.wallets.operators.vodacom.codes import TRY_SESSION_AGAIN, code_of, ending_of, real_id
from channels.wallets.operators.vodacom.refunds import (
    by_payment,
    read_reversal,
    read_reversal_status,
    refund_of,
    reversal_body,
    reversal_conversation,
)
from channels.wallets.sessions import Session, SessionNotReady, SessionPool, SessionStore
from core.kernel.clock import Clock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
from core.kernel.gsm7 import ascii_only
from core.kernel.money import BadAmount
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
from core.phone_numbers import international

NAME = "vodacom"


@dataclass(frozen=True, slots=True)
class VodacomConfig:
    """What the portal gives one application. `mode` must be what the portal says: a synchronous application holds the
    call open until the payer has typed the PIN."""

    api_key: str = field(repr=False)
    public_key: str = field(repr=False)  # base64 of the DER, one per environment
    base_url: str = "https://openapi.m-pesa.com"
    environment: str = "sandbox"  # or "openapi": production
    market: str = "vodacomDRC"
    country: str = "DRC"  # the market's own letters, not ISO
    origin: str = "*"
    service_provider_code: str = "000000"
    mode: Literal["sync", "async"] = "sync"
    sync_timeout_s: int = 120
    async_timeout_s: int = 30
    query_timeout_s: int = 30
    session_timeout_s: int = 30
    session_lifetime_s: int = 3600
    session_warmup_s: int = 30
    refund_timeout_s: int = 60
    calls_per_minute: int = 600


class VodacomWallet:
    """Collects through Vodacom M-Pesa. See docs/wallets/vodacom.md."""

    name = NAME
    secrets: tuple[str, ...] = ("api_key",)

    def __init__(
        self,
        config: VodacomConfig,
        *,
        http: PartnerHttp,
        clock: Clock,
        session_store: SessionStore | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`session_store`: where several processes share their sessions; each keeps its own by default.

        Raises ValueError naming the setting that cannot be right.
        """
        self._config = config
        self._http = http
        self._key = _public_key(config.public_key)
        self.sessions = SessionPool(
            self._create_session,
            clock,
            lifetime_s=config.session_lifetime_s,
            warmup_s=config.session_warmup_s,
            patience_s=config.session_timeout_s + 5,
            store=session_store,
            sleep=sleep,
        )
        waits = config.mode == "sync"
        self.can = Capabilities(
            decimals={"CDF": 0, "USD": 2},
            query_by_own_id=True,
            callback_proof="none",
            query_slots_s=(15, 45, 120, 300, 900, 3600) if waits else (60, 120, 300, 900, 3600),
            prompt_lifetime_s=180 if waits else 300,
            # A request may leave a minute after its attempt was claimed (a new session), and is indexed later still.
            not_found_after_s=240 if waits else 180,
            refunds="partial",
            calls_per_minute=config.calls_per_minute,
        )

    def prepare(self) -> None:
        """Have a session live before it is needed. Workers call it at start and every minute. Raises PartnerError."""
        self.sessions.prepare()

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        try:
            body = self._debit(attempt)
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        session = self._session()
        if not isinstance(session, Session):
            return session
        waits = self._config.mode == "sync"
        try:
            reply = self._http.post_json(
                self._url("c2bPayment/singleStage"),
                body,
                headers=self._headers(session.id),
                timeout_s=self._config.sync_timeout_s if waits else self._config.async_timeout_s,
                read_errors=True,
            )
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        wait_s = self._session_refused(reply, session)
        if wait_s is not None:
            return NotAccepted("session_refused", retry_after_s=wait_s)
        return self._read_start(reply, body["input_ThirdPartyConversationID"])

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        reply = self._ask_status(conversation_id(attempt.attempt_id))
        return reply if isinstance(reply, Unknown) else _read_query(reply)

    def _ask_status(self, reference: str) -> Reply | Unknown:
        """Ask about one thing by its transaction id or a conversation id. Unknown: the question itself failed."""
        try:
            session = self.sessions.take()
            reply = self._http.get_json(
                self._url("queryTransactionStatus"),
                params={
                    "input_QueryReference": reference,
                    "input_ServiceProviderCode": self._config.service_provider_code,
                    # A new one for each question: a repeated one may be called a duplicate (unconfirmed).
                    "input_ThirdPartyConversationID": uuid.uuid4().hex,
                    "input_Country": self._config.country,
                },
                headers=self._headers(session.id),
                timeout_s=self._config.query_timeout_s,
                read_errors=True,
            )
        except SessionNotReady:
            return Unknown("session_warming")
        except PartnerError as error:
            return Unknown(error.code)
        return Unknown("session_refused") if self._session_refused(reply, session) is not None else reply

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        """Reverse the payment, or a part of it. The customer is not asked, so the answer comes at once."""
        if refund.provider_txn_id is None:
            return Failed("configuration", "no_transaction_id")
        try:
            body = reversal_body(
                refund,
                refund.provider_txn_id,
                amount=refund.amount.decimal_text(self.can.decimals[refund.amount.currency]),
                country=self._config.country,
                service_provider_code=self._config.service_provider_code,
            )
        except (BadAmount, KeyError):
            return Failed("amount_refused", "not_sent")
        session = self._session()
        if not isinstance(session, Session):
            return session
        try:
            reply = self._http.put_json(
                self._url("reversal"),
                body,
                headers=self._headers(session.id),
                timeout_s=self._config.refund_timeout_s,
                read_errors=True,
            )
        except PartnerDown as down:
            return Unknown(down.code) if down.sent else NotAccepted(down.code, posted=False)
        except PartnerThrottled:
            return NotAccepted("429", retry_after_s=10)
        wait_s = self._session_refused(reply, session)
        if wait_s is not None:
            return NotAccepted("session_refused", retry_after_s=wait_s)
        return read_reversal(reply, body["input_ThirdPartyConversationID"], waits=self._config.mode == "sync")

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        """By the reversal's own id first. Where that is not known (unconfirmed that it ever is), the payment itself
        tells whether it was reversed."""
        reply = self._ask_status(reversal_conversation(refund.refund_id))
        if isinstance(reply, Unknown):
            return reply
        answer = read_reversal_status(reply)
        if not isinstance(answer, NotFound) or refund.provider_txn_id is None:
            return answer
        reply = self._ask_status(refund.provider_txn_id)
        return reply if isinstance(reply, Unknown) else by_payment(reply, whole=refund.amount == refund.original)

    def check(self) -> Sequence[Finding]:
        return check_wallet(self._config, take_session=self.sessions.take, ask=self._ask_status)

    def read_callback(self, raw: RawCallback) -> Hint | RefundHint | Malformed:
        """Unsigned, without amount and number: a claim. Whoever books must ask, after both ids have matched."""
        try:
            body = parse_json(raw.body)
        except ValueError:
            return Malformed("not JSON")
        ours, theirs = text_at(body, "input_ThirdPartyConversationID"), text_at(body, "input_OriginalConversationID")
        refund_id = refund_of(ours)
        if refund_id is not None:
            return RefundHint(refund_id)
        attempt_id = _attempt_id(ours)
        if attempt_id is None and real_id(theirs) is None:
            return Malformed("no conversation id")
        code = text_at(body, "input_ResultCode")
        claim: QueryAnswer
        if code in ("INS-0", "0"):  # the Mozambican flavour says 0
            claim = Paid(real_id(text_at(body, "input_TransactionID")))
        else:
            ending = ending_of(code)
            claim = Unknown(ending.code) if isinstance(ending, NotAccepted) else ending
        return Hint(attempt_id=attempt_id, provider_ref=real_id(theirs), claim=claim)

    def acknowledge(self, raw: RawCallback) -> Ack:
        try:
            body = parse_json(raw.body)
        except ValueError:
            body = None
        answer = {
            "output_OriginalConversationID": text_at(body, "input_OriginalConversationID") or "",
            "output_ResponseCode": "0",
            "output_ResponseDesc": "Successfully Accepted Result",
            "output_ThirdPartyConversationID": text_at(body, "input_ThirdPartyConversationID") or "",
        }
        return Ack(json.dumps(answer).encode())

    def _debit(self, attempt: WalletAttempt) -> dict[str, str]:
        """The body of one payment. Raises BadAmount or KeyError for an amount this wallet cannot take."""
        amount = attempt.amount.decimal_text(self.can.decimals[attempt.amount.currency])
        return {
            "input_Amount": amount,
            "input_Country": self._config.country,
            "input_Currency": attempt.amount.currency,
            "input_CustomerMSISDN": international(attempt.payer_phone),
            "input_ServiceProviderCode": self._config.service_provider_code,
            "input_ThirdPartyConversationID": conversation_id(attempt.attempt_id),
            "input_TransactionReference": attempt.own_ref,
            "input_PurchasedItemsDesc": _plain(attempt.description) or "Facture",
        }

    def _read_start(self, reply: Reply, asked_as: str) -> StartAnswer:
        code = code_of(reply)
        if code != "INS-0":
            return ending_of(code, status=reply.status)
        echoed = reply.text_at("output_ThirdPartyConversationID")
        if not reply.ok or (real_id(echoed) is not None and echoed != asked_as):
            return Unknown("contradictory_answer")
        txn_id = real_id(reply.text_at("output_TransactionID"))
        if self._config.mode == "sync" and txn_id is not None:
            return Paid(txn_id)
        # A synchronous application without a transaction id behaves like an asynchronous one: taken, not paid.
        return Accepted(real_id(reply.text_at("output_ConversationID")))

    def _session(self) -> Session | NotAccepted | Failed:
        """A live session, or why nothing can be sent: nothing was."""
        try:
            return self.sessions.take()
        except SessionNotReady as warming:
            return NotAccepted("session_warming", warming.after_s, posted=False)
        except PartnerRefused as refused:
            return Failed("configuration", refused.code)
        except PartnerError as down:
            return NotAccepted(f"no_session_{down.code}", retry_after_s=15, posted=False)

    def _session_refused(self, reply: Reply, session: Session) -> int | None:
        """Seconds to wait when the operator refused the session, so that nothing was taken on; else None.

        INS-6 is no such refusal in spite of its 401: taking it for one ends in a loop of log-ins.
        """
        code = code_of(reply)
        if code is None:
            told = reply.text_at("output_error") is not None
            refused = reply.status in (401, 403) or (reply.status == 400 and told)
        else:
            # "Invalid API key" on a session never used before is how one that is not yet live looks.
            refused = code == "INS-989" or (code == "INS-2" and not session.proven)
        if refused:
            return self.sessions.rejected(session)
        if code is not None:
            self.sessions.worked(session)
        return None

    def _create_session(self) -> str:
        """Ask for a session. Raises PartnerRefused for what waiting does not mend, other PartnerErrors for the rest."""
        reply = self._http.get_json(
            self._url("getSession"),
            headers=self._headers(self._config.api_key),
            timeout_s=self._config.session_timeout_s,
            read_errors=True,
        )
        code, session_id = code_of(reply), reply.text_at("output_SessionID")
        if code == "INS-0" and session_id is not None:
            return session_id
        if reply.status >= 500 or code in TRY_SESSION_AGAIN or code == "INS-0":
            raise PartnerDown(self.name, code or str(reply.status), "no session")
        raise PartnerRefused(self.name, code or f"http_{reply.status}", "no session")

    def _url(self, operation: str) -> str:
        config = self._config
        return f"{config.base_url.rstrip('/')}/{config.environment}/ipg/v2/{config.market}/{operation}/"

    def _headers(self, credential: str) -> dict[str, str]:
        # The padding is random, so each call carries another bearer for the same session.
        sealed = base64.b64encode(self._key.encrypt(credential.encode(), PKCS1v15())).decode()
        return {
            "authorization": f"Bearer {sealed}",
            "origin": self._config.origin,
            "content-type": "application/json",
        }


def conversation_id(attempt_id: str) -> str:
    """The attempt's UUID as Vodacom carries it: 32 characters, no dashes."""
    return attempt_id.replace("-", "")


def _attempt_id(conversation: str | None) -> str | None:
    """The attempt a conversation id of ours names; None for anything that we cannot have made."""
    if conversation is None or not re.fullmatch(r"[0-9a-fA-F]{32}", conversation):
        return None
    return str(uuid.UUID(conversation))


def _read_query(reply: Reply) -> QueryAnswer:
    """The code speaks about the question, the status about the payment.

    NotFound may also mean "not indexed yet": whoever closes an attempt on it must have let some minutes pass.
    """
    code, state = code_of(reply), reply.text_at("output_ResponseTransactionStatus")
    if code == "INS-18":  # "invalid transaction id": said of a reference they do not have
        return NotFound()
    if code != "INS-0" or not reply.ok:
        # INS-23 and INS-6140 mostly mean "asked too early"; the rest says nothing about the money either.
        return Unknown(doubt(reply.status, code))
    match (state or "").lower():
        case "completed" if (reply.text_at("output_Reversed") or "").lower() in ("true", "yes", "y", "1"):
            return Unknown("reversed")
        case "completed":
            return Paid(real_id(reply.text_at("output_OriginalTransactionID")))
        case "pending":
            return Pending()
        case "cancelled":
            return Failed("cancelled", "Cancelled", final=False)
        case "expired":
            return Failed("prompt_expired", "Expired", final=False)
        case "failed":
            return Failed("other", "Failed")
        case "n/a" if real_id(reply.text_at("output_OriginalTransactionID")) is None:
            return NotFound()
        case _:
            return Unknown(f"status_{state or 'missing'}")


def _plain(text: str) -> str:
    """Letters, digits and single spaces: punctuation in a description was refused with INS-30."""
    return " ".join(re.sub(r"[^A-Za-z0-9]+", " ", ascii_only(text)).split())[:256]


def _public_key(text: str) -> RSAPublicKey:
    try:
        key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("public_key is not the base64 text of an RSA public key")
    return key
