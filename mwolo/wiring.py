"""The only place that builds things. A process takes what it needs; nothing is built before it is asked for.

Build it after a fork, never before: connections do not survive one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core import settings as settings_module
from core.clock_offset import clock_for
from core.db import Database
from core.kernel.clock import Clock
from core.outbox import Leased, Outcome
from core.settings import BadSetting, Settings
from mwolo import logs

if TYPE_CHECKING:
    from redis import Redis

    from channels.api import ApiParts
    from channels.sms.answering import Answering
    from channels.sms.gateway import SmsAggregator
    from channels.ussd.deeds import Deed
    from channels.ussd.sessions import SessionStore
    from channels.ussd.turns import UssdTurns
    from channels.wallets.sessions import SessionStore as WalletSessionStore
    from core.notices.ports import EmailGateway
    from core.payments.ports import Wallet
    from core.sealing import Sealer
    from core.services.agents import Agents
    from core.services.api_tokens import ApiTokens
    from core.services.billing import Billing
    from core.services.billing_run import BillingRun
    from core.services.cases import Cases
    from core.services.counter import Counter
    from core.services.credit_notes import CreditNotes
    from core.services.customers import Customers
    from core.services.desk import Desk
    from core.services.documents import Documents
    from core.services.emails import Emails
    from core.services.links import PhoneLinks
    from core.services.notices import Notices
    from core.services.payments import Payments
    from core.services.prepaid import Prepaid
    from core.services.promises import Promises
    from core.services.readings import Readings
    from core.services.reconciliation import Reconciliation
    from core.services.refunds import Refunds
    from core.services.routing import Routing
    from core.services.staff import Staff
    from core.services.supply import Supply
    from core.services.tariffs import Tariffs
    from core.services.turns import Turns
    from meters.bridge import Bridge
    from workers.dispatch import Dispatcher
    from workers.executor import Handler, Runner
    from workers.schedule import Schedule

# A worker may wait longer for SQLite's one writer than a customer can.
WORKER_BUSY_S = 20.0
REDIS_TIMEOUT_S = 2.0


class Wiring:
    """One process's parts, by name."""

    def __init__(self, settings: Settings, *, busy_timeout_s: float = WORKER_BUSY_S) -> None:
        self.settings = settings
        self._busy_timeout_s = busy_timeout_s

    @classmethod
    def from_environment(cls, *, busy_timeout_s: float = WORKER_BUSY_S) -> Wiring:
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

    @cached_property
    def ussd_deeds(self) -> dict[str, Deed]:
        """What screens have done, by name."""
        from channels.ussd.deeds import agents, cases, links, promises

        return {
            **agents.deeds(self.agents),
            **links.deeds(self.links),
            **promises.deeds(self.promises),
            **cases.deeds(self.cases),
        }

    def ussd_turns(self, count: Callable[[str], None]) -> UssdTurns:
        from channels.ussd.menu.fit import Network
        from channels.ussd.menu.journeys import menu
        from channels.ussd.turns import UssdTurns

        return UssdTurns(
            self.ussd_sessions,
            menu(),
            self.customers,
            self.payments,
            self.clock,
            deeds=self.ussd_deeds,
            brand_of=self.routing.brand_of,
            networks={code: Network(*shows) for code, shows in self.settings.networks.items()},
            count=count,
        )

    # -- services

    @cached_property
    def payments(self) -> Payments:
        from channels.ussd.sessions import RedisOpenSessions
        from core.services.payments import Payments
        from workers.turnstile import RedisTurnstile

        s = self.settings
        return Payments(
            self.db,
            self.clock,
            self.wallets,
            s.routes,
            RedisOpenSessions(self.ussd_sessions, self.turn_redis),
            query_scale=s.query_scale,
            push_delay_s=s.push_delay_s,
            callback_bases=self.callback_bases,
            turnstile=RedisTurnstile(self.turn_redis),
        )

    @cached_property
    def refunds(self) -> Refunds:
        from core.services.refunds import Refunds
        from workers.turnstile import RedisTurnstile

        return Refunds(
            self.db,
            self.clock,
            self.wallets,
            query_scale=self.settings.query_scale,
            callback_bases=self.callback_bases,
            turnstile=RedisTurnstile(self.turn_redis),
        )

    @cached_property
    def reconciliation(self) -> Reconciliation:
        from core.services.reconciliation import Reconciliation

        return Reconciliation(self.db, self.clock, self.wallets, self.payments)

    @cached_property
    def agents(self) -> Agents:
        from core.services.agents import Agents

        return Agents(self.db, self.clock, self.staff.audit)

    @cached_property
    def links(self) -> PhoneLinks:
        from core.services.links import PhoneLinks

        return PhoneLinks(self.db, self.clock, self.staff.audit)

    @cached_property
    def cases(self) -> Cases:
        from core.services.cases import Cases

        return Cases(self.db, self.clock)

    @cached_property
    def promises(self) -> Promises:
        from core.services.promises import Promises

        return Promises(self.db, self.clock)

    @cached_property
    def prepaid(self) -> Prepaid:
        from core.services.prepaid import Prepaid
        from meters.registry import TOKEN_MAKERS

        return Prepaid(self.db, self.clock, self.sealer, TOKEN_MAKERS)

    @cached_property
    def routing(self) -> Routing:
        from core.services.routing import Routing

        return Routing(self.db, self.clock, self.staff.audit)

    @cached_property
    def notices(self) -> Notices:
        from core.services.notices import Notices

        return Notices(self.db, self.clock, list(self.sms_aggregators.values()))

    @cached_property
    def sms_answering(self) -> Answering:
        from channels.sms.answering import Answering
        from channels.sms.command import Doors
        from core.services.inbox import Inbox

        s = self.settings
        codes = tuple(code for code in s.sms_codes.split(",") if code.strip())
        return Answering(
            Inbox(self.db, self.clock),
            self.customers,
            Doors(self.payments, self.documents, self.routing.brand_of),
            codes=codes,
            ourselves=(s.africastalking_sender_id, s.short_code, *codes),
            renew=(self.payments.circuits.refresh, self.routing.refresh),
        )

    @cached_property
    def billing(self) -> Billing:
        from core.services.billing import Billing

        return Billing(self.db, self.clock)

    @cached_property
    def tariffs(self) -> Tariffs:
        from core.services.tariffs import Tariffs

        return Tariffs(self.db, self.clock)

    @cached_property
    def readings(self) -> Readings:
        from core.services.readings import Readings

        return Readings(self.db, self.clock)

    @cached_property
    def billing_run(self) -> BillingRun:
        from core.services.billing_run import BillingRun

        return BillingRun(self.db, self.clock, self.billing)

    @cached_property
    def credit_notes(self) -> CreditNotes:
        from core.services.credit_notes import CreditNotes

        return CreditNotes(self.db, self.clock)

    @cached_property
    def supply(self) -> Supply:
        from core.services.supply import Supply, SupplySettings
        from core.settlement.dunning import off_still_due
        from core.settlement.offs import off_holds

        return Supply(
            self.db,
            self.clock,
            sealer=self.sealer,
            off_still_due=off_still_due,
            off_holds=off_holds,
            settings=SupplySettings(retry_scale=self.settings.query_scale),
        )

    @cached_property
    def customers(self) -> Customers:
        from core.services.customers import Customers

        return Customers(self.db, self.clock)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        from core.services.api_tokens import ApiTokens

        return ApiTokens(self.db, self.clock, self.staff.audit)

    @cached_property
    def counter(self) -> Counter:
        from core.services.counter import Counter

        return Counter(self.db, self.clock, self.staff.audit)

    @property
    def api_parts(self) -> ApiParts:
        from channels.api import ApiParts
        from core.services.enrolment import Enrolment
        from core.services.invoice_papers import InvoicePapers
        from core.services.register import Register

        register = Register(self.db)
        return ApiParts(
            tokens=self.api_tokens,
            register=register,
            billing=self.billing,
            counter=self.counter,
            enrolment=Enrolment(self.db, self.clock, self.staff.audit),
            receipts=self.documents,
            papers=InvoicePapers(self.db, self.clock, register, self.documents),
            links=self.links,
            readings=self.readings,
            clock=self.clock,
        )

    @cached_property
    def turns(self) -> Turns:
        from core.services.turns import Turns

        return Turns(self.db)

    @cached_property
    def staff(self) -> Staff:
        from core.services.staff import Staff

        return Staff(self.db, self.clock, self.settings.key)

    @cached_property
    def desk(self) -> Desk:
        from core.services.desk import Desk

        return Desk(self.db, self.clock)

    @cached_property
    def documents(self) -> Documents:
        from core.documents.store import FolderStore
        from core.services.documents import Documents

        return Documents(
            self.db,
            self.clock,
            FolderStore(self.settings.documents_dir),
            verify_base_url=self.settings.public_url,
            utility=self.settings.utility_name,
            short_code=self.settings.short_code,
        )

    @cached_property
    def emails(self) -> Emails:
        from core.services.emails import Emails

        return Emails(self.db, self.clock, self.email_gateway, self.documents.paper, utility=self.settings.utility_name)

    # -- processes

    @cached_property
    def runner(self) -> Runner:
        from workers.executor import Runner

        return Runner(self.db, self.clock, self.handlers, lease_scale=self.settings.lease_scale)

    @cached_property
    def handlers(self) -> dict[str, Handler]:
        from workers import schedule
        from workers.jobs import documents, email, notices, payments, prepaid, refunds, texts

        return {
            **payments.handlers(self.payments),
            **refunds.handlers(self.refunds),
            **prepaid.handlers(self.prepaid),
            **notices.handlers(self.notices),
            **texts.handlers(self.sms_answering),
            **documents.handlers(self.documents),
            **email.handlers(self.emails),
            **schedule.handlers(self.db, self.clock, self.scheduled_runs),
        }

    @property
    def scheduled_runs(self) -> dict[str, Callable[[Leased], Outcome]]:
        from workers.jobs import schedule

        return schedule.runs(
            self.billing,
            self.supply,
            self.reconciliation,
            self.agents,
            self.promises,
            self._check_ledger,
            lambda: self.turns.forget_deeds(self.clock.now()),
        )

    def _check_ledger(self) -> str:
        """Recompute every cached balance. A difference is an alarm: an error in the log that monitoring looks for."""
        import structlog

        from core.ledger.queries import differences

        with self.db.snapshot() as session:
            found = differences(session)
        if found:
            structlog.get_logger(__name__).critical("ledger.difference", found=[str(d) for d in found[:20]])
        return f"{len(found)} differences"

    @cached_property
    def schedule(self) -> Schedule:
        from workers.schedule import Schedule

        return Schedule(self.db, self.clock)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        from workers.dispatch import Dispatcher
        from workers.rq_executor import RqExecutor

        return Dispatcher(
            self.db,
            self.clock,
            RqExecutor(self.redis),
            self.payments,
            self.schedule,
            chores=(
                self._drain_turns,
                self.payments.rescue_stuck,
                self.refunds.stage_due_queries,
                self.refunds.rescue_stuck,
            ),
            lease_scale=self.settings.lease_scale,
        )

    def _drain_turns(self) -> None:
        from channels.ussd.journal import drain

        drain(self.turn_redis, self.turns)

    @cached_property
    def bridge(self) -> Bridge:
        from meters.bridge import Bridge, BridgeConfig

        config = BridgeConfig(self.settings.mqtt_url, self.settings.utility_topic)
        return Bridge(self.supply, config, self.readings)
