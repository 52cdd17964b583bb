"""Every setting of the product, read once from the environment. `docs/settings.md` lists them; a test compares.

A wrong or missing one is one sentence that names the variable (`BadSetting`); the command line then exits with code 2.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.kernel.errors import ServiceError
from core.kernel.money import BadAmount, Money

PREFIX = "MWOLO_"

# The menu is proven to fit 160 septets, and no network shows more than a USSD string holds.
_NETWORK = re.compile(r"[0-9A-Za-z]{1,12}=1(6[0-9]|7[0-9]|8[0-2])a?")


class BadSetting(ServiceError):
    """A setting is missing or makes no sense. The message is a whole sentence and names the variable."""


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in _comma_list(text))}


def _amounts(text: str) -> dict[str, int]:
    """currency → minor units. Raises ValueError with the rest of a sentence that begins with the variable's name."""
    found: dict[str, int] = {}
    for part in _comma_list(text):
        currency, sign, amount = part.partition("=")
        try:
            if not sign:
                raise BadAmount(part)
            found[currency] = Money.parse(amount, currency).minor
        except BadAmount as error:
            raise ValueError("must look like CDF=2000,USD=1") from error
    return found


class Settings(BaseSettings):
    """The environment, typed. Field `database_url` is the variable MWOLO_DATABASE_URL, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    # Where things are
    database_url: str = Field("sqlite:///mwolo.db", description="PostgreSQL or SQLite, as SQLAlchemy writes it")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey; unix:// works")
    mqtt_url: str = Field(
        "mqtt://127.0.0.1:1883", description="mqtt:// or mqtts://, user and password if any, ?protocol=3.1.1, ?ca=file"
    )
    public_url: str = Field("http://127.0.0.1:8000", description="how partners and customers reach us")
    documents_dir: str = Field("documents", description="folder for PDF documents")

    # Who we are
    secret_key: SecretStr = Field(
        SecretStr(""), description="at least 32 characters; signs cookies and seals meter keys", validate_default=True
    )
    utility_name: str = Field("Mwolo Energie", description="on papers and pages")
    utility_topic: str = Field("mwolo", description="first level of every MQTT topic")
    short_code: str = Field("*123#", description="what customers dial")
    ussd_networks: str = Field(
        "", description="septets a network shows: `code=160,code=182a`; `a`: without accents; others: 160"
    )
    sms_codes: str = Field("", description="numbers people text to, comma-separated; empty: whatever comes is for us")

    # Doors: several secrets are valid at once, so that one can be rotated
    ussd_secrets: str = Field("", description="secret path segments of the USSD callback, comma-separated")
    sms_secrets: str = Field("", description="secret path segments of the SMS callbacks, comma-separated")
    hook_secrets: str = Field("", description="secret path segments of the wallet callbacks, comma-separated")
    email_secrets: str = Field("", description="secret path segments of the door for returned e-mails, comma-separated")
    hook_sources: str = Field(
        "", description="networks a wallet's callbacks may come from: `wallet=net|net,...`; a wallet not named: any"
    )
    trusted_proxies: int = Field(0, ge=0, le=5, description="how many reverse proxies stand before the web process")
    cookie_secure: bool = Field(True, description="false only where the console is not served over https")

    # Money
    wallet_routes: str = Field(
        "mpesa=vodacom|pawapay|mpesa_ke,airtel=airtel|pawapay,orange=orange|pawapay",
        description="which wallets collect for which brand; the first that is set up, takes the currency and is well",
    )
    push_delay_s: float = Field(3.0, ge=0, le=30, description="seconds between the end of a turn and the request")
    query_scale: float = Field(1.0, gt=0, le=10, description="stretches every query and retry schedule; 1 is real")
    lease_scale: float = Field(1.0, gt=0, le=10, description="stretches every lease; 1 is real")

    # Prepaid radio meters: in units of each currency
    prepaid_low: str = Field("CDF=2000,USD=1", description="a credit down to here is told by SMS, once")
    prepaid_emergency: str = Field(
        "CDF=1000,USD=0.5", description="how far below zero a credit may go before supply is switched off"
    )

    # E-mail
    smtp_host: str = Field("", description="mail server that takes our e-mails on; empty: none are sent")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port: 587 with starttls, 465 with tls")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` only where nobody can listen; a password is refused with it"
    )
    smtp_user: str = Field("", description="name to log in with; empty: without logging in")
    smtp_password: SecretStr = Field(SecretStr(""), description="its password")
    smtp_from: str = Field("", description="who writes: `Name <address>`")
    smtp_bounces_to: str = Field("", description="address for reports of non-delivery; empty: that of the sender")
    smtp_timeout_s: int = Field(30, ge=1, le=50, description="how long one answer of the mail server may take")

    # Partners
    africastalking_username: str = Field("", description="Africa's Talking user name; `sandbox` for theirs")
    africastalking_api_key: SecretStr = Field(SecretStr(""), description="Africa's Talking API key")
    africastalking_base_url: str = Field("", description="other than Africa's Talking's own address; empty: theirs")
    africastalking_sender_id: str = Field("", description="registered sender name; empty: the shared one")
    vodacom_api_key: SecretStr = Field(SecretStr(""), description="M-Pesa OpenAPI application key")
    vodacom_public_key: str = Field("", description="M-Pesa OpenAPI public key of the environment, base64 DER")
    vodacom_base_url: str = Field("https://openapi.m-pesa.com", description="M-Pesa OpenAPI address")
    vodacom_environment: Literal["sandbox", "openapi"] = Field("sandbox", description="`openapi` is production")
    vodacom_market: str = Field("vodacomDRC", description="market in the path")
    vodacom_country: str = Field("DRC", description="the market's own country letters, not ISO")
    vodacom_origin: str = Field("*", description="registered origin")
    vodacom_service_provider_code: str = Field("000000", description="the utility's short code at M-Pesa")
    vodacom_mode: Literal["sync", "async"] = Field("sync", description="as the application is configured")
    vodacom_session_warmup_s: int = Field(30, ge=0, le=120, description="a new session takes so long to live")
    vodacom_refund_timeout_s: int = Field(60, ge=1, le=120, description="a reversal")
    vodacom_calls_per_minute: int = Field(600, ge=1, description="calls to Vodacom by all processes together")
    vodacom_session_lifetime_s: int = Field(3600, ge=60, description="as the application is configured")
    vodacom_sync_timeout_s: int = Field(120, ge=1, le=150, description="a synchronous request waits for the PIN")
    vodacom_async_timeout_s: int = Field(30, ge=1, le=60, description="an asynchronous request")
    vodacom_query_timeout_s: int = Field(30, ge=1, le=60, description="a status query")
    vodacom_session_timeout_s: int = Field(30, ge=1, le=60, description="a new session")
    pawapay_api_token: SecretStr = Field(SecretStr(""), description="pawaPay API token")
    pawapay_base_url: str = Field("https://api.sandbox.pawapay.io", description="pawaPay address")
    pawapay_public_authority: str = Field("", description="host under which pawaPay signs its callbacks to us")
    pawapay_providers: str = Field(
        "mpesa=VODACOM_MPESA_COD,airtel=AIRTEL_COD,orange=ORANGE_COD", description="pawaPay's provider of each brand"
    )
    pawapay_decimals: str = Field("CDF=0,USD=2", description="decimals pawaPay takes in each currency")
    pawapay_start_timeout_s: int = Field(30, ge=1, le=60, description="a deposit request")
    pawapay_query_timeout_s: int = Field(30, ge=1, le=60, description="a status query")
    pawapay_keys_timeout_s: int = Field(10, ge=1, le=60, description="fetching the keys that sign callbacks")
    pawapay_keys_lifetime_s: int = Field(86_400, ge=60, description="how long fetched keys are believed")
    pawapay_signature_window_s: int = Field(300, ge=1, le=3600, description="how old a signature may be on arrival")
    pawapay_statement_timeout_s: int = Field(120, ge=1, le=900, description="how long pawaPay may write a report")
    pawapay_statement_callback_url: str = Field("", description="where pawaPay tells that a report is ready")
    pawapay_calls_per_minute: int = Field(600, ge=1, description="calls to pawaPay by all processes together")
    airtel_client_id: str = Field("", description="Airtel application: client id")
    airtel_client_secret: SecretStr = Field(SecretStr(""), description="Airtel application: client secret")
    airtel_base_url: str = Field("https://openapi.airtel.cd", description="Airtel's address for the country")
    airtel_country: str = Field("CD", description="ISO letters of the country in Airtel's headers")
    airtel_version: Literal["v1", "v2"] = Field("v1", description="`v2` signs each message")
    airtel_callback_hash: Literal["off", "transaction", "wrapped", "raw"] = Field(
        "off", description="what the hash of a callback is made over"
    )
    airtel_callback_hash_key: Literal["callback_key", "client_secret"] = Field(
        "callback_key", description="with which key the hash of a callback is made"
    )
    airtel_callback_hash_required: bool = Field(True, description="refuse callbacks whose hash is wrong or missing")
    airtel_callback_key: SecretStr = Field(SecretStr(""), description="private key of Airtel's callback settings")
    airtel_callback_url: str = Field("", description="callback address registered at Airtel, for `wallets check`")
    airtel_start_timeout_s: int = Field(30, ge=1, le=60, description="a payment or refund request")
    airtel_query_timeout_s: int = Field(30, ge=1, le=60, description="a transaction enquiry")
    airtel_token_timeout_s: int = Field(20, ge=1, le=60, description="a new token")
    airtel_token_lifetime_s: int = Field(180, ge=30, description="of a token whose answer names none")
    airtel_keys_timeout_s: int = Field(20, ge=1, le=60, description="fetching the key for signing")
    airtel_keys_lifetime_s: int = Field(3600, ge=120, description="of a key whose answer names no end")
    airtel_calls_per_minute: int = Field(300, ge=1, description="calls to Airtel by all processes together")
    orange_base_url: str = Field("", description="address of Orange's gateway for the contract")
    orange_api: Literal["soap", "b2b"] = Field("soap", description="which of Orange's two APIs the contract is for")
    orange_calls_per_minute: int = Field(120, ge=1, description="calls to Orange by all processes together")
    orange_bearer_token: SecretStr = Field(SecretStr(""), description="Orange SOAP: token")
    orange_partner_id: str = Field("", description="Orange SOAP: PartnId")
    orange_merchant_cdf: str = Field("", description="Orange SOAP: our number for francs, 0 and nine digits")
    orange_merchant_usd: str = Field("", description="Orange SOAP: our number for dollars, 0 and nine digits")
    orange_soap_path: str = Field("/apigatewayom/apigwomService", description="Orange SOAP: path of the service")
    orange_soap_timeout_s: int = Field(60, ge=1, le=120, description="Orange SOAP: any call")
    orange_start_refused_codes: str = Field("", description="Orange SOAP: doS2M codes that refuse, code=reason")
    orange_start_not_taken_codes: str = Field("", description="Orange SOAP: doS2M codes after which one may ask again")
    orange_status_paid_codes: str = Field("200", description="Orange SOAP: doCheckTrans codes that mean paid")
    orange_status_pending_codes: str = Field("0", description="Orange SOAP: doCheckTrans codes that mean pending")
    orange_status_failed_codes: str = Field(
        "00084=configuration,60019=no_funds", description="Orange SOAP: doCheckTrans codes of a failure, code=reason"
    )
    orange_status_not_found_codes: str = Field("704", description="Orange SOAP: doCheckTrans codes for an unknown id")
    orange_client_id: str = Field("", description="Orange B2B: client id of the application")
    orange_client_secret: SecretStr = Field(SecretStr(""), description="Orange B2B: its secret")
    orange_b2b_pos_id: str = Field("", description="Orange B2B: our point of sale")
    orange_b2b_path: str = Field("/orange-money-b2b/v1/cd", description="Orange B2B: path before every call")
    orange_b2b_token_path: str = Field("/oauth/v3/token", description="Orange B2B: path of the token call")
    orange_b2b_cashout_path: str = Field("/transactions/cashout", description="Orange B2B: a customer pays")
    orange_b2b_cashin_path: str = Field("/transactions/cashin", description="Orange B2B: a refund")
    orange_b2b_status_path: str = Field("", description="Orange B2B: status call with {id}; empty: there is none")
    orange_b2b_decimals: str = Field("CDF=0", description="Orange B2B: currencies and their decimals")
    orange_b2b_refused_codes: str = Field("60=configuration", description="Orange B2B: codes that refuse, code=reason")
    orange_b2b_not_taken_codes: str = Field("", description="Orange B2B: codes after which one may ask again")
    orange_b2b_not_found_codes: str = Field("", description="Orange B2B: codes of a 404 that mean an unknown id")
    orange_b2b_callback_fields: str = Field(
        "own_id=partnerTransactionId,status=transactionStatus,provider_id=transactionId,"
        "amount=amount,currency=currency,error=errorCode,type=type",
        description="Orange B2B: where things stand in a callback",
    )
    orange_b2b_status_fields: str = Field(
        "own_id=transactionData.transactionId,status=status,provider_id=transactionData.txnId,"
        "amount=transactionData.amount,currency=transactionData.currency,error=errorCode",
        description="Orange B2B: where things stand in a status answer",
    )
    orange_b2b_words: str = Field(
        "SUCCESS=paid,PENDING=pending,FAILED=failed", description="Orange B2B: what their status words mean"
    )
    orange_b2b_believe_callback: bool = Field(False, description="Orange B2B: take an unsigned callback for proof")
    orange_b2b_timeout_s: int = Field(30, ge=1, le=60, description="Orange B2B: any call on money")
    orange_b2b_token_timeout_s: int = Field(30, ge=1, le=60, description="Orange B2B: a new token")
    mpesa_ke_consumer_key: SecretStr = Field(SecretStr(""), description="Daraja application: consumer key")
    mpesa_ke_consumer_secret: SecretStr = Field(SecretStr(""), description="Daraja application: consumer secret")
    mpesa_ke_passkey: SecretStr = Field(SecretStr(""), description="Daraja: passkey of the short code")
    mpesa_ke_base_url: str = Field("https://sandbox.safaricom.co.ke", description="Daraja address of the environment")
    mpesa_ke_short_code: str = Field("174379", description="the short code that asks: pay bill or head office")
    mpesa_ke_party_b: str = Field("", description="who receives: empty for the pay bill itself, else the till")
    mpesa_ke_transaction_type: Literal["CustomerPayBillOnline", "CustomerBuyGoodsOnline"] = Field(
        "CustomerPayBillOnline", description="as the short code was set up"
    )
    mpesa_ke_bill_number: str = Field("", description="short code that payers type; empty: the one that asks")
    mpesa_ke_c2b_version: Literal["v1", "v2"] = Field("v2", description="version of the bill number API in the app")
    mpesa_ke_c2b_default: Literal["Completed", "Cancelled"] = Field(
        "Completed", description="what M-Pesa does when we do not answer a validation in time"
    )
    mpesa_ke_token_timeout_s: int = Field(30, ge=1, le=60, description="a new token")
    mpesa_ke_start_timeout_s: int = Field(30, ge=1, le=60, description="an STK push")
    mpesa_ke_query_timeout_s: int = Field(30, ge=1, le=60, description="a status query, a registration")
    mpesa_ke_calls_per_minute: int = Field(120, ge=1, description="how often Daraja may be called by all processes")

    # Development
    sandbox_url: str = Field("", description="address of the sandbox; only `mwolo demo` and tests set it")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["json", "text"] = Field("json", description="one JSON object a line, or text for people")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("must be set to at least 32 random characters")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ValueError("must start with postgresql:// or sqlite:///")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @field_validator("mqtt_url")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        if not value.startswith(("mqtt://", "mqtts://")):
            raise ValueError("must start with mqtt:// or mqtts://")
        return value

    @field_validator("hook_sources")
    @classmethod
    def _readable_networks(cls, value: str) -> str:
        for part in _comma_list(value):
            name, sign, networks = part.partition("=")
            if not name or not sign:
                raise ValueError("must look like wallet=network|network,wallet=network")
            for network in networks.split("|"):
                try:
                    ip_network(network)
                except ValueError:
                    raise ValueError(f"names {network!r}, which is no network such as 196.201.214.0/24") from None
        return value

    @field_validator("ussd_networks")
    @classmethod
    def _shown_whole(cls, value: str) -> str:
        for part in _comma_list(value):
            if not _NETWORK.fullmatch(part):
                raise ValueError(f"names {part!r}, which is not like 63001=160 or 63002=182a (160 to 182 septets)")
        return value

    @field_validator("wallet_routes", "pawapay_providers", "pawapay_decimals")
    @classmethod
    def _readable_pairs(cls, value: str) -> str:
        if any(part.count("=") != 1 for part in _comma_list(value)):
            raise ValueError("must look like name=value,name=value")
        return value

    @field_validator("prepaid_low", "prepaid_emergency")
    @classmethod
    def _readable_amounts(cls, value: str) -> str:
        _amounts(value)
        return value

    @field_validator("pawapay_decimals")
    @classmethod
    def _known_decimals(cls, value: str) -> str:
        if any(decimals not in ("0", "2") for decimals in _pairs(value).values()):
            raise ValueError("must give 0 or 2 for each currency")
        return value

    @property
    def key(self) -> str:
        return self.secret_key.get_secret_value()

    @property
    def hook_networks(self) -> dict[str, tuple[IPv4Network | IPv6Network, ...]]:
        """wallet → the networks its callbacks may come from."""
        return {
            name: tuple(ip_network(part) for part in networks.split("|"))
            for name, networks in _pairs(self.hook_sources).items()
        }

    @property
    def networks(self) -> dict[str, tuple[int, bool]]:
        """A network's code → the septets it shows, and whether without accents."""
        return {
            code: (int(shows.rstrip("a")), shows.endswith("a")) for code, shows in _pairs(self.ussd_networks).items()
        }

    @property
    def routes(self) -> dict[str, tuple[str, ...]]:
        """brand → wallets that collect for it, the first that can."""
        return {brand: tuple(names.split("|")) for brand, names in _pairs(self.wallet_routes).items()}

    @property
    def prepaid_low_read(self) -> dict[str, int]:
        """currency → minor units."""
        return _amounts(self.prepaid_low)

    @property
    def prepaid_emergency_read(self) -> dict[str, int]:
        """currency → minor units."""
        return _amounts(self.prepaid_emergency)

    @property
    def pawapay_providers_read(self) -> dict[str, str]:
        """brand → pawaPay's provider."""
        return _pairs(self.pawapay_providers)

    @property
    def pawapay_decimals_read(self) -> dict[str, int]:
        """currency → decimals."""
        return {currency: int(decimals) for currency, decimals in _pairs(self.pawapay_decimals).items()}

    def secrets_for(self, door: Literal["ussd", "sms", "hook", "email"]) -> tuple[str, ...]:
        """The secrets valid at a door. Raises BadSetting when there is none: an open door is a mistake."""
        found = _comma_list(getattr(self, f"{door}_secrets"))
        if not found:
            raise BadSetting(f"{PREFIX}{door.upper()}_SECRETS is not set: the {door} callbacks need a secret.")
        return found


def read() -> Settings:
    """The settings of this process. Raises BadSetting: one sentence, naming the first variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else PREFIX.rstrip("_")
        words = str(first["msg"]).removeprefix("Value error, ")
        raise BadSetting(f"{name} {words[0].lower()}{words[1:]}.") from None
