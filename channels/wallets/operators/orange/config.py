"""What Orange RDC gives one merchant, for both of its APIs. Whatever is unconfirmed is a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from core.payments.ports import FailureReason

NAME = "orange"

# First question after a minute: the PIN takes that long. The last repeats hourly until a person takes over.
QUERY_SLOTS_S = (60, 120, 300, 900, 3600)
PROMPT_LIFETIME_S = 300
NOT_FOUND_AFTER_S = 180


@dataclass(frozen=True, slots=True)
class OrangeConfig:
    """`api`: which of the two the contract is for. The fields of the other one are not read.

    Lists and tables are texts, as in the environment. SOAP: `status_*_codes` are the only result codes of doCheckTrans
    that decide anything, `start_*_codes` those of doS2M; the failed and refused ones give our reason for each code
    (`00084=configuration`). B2B: `b2b_*_fields` name, for each thing we look for, the dotted path at which it stands;
    `b2b_words` map their status words to paid, pending and failed. An empty `b2b_status_path` means that there is no
    such call; `{id}` in it is our transaction id. `b2b_not_found_codes`: of a 404 of that call, the only codes that
    mean "never heard of it"; any other 404 may be the gateway's, or a wrong path.
    """

    base_url: str
    api: Literal["soap", "b2b"] = "soap"
    calls_per_minute: int = 120
    # SOAP merchant gateway
    bearer_token: str = field(default="", repr=False)
    partner_id: str = ""
    merchant_cdf: str = ""  # national, with its leading zero
    merchant_usd: str = ""
    soap_path: str = "/apigatewayom/apigwomService"
    soap_timeout_s: int = 60
    start_refused_codes: str = ""
    start_not_taken_codes: str = ""
    status_paid_codes: str = "200"
    status_pending_codes: str = "0"
    status_failed_codes: str = "00084=configuration,60019=no_funds"
    status_not_found_codes: str = "704"
    # REST B2B API
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    b2b_pos_id: str = ""
    b2b_path: str = "/orange-money-b2b/v1/cd"
    b2b_token_path: str = "/oauth/v3/token"  # noqa: S105 (a path)
    b2b_cashout_path: str = "/transactions/cashout"
    b2b_cashin_path: str = "/transactions/cashin"
    b2b_status_path: str = ""
    b2b_decimals: str = "CDF=0"
    b2b_refused_codes: str = "60=configuration"
    b2b_not_taken_codes: str = ""
    b2b_not_found_codes: str = ""
    b2b_callback_fields: str = (
        "own_id=partnerTransactionId,status=transactionStatus,provider_id=transactionId,"
        "amount=amount,currency=currency,error=errorCode,type=type"
    )
    b2b_status_fields: str = (
        "own_id=transactionData.transactionId,status=status,provider_id=transactionData.txnId,"
        "amount=transactionData.amount,currency=transactionData.currency,error=errorCode"
    )
    b2b_words: str = "SUCCESS=paid,PENDING=pending,FAILED=failed"
    b2b_believe_callback: bool = False
    b2b_timeout_s: int = 30
    b2b_token_timeout_s: int = 30


def listed(config: OrangeConfig, setting: str) -> tuple[str, ...]:
    """A setting that is a list: `200,201`."""
    return tuple(part.strip() for part in str(getattr(config, setting)).split(",") if part.strip())


def paired(config: OrangeConfig, setting: str) -> Mapping[str, str]:
    """A setting that is a table: `name=value,name=value`. Raises ValueError naming it."""
    pairs: dict[str, str] = {}
    for part in listed(config, setting):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value or name in pairs:
            raise ValueError(f"{setting} must look like name=value,name=value, each name once, not {part!r}")
        pairs[name] = value
    return pairs


def reasons(config: OrangeConfig, setting: str) -> Mapping[str, FailureReason]:
    """A table of codes with our reasons for them. Raises ValueError naming the setting."""
    known: dict[str, FailureReason] = {reason: reason for reason in get_args(FailureReason)}
    codes = paired(config, setting)
    wrong = sorted(set(codes.values()) - set(known))
    if wrong:
        raise ValueError(f"{setting}: {wrong[0]!r} is no reason; there are {', '.join(known)}")
    return {code: known[reason] for code, reason in codes.items()}
