"""The services that channels, workers and console call."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mwolo.wiring.partners import Partners

if TYPE_CHECKING:
    from core.services.agencies import Agencies
    from core.services.agents import Agents
    from core.services.api_tokens import ApiTokens
    from core.services.billing import Billing
    from core.services.billing_orders import BillingOrders
    from core.services.billing_run import BillingRun
    from core.services.cases import Cases
    from core.services.counter import Counter
    from core.services.credit_notes import CreditNotes
    from core.services.customers import Customers
    from core.services.desk import Desk
    from core.services.documents import Documents
    from core.services.dunning_desk import DunningDesk
    from core.services.dunning_policies import DunningPolicies
    from core.services.emails import Emails
    from core.services.foresight import Foresight
    from core.services.imports import Imports
    from core.services.links import PhoneLinks
    from core.services.notices import Notices
    from core.services.payments import Payments
    from core.services.payroll import Payroll
    from core.services.places import Places
    from core.services.prepaid import Prepaid
    from core.services.prepaid_use import PrepaidUse
    from core.services.promises import Promises
    from core.services.readings import Readings
    from core.services.reconciliation import Reconciliation
    from core.services.refunds import Refunds
    from core.services.routing import Routing
    from core.services.staff import Staff
    from core.services.supply import Supply
    from core.services.tariffs import Tariffs
    from core.services.turns import Turns


class Services(Partners):
    """Core's services over one process's stores and partners."""

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
    def places(self) -> Places:
        from core.services.places import Places

        return Places(self.db)

    @cached_property
    def agencies(self) -> Agencies:
        from core.services.agencies import Agencies

        return Agencies(self.db, self.clock, self.staff.audit)

    @cached_property
    def imports(self) -> Imports:
        from core.services.imports import Imports

        return Imports(self.db, self.clock, self.staff.audit)

    @cached_property
    def foresight(self) -> Foresight:
        from core.services.foresight import Foresight

        return Foresight(self.db, self.clock)

    @cached_property
    def dunning_desk(self) -> DunningDesk:
        from core.services.dunning_desk import DunningDesk

        return DunningDesk(self.db, self.clock)

    @cached_property
    def dunning_policies(self) -> DunningPolicies:
        from core.services.dunning_policies import DunningPolicies

        return DunningPolicies(self.db, self.clock)

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
    def prepaid_use(self) -> PrepaidUse:
        from core.services.prepaid_use import PrepaidUse, UseSettings

        s = self.settings
        return PrepaidUse(self.db, self.clock, UseSettings(s.prepaid_low_read, s.prepaid_emergency_read))

    @cached_property
    def routing(self) -> Routing:
        from core.services.routing import Routing

        return Routing(self.db, self.clock, self.staff.audit)

    @cached_property
    def notices(self) -> Notices:
        from core.services.notices import Notices

        return Notices(self.db, self.clock, list(self.sms_aggregators.values()))

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
    def billing_orders(self) -> BillingOrders:
        from core.services.billing_orders import BillingOrders

        return BillingOrders(self.db, self.clock, self.billing_run, self.staff.audit)

    @cached_property
    def credit_notes(self) -> CreditNotes:
        from core.services.credit_notes import CreditNotes

        return CreditNotes(self.db, self.clock)

    @cached_property
    def supply(self) -> Supply:
        from core.services.supply import Supply, SupplySettings

        return Supply(
            self.db,
            self.clock,
            sealer=self.sealer,
            off_still_due=self.prepaid_use.off.still_due,
            off_holds=self.prepaid_use.off.holds,
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
        from core.payroll.papers import payslip_facts
        from core.services.documents import Documents

        return Documents(
            self.db,
            self.clock,
            FolderStore(self.settings.documents_dir),
            verify_base_url=self.settings.public_url,
            utility=self.settings.utility_name,
            short_code=self.settings.short_code,
            payslips=payslip_facts,
        )

    @cached_property
    def payroll(self) -> Payroll:
        from core.services.payroll import Payroll

        return Payroll(self.db, self.clock, self.staff.audit)

    @cached_property
    def emails(self) -> Emails:
        from core.services.emails import Emails

        return Emails(self.db, self.clock, self.email_gateway, self.documents.paper, utility=self.settings.utility_name)
