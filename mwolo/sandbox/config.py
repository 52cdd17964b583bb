"""Where the box listens outwards, and what it shares with the product: keys, addresses, lifetimes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

PREFIX = "MWOLO_SANDBOX_"


class BadSandboxSetting(ValueError):
    """A setting cannot be read. The text is one sentence that names the variable."""


@dataclass(frozen=True)
class SandboxConfig:
    """Addresses of the product as the outside world knows them, and the secrets both sides share.

    `prompt_lifetime_s`: how long a PIN prompt stays on a phone. `session_warmup_s`: how long a new Vodacom session
    takes to become live (up to 30 s in the real world), `session_lifetime_s`: when it expires. `ussd_session_s`: when
    the network closes a USSD session. `callback_retry_s`: pause before a callback is repeated, doubled each time.
    `smtp_port`: where e-mails are taken on; 0: nowhere.
    """

    data_dir: Path
    short_code: str = "*123#"
    ussd_url: str = ""
    ussd_end_url: str = ""
    sms_delivery_url: str = ""
    sms_inbound_url: str = ""
    email_inbound_url: str = ""
    vodacom_callback_url: str = ""
    pawapay_callback_url: str = ""
    airtel_callback_url: str = ""
    orange_callback_url: str = ""
    admin_url: str = ""
    web_url: str = ""
    at_username: str = "sandbox"
    at_api_key: str = "sandbox-at-key"
    vodacom_api_key: str = "sandbox-vodacom-key"
    vodacom_mode: Literal["sync", "async"] = "sync"
    pawapay_token: str = "sandbox-pawapay-token"  # noqa: S105 (a key to a box of toys, the same for everybody)
    pawapay_signature: Literal["der", "raw"] = "der"
    airtel_client_id: str = "sandbox-airtel"
    airtel_client_secret: str = "sandbox-airtel-secret"  # noqa: S105 (as above)
    airtel_callback_key: str = "sandbox-airtel-callback-key"
    airtel_callback_hash: Literal["off", "transaction", "wrapped", "raw"] = "transaction"
    airtel_signing: Literal["optional", "required"] = "optional"
    airtel_token_s: float = 180.0
    daraja_consumer_key: str = "sandbox-daraja-key"
    daraja_consumer_secret: str = "sandbox-daraja-secret"  # noqa: S105
    daraja_passkey: str = "sandbox-daraja-passkey"
    daraja_short_code: str = "174379"
    daraja_validate_url: str = ""
    daraja_confirm_url: str = ""
    orange_token: str = "sandbox-orange-token"  # noqa: S105 (the same)
    orange_partner_id: str = "449"
    orange_merchant_cdf: str = "0890033477"
    orange_merchant_usd: str = "0890033478"
    orange_client_id: str = "sandbox-orange"
    orange_client_secret: str = "sandbox-orange-secret"  # noqa: S105 (the same)
    orange_pos_id: str = "MWOLO01"
    orange_token_s: float = 7200.0
    prompt_lifetime_s: float = 90.0
    session_warmup_s: float = 2.0
    session_lifetime_s: float = 3600.0
    ussd_session_s: float = 180.0
    ussd_answer_s: float = 10.0
    callback_retry_s: float = 1.0
    delivery_delay_s: float = 0.3
    scenario: str | None = None
    smtp_port: int = 0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> SandboxConfig:
        """Read `MWOLO_SANDBOX_<FIELD>` for every field. Raises BadSandboxSetting naming the variable."""
        env = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            text = env.get(name)
            if text is None:
                continue
            values[field.name] = _read(name, field.name, text)
        if "data_dir" not in values:
            raise BadSandboxSetting(f"{PREFIX}DATA_DIR is not set: the box needs a folder for its own database.")
        return cls(**cast(dict[str, "str"], values))  # type: ignore[arg-type]

    def to_env(self) -> dict[str, str]:
        """The environment `from_env` reads back: what starts the box as a process of its own."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {PREFIX + name.upper(): str(value) for name, value in pairs if value is not None}


_CHOICES = {
    "vodacom_mode": ("sync", "async"),
    "pawapay_signature": ("der", "raw"),
    "airtel_callback_hash": ("off", "transaction", "wrapped", "raw"),
    "airtel_signing": ("optional", "required"),
}


def _read(name: str, field: str, text: str) -> object:
    if field == "data_dir":
        return Path(text)
    if field.endswith("_s"):
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 10**7:
            raise BadSandboxSetting(f"{name} must be a number of seconds, 0 or more, not {text!r}.")
        return seconds
    if field == "smtp_port":
        if not (text.isdecimal() and int(text) <= 65535):
            raise BadSandboxSetting(f"{name} must be a port, not {text!r}.")
        return int(text)
    if field in _CHOICES and text not in _CHOICES[field]:
        raise BadSandboxSetting(f"{name} must be one of {', '.join(_CHOICES[field])}, not {text!r}.")
    return text
