"""The only place that builds things. A process takes what it needs; nothing is built before it is asked for.

Build it after a fork, never before: connections do not survive one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from core.outbox import Leased, Outcome
from mwolo.wiring.partners import WORKER_BUSY_S
from mwolo.wiring.services import Services

if TYPE_CHECKING:
    from channels.api import ApiParts
    from channels.sms.answering import Answering
    from channels.ussd.deeds import Deed
    from channels.ussd.turns import UssdTurns
    from core.services.invoice_papers import InvoicePapers
    from core.services.queues import Queues
    from meters.bridge import Bridge
    from workers.dispatch import Dispatcher
    from workers.executor import Handler, Runner
    from workers.schedule import Schedule

__all__ = ["WORKER_BUSY_S", "Wiring"]


class Wiring(Services):
    """One process's parts, by name: what people and partners meet, and what works behind it."""

    # -- doors

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

    @property
    def api_parts(self) -> ApiParts:
        from channels.api import ApiParts
        from core.services.enrolment import Enrolment
        from core.services.register import Register

        register = Register(self.db)
        return ApiParts(
            tokens=self.api_tokens,
            register=register,
            agencies=self.agencies,
            billing=self.billing,
            counter=self.counter,
            enrolment=Enrolment(self.db, self.clock, self.staff.audit),
            receipts=self.documents,
            papers=self.invoice_papers,
            links=self.links,
            readings=self.readings,
            clock=self.clock,
        )

    @cached_property
    def invoice_papers(self) -> InvoicePapers:
        from core.services.invoice_papers import InvoicePapers
        from core.services.register import Register

        return InvoicePapers(self.db, self.clock, Register(self.db), self.documents)

    # -- processes

    @cached_property
    def runner(self) -> Runner:
        from workers.executor import Runner

        return Runner(self.db, self.clock, self.handlers, lease_scale=self.settings.lease_scale)

    @cached_property
    def handlers(self) -> dict[str, Handler]:
        from workers import schedule
        from workers.jobs import billing, documents, email, imports, notices, payments, payroll, prepaid, refunds, texts

        return {
            **payments.handlers(self.payments),
            **refunds.handlers(self.refunds),
            **prepaid.handlers(self.prepaid),
            **notices.handlers(self.notices),
            **texts.handlers(self.sms_answering),
            **documents.handlers(self.documents),
            **billing.handlers(self.billing_orders),
            **email.handlers(self.emails),
            **imports.handlers(self.imports),
            **payroll.handlers(self.payroll),
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
            self.prepaid_use,
            self.dunning_desk.end_papers,
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
    def queues(self) -> Queues:
        from core.services.queues import Queues
        from workers.backstage import RqWatch

        return Queues(
            self.db,
            self.clock,
            self.staff.audit,
            plans=self.schedule.planned,
            # A person waits for the page: short timeouts.
            watch=RqWatch(self.turn_redis),
            ask_attempt=self.payments.ask_soon,
            ask_refund=self.refunds.ask_soon,
            lease_scale=self.settings.lease_scale,
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        from workers.dispatch import Dispatcher, SignOfLife
        from workers.rq_executor import RqExecutor

        alive = SignOfLife(self.db, self.clock)
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
                alive,
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
