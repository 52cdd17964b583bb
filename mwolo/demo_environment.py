"""What the processes of a demo are told: addresses, and the secrets that product and sandbox share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from channels.wallets.registry import WALLETS, slug_of
from mwolo.sandbox.operators.orange_rules import FAILED_CODES, NOT_TAKEN_CODES

if TYPE_CHECKING:
    from mwolo.demo import Plan

# Kept in DATA/secrets.json, so that a second start is the same town.
SECRETS = (
    "secret_key",
    "ussd",
    "sms",
    "hook",
    "email",
    "admin_password",
    "finance_password",
    "api_token",
    "at_key",
    "vodacom_key",
    "pawapay_token",
    "airtel_secret",
    "airtel_callback_key",
    "orange_token",
    "daraja_secret",
    "daraja_passkey",
)
# What tests and curious people may turn; everything else the demo decides.
PASSED_ON = ("MWOLO_QUERY_", "MWOLO_LEASE_", "MWOLO_SANDBOX_PROMPT", "MWOLO_PUSH_", "MWOLO_LOG_")
# A Vodacom session takes up to 30 s to live in the world; two are enough to meet the case.
SESSION_WARMUP_S = 2
# Safaricom's own test short code; Orange's numbers are invented.
SHORT_CODE, PARTNER, MERCHANTS = "174379", "449", {"CDF": "0890033477", "USD": "0890033478"}


def environment(plan: Plan) -> dict[str, str]:
    """The environment of every process; a database of the caller's own is used, the rest is the demo's."""
    given = {name: os.environ[name] for name in ("MWOLO_DATABASE_URL",) if name in os.environ}
    return {
        **_product(plan),
        **_wallets(plan),
        **_sandbox(plan),
        **_operators(plan, callbacks(plan)),
        **given,
        **{name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
    }


def callbacks(plan: Plan) -> dict[str, str]:
    """wallet → the address of its door, without the kind."""
    key, secret = plan.kept["secret_key"], plan.kept["hook"]
    return {name: f"{plan.web}/hooks/{slug_of(name, key)}/{secret}" for name in WALLETS}


def _product(plan: Plan) -> dict[str, str]:
    kept = plan.kept
    return {
        "MWOLO_DATABASE_URL": f"sqlite:///{plan.data / 'mwolo.db'}",
        "MWOLO_SECRET_KEY": kept["secret_key"],
        "MWOLO_PUBLIC_URL": plan.web,
        "MWOLO_DOCUMENTS_DIR": str(plan.data / "documents"),
        "MWOLO_USSD_SECRETS": kept["ussd"],
        "MWOLO_SMS_SECRETS": kept["sms"],
        "MWOLO_HOOK_SECRETS": kept["hook"],
        "MWOLO_EMAIL_SECRETS": kept["email"],
        "MWOLO_SMTP_HOST": "127.0.0.1",
        "MWOLO_SMTP_PORT": str(plan.smtp_port),
        "MWOLO_SMTP_SECURITY": "none",
        "MWOLO_SMTP_FROM": "Mwolo Energie <factures@mwolo.example>",
        "MWOLO_COOKIE_SECURE": "false",
        "MWOLO_SANDBOX_URL": plan.sandbox,
        "MWOLO_AFRICASTALKING_USERNAME": "sandbox",
        "MWOLO_AFRICASTALKING_API_KEY": kept["at_key"],
        "MWOLO_AFRICASTALKING_BASE_URL": f"{plan.sandbox}/africastalking",
        "MWOLO_LOG_FORMAT": "text",
    }


def _wallets(plan: Plan) -> dict[str, str]:
    """Every wallet has credentials; who is asked first is left to the usual routes."""
    kept = plan.kept
    return {
        "MWOLO_VODACOM_API_KEY": kept["vodacom_key"],
        "MWOLO_VODACOM_BASE_URL": f"{plan.sandbox}/vodacom",
        "MWOLO_VODACOM_MODE": plan.vodacom_mode,
        "MWOLO_VODACOM_SESSION_WARMUP_S": str(SESSION_WARMUP_S + 1),
        "MWOLO_PAWAPAY_API_TOKEN": kept["pawapay_token"],
        "MWOLO_PAWAPAY_BASE_URL": f"{plan.sandbox}/pawapay",
        "MWOLO_AIRTEL_CLIENT_ID": "sandbox-airtel",
        "MWOLO_AIRTEL_CLIENT_SECRET": kept["airtel_secret"],
        "MWOLO_AIRTEL_BASE_URL": f"{plan.sandbox}/airtel",
        "MWOLO_AIRTEL_CALLBACK_HASH": "transaction",
        "MWOLO_AIRTEL_CALLBACK_KEY": kept["airtel_callback_key"],
        "MWOLO_ORANGE_BASE_URL": f"{plan.sandbox}/orange-om",
        "MWOLO_ORANGE_API": "soap",
        "MWOLO_ORANGE_BEARER_TOKEN": kept["orange_token"],
        "MWOLO_ORANGE_PARTNER_ID": PARTNER,
        "MWOLO_ORANGE_MERCHANT_CDF": MERCHANTS["CDF"],
        "MWOLO_ORANGE_MERCHANT_USD": MERCHANTS["USD"],
        # The box's own codes for what nobody outside Orange knows how to spell: told, as after a go-live.
        "MWOLO_ORANGE_STATUS_FAILED_CODES": FAILED_CODES,
        "MWOLO_ORANGE_START_NOT_TAKEN_CODES": NOT_TAKEN_CODES,
        "MWOLO_MPESA_KE_BASE_URL": f"{plan.sandbox}/daraja",
        "MWOLO_MPESA_KE_CONSUMER_KEY": "sandbox-daraja",
        "MWOLO_MPESA_KE_CONSUMER_SECRET": kept["daraja_secret"],
        "MWOLO_MPESA_KE_PASSKEY": kept["daraja_passkey"],
        "MWOLO_MPESA_KE_SHORT_CODE": SHORT_CODE,
    }


def _sandbox(plan: Plan) -> dict[str, str]:
    kept, ussd, sms = plan.kept, f"{plan.web}/ussd/africastalking", f"{plan.web}/sms/africastalking"
    return {
        "MWOLO_SANDBOX_DATA_DIR": str(plan.data / "sandbox"),
        "MWOLO_SANDBOX_USSD_URL": f"{ussd}/{kept['ussd']}",
        "MWOLO_SANDBOX_USSD_END_URL": f"{ussd}/{kept['ussd']}/end",
        "MWOLO_SANDBOX_SMS_DELIVERY_URL": f"{sms}/{kept['sms']}/delivery",
        "MWOLO_SANDBOX_SMS_INBOUND_URL": f"{sms}/{kept['sms']}/inbound",
        "MWOLO_SANDBOX_EMAIL_INBOUND_URL": f"{plan.web}/email/{kept['email']}/inbound",
        "MWOLO_SANDBOX_SMTP_PORT": str(plan.smtp_port),
        "MWOLO_SANDBOX_ADMIN_URL": f"{plan.web}/admin/",
        "MWOLO_SANDBOX_WEB_URL": plan.web,
        "MWOLO_SANDBOX_AT_USERNAME": "sandbox",
        "MWOLO_SANDBOX_AT_API_KEY": kept["at_key"],
        "MWOLO_SANDBOX_SESSION_WARMUP_S": str(SESSION_WARMUP_S),
    }


def _operators(plan: Plan, doors: Mapping[str, str]) -> dict[str, str]:
    """The operators' side of the same contracts."""
    kept = plan.kept
    told = {f"MWOLO_SANDBOX_{name.upper()}_CALLBACK_URL": f"{door}/callback" for name, door in doors.items()}
    # Daraja is told with each request where to call back; the addresses of the bill number are registered once.
    told.pop("MWOLO_SANDBOX_MPESA_KE_CALLBACK_URL")
    return {
        **told,
        "MWOLO_SANDBOX_VODACOM_API_KEY": kept["vodacom_key"],
        "MWOLO_SANDBOX_VODACOM_MODE": plan.vodacom_mode,
        "MWOLO_SANDBOX_PAWAPAY_TOKEN": kept["pawapay_token"],
        "MWOLO_SANDBOX_AIRTEL_CLIENT_ID": "sandbox-airtel",
        "MWOLO_SANDBOX_AIRTEL_CLIENT_SECRET": kept["airtel_secret"],
        "MWOLO_SANDBOX_AIRTEL_CALLBACK_KEY": kept["airtel_callback_key"],
        "MWOLO_SANDBOX_AIRTEL_CALLBACK_HASH": "transaction",
        "MWOLO_SANDBOX_ORANGE_TOKEN": kept["orange_token"],
        "MWOLO_SANDBOX_ORANGE_PARTNER_ID": PARTNER,
        "MWOLO_SANDBOX_ORANGE_MERCHANT_CDF": MERCHANTS["CDF"],
        "MWOLO_SANDBOX_ORANGE_MERCHANT_USD": MERCHANTS["USD"],
        "MWOLO_SANDBOX_DARAJA_CONSUMER_KEY": "sandbox-daraja",
        "MWOLO_SANDBOX_DARAJA_CONSUMER_SECRET": kept["daraja_secret"],
        "MWOLO_SANDBOX_DARAJA_PASSKEY": kept["daraja_passkey"],
        "MWOLO_SANDBOX_DARAJA_SHORT_CODE": SHORT_CODE,
        "MWOLO_SANDBOX_DARAJA_VALIDATE_URL": f"{doors['mpesa_ke']}/validate",
        "MWOLO_SANDBOX_DARAJA_CONFIRM_URL": f"{doors['mpesa_ke']}/confirm",
    }
