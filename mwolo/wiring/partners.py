"""Settings, stores and partners of one process, each built when it is first asked for."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from core import settings as settings_module
from core.clock_offset import clock_for
from core.db import Database
from core.kernel.clock import Clock
from core.settings import BadSetting, Settings
from mwolo import logs

if TYPE_CHECKING:
    from redis import Redis

    from channels.sms.gateway import SmsAggregator
    from channels.ussd.sessions import SessionStore
    from channels.wallets.sessions import SessionStore as WalletSessionStore
    from core.notices.ports import EmailGateway
    from core.payments.ports import Wallet
    from core.sealing import Sealer

# A worker may wait longer for SQLite's one writer than a customer can.
WORKER_BUSY_S = 20.0
REDIS_TIMEOUT_S = 2.0


class Partners:
    """Settings, stores and partners: what everything else is built on."""

    def __init__(self, settings: Settings, *, busy_timeout_s: float = WORKER_BUSY_S) -> None:
        self.settings = settings
        self._busy_timeout_s = busy_timeout_s

    @classmethod
    def from_environment(cls, *, busy_timeout_s: float = WORKER_BUSY_S) -> Self:
        """Read the settings and set up the logs. Raises BadSetting."""
        settings = settings_module.read()
        secrets = (
            settings.key,
            *(value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)),
            *settings.ussd_secrets.split(","),
            *settings.sms_secrets.split(","),
            *settings.hook_secrets.split(","),
            *settings.email_secrets.split(","),
        )
        logs.set_up(settings.log_level, settings.log_format, secrets)
        return cls(settings, busy_timeout_s=busy_timeout_s)

    # -- stores

    @cached_property
    def db(self) -> Database:
        return Database(
            self.settings.database_url,
            busy_timeout_s=self._busy_timeout_s,
            pool_size=20,
            info={"short_code": self.settings.short_code},
        )

    @cached_property
    def clock(self) -> Clock:
        return clock_for(self.db, movable=bool(self.settings.sandbox_url))

    @cached_property
    def redis(self) -> Redis:
        """For RQ: a blocking pop waits long, so no read timeout here."""
        from redis import Redis

        return Redis.from_url(self.settings.redis_url, socket_connect_timeout=REDIS_TIMEOUT_S)

    @cached_property
    def turn_redis(self) -> Redis:
        """For turns: a customer waits, so this one gives up soon."""
        from channels.ussd.sessions import connect

        return connect(self.settings.redis_url)

    @cached_property
    def sealer(self) -> Sealer:
        from core.sealing import Sealer

        return Sealer(self.settings.key)

    # -- partners

    @cached_property
    def wallets(self) -> dict[str, Wallet]:
        """Those with credentials. A wallet without any is not offered; one that is half configured is a BadSetting."""
        from channels.wallets import registry
        from core.partner_http import PartnerHttp

        built: dict[str, Wallet] = {}
        for name, entry in registry.WALLETS.items():
            if not self._wallet_setting(name, entry.configured_by):
                continue
            values = {f.name: self._wallet_setting(name, f.name) for f in dataclasses.fields(entry.config)}
            try:
                config = entry.config(**values)
                shared = {"session_store": self._session_store(name)} if entry.shares_sessions else {}
                built[name] = registry.build(name, config, http=PartnerHttp(name), clock=self.clock, **shared)
            except ValueError as error:
                raise BadSetting(f"MWOLO_{name.upper()}_* is wrong: {error}.") from error
        return built

    def _session_store(self, name: str) -> WalletSessionStore:
        from channels.wallets.session_store import RedisSessionStore

        return RedisSessionStore(self.turn_redis, self.sealer, name)

    @cached_property
    def callback_bases(self) -> dict[str, str]:
        """wallet → the address of its door, without the kind. The first secret is the one given out."""
        from channels.wallets.registry import slug_of

        if not self.wallets:
            return {}
        secret = self.settings.secrets_for("hook")[0]
        public = self.settings.public_url.rstrip("/")
        return {name: f"{public}/hooks/{slug_of(name, self.settings.key)}/{secret}" for name in self.wallets}

    def _wallet_setting(self, name: str, field: str) -> object:
        """What the settings say of one field of a wallet's configuration, read where it is text for something else."""
        value = getattr(self.settings, f"{name}_{field}_read", None)
        if value is None:
            value = getattr(self.settings, f"{name}_{field}")
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    @cached_property
    def sms_aggregators(self) -> dict[str, SmsAggregator]:
        from channels.sms.gateways.africastalking import AfricasTalkingSmsConfig
        from channels.sms.registry import GATEWAYS
        from core.partner_http import PartnerHttp

        s = self.settings
        if not s.africastalking_username:
            return {}
        config = AfricasTalkingSmsConfig(
            username=s.africastalking_username,
            api_key=s.africastalking_api_key.get_secret_value(),
            sender_id=s.africastalking_sender_id or None,
            base_url=s.africastalking_base_url or None,
        )
        return {"africastalking": GATEWAYS["africastalking"](config, PartnerHttp("africastalking"))}

    @cached_property
    def email_gateway(self) -> EmailGateway | None:
        """None where no mail server is set up."""
        from channels.email.registry import GATEWAYS
        from channels.email.smtp import SmtpConfig

        s = self.settings
        if not s.smtp_host:
            return None
        try:
            config = SmtpConfig(
                host=s.smtp_host,
                sender=s.smtp_from,
                port=s.smtp_port,
                security=s.smtp_security,
                user=s.smtp_user,
                password=s.smtp_password.get_secret_value(),
                bounces_to=s.smtp_bounces_to,
                timeout_s=float(s.smtp_timeout_s),
            )
        except ValueError as error:
            raise BadSetting(f"MWOLO_SMTP_* is wrong: {error}.") from error
        gateway: EmailGateway = GATEWAYS["smtp"](config)
        return gateway

    @cached_property
    def ussd_sessions(self) -> SessionStore:
        from channels.ussd.sessions import SessionStore

        return SessionStore(self.turn_redis, self.settings.key.encode())
