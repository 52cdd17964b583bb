"""The unpaid invoice: sent, reminded, warned, announced, cut at +14, paid by USSD, receipted, lit again.

Played on the business clock through the real processes. Each step is checked where it really shows: the SMS that left,
the meter simulator's own state, the operator's own ledger, our books.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click
from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.ledger.queries import differences, trial_balance
from core.payments.tables import PaymentRow
from core.supply.tables import RelayCommandRow
from mwolo.scenarios.story import Box, Phone, StepFailed, Table, check, wait_for

if TYPE_CHECKING:
    from mwolo.wiring import Wiring

ZONE = ZoneInfo("Africa/Kinshasa")
# A Tuesday; +14 is Tuesday 24 March 2026, no holiday, and the first permitted window opens at 09:00.
SENT = datetime(2026, 3, 10, 9, 0, tzinfo=ZONE)
BEGINS = (SENT - timedelta(minutes=20)).astimezone(UTC)
SHORT_CODE = "*123#"


class Story:
    def __init__(self, ready: Mapping[str, Any], wiring: Wiring) -> None:
        self.box = Box(ready["sandbox"])
        self.wiring = wiring
        self.table = Table()
        self.contract_id, self.invoice_id, account = _unsent_invoice(wiring)
        people = {row["account"]: row for row in ready["customers"]}
        self.who = people[account]
        self.phone: Phone = self.box.phone(self.who["phone"])
        self.meter = str(self.who["meter"])

    # -- looking

    def now(self) -> datetime:
        return datetime.fromisoformat(self.box.get("clock")["business"]).astimezone(ZONE)

    def meter_state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self.box.get(f"meters/{self.meter}")
        return state

    def row(self, saw: str, did: str) -> None:
        self.table.row(self.now(), saw, did)

    def until(self, day: int, hour: int, minute: int = 5) -> None:
        """Move business time to so many days after the invoice was sent, at this local hour."""
        target = (SENT + timedelta(days=day)).replace(hour=hour, minute=minute)
        self.box.post("clock", {"to": target.isoformat()})

    def paid_for_us(self) -> list[Mapping[str, Any]]:
        ledger = self.box.get("wallets/vodacom/ledger")
        return [e for e in ledger["entries"] if e["phone"] == self.who["phone"] and e["state"] == "paid"]

    # -- the steps

    def invoice_is_sent(self) -> None:
        self.until(0, 9, 0)
        check(self.meter_state()["supply"] == "on", "the light is on before the story begins")
        self.wiring.billing.send_invoice(self.invoice_id, by="scenario")
        text = self.phone.waits_for_sms("the invoice")
        self.row(f"SMS: {text}", f"invoice sent, receivable booked, one SMS left; meter {self.meter} reports on")

    def is_reminded(self) -> None:
        self.until(2, 20)
        check(not self.phone.new_sms(), "nothing is said before +3")
        self.until(3, 9)
        text = self.phone.waits_for_sms("the reminder at +3")
        check("28 500" in text, "the reminder names the amount")
        self.row(f"SMS: {text}", "+3: the sweep opened the reminder at night, it left after the quiet hours")

    def is_warned(self) -> None:
        self.until(7, 9)
        text = self.phone.waits_for_sms("the warning at +7")
        check("24/03" in text, "the warning names the cut date")
        self.row(f"SMS: {text}", "+7: the warning names the day of the cut")

    def is_cut(self) -> None:
        self.until(13, 20)
        check(not self.phone.new_sms(), "nothing is said between +7 and +14")
        check(self.meter_state()["supply"] == "on", "the light is on until +14")
        self.until(14, 8)
        text = self.phone.waits_for_sms("the announcement at +14")
        check(self.meter_state()["supply"] == "on", "nobody is cut before the window opens")
        self.row(f"SMS: {text}", "+14: announced in the morning; the meter still reports on")
        self.until(14, 9)
        wait_for(lambda: self.meter_state()["supply"] == "off", "the meter to switch off")
        state = self.meter_state()
        with self.wiring.db.read() as session:
            command = session.scalars(
                select(RelayCommandRow)
                .where(RelayCommandRow.meter_id == self.meter)
                .order_by(RelayCommandRow.version.desc())
            ).first()
        check(command is not None and command.supply == "off", "an off command stands in the books")
        wait_for(lambda: self._command_state() == "applied", "the meter's report to be recorded")
        text = self.phone.waits_for_sms("that supply is off")
        self.row(
            f"SMS: {text}",
            f"first permitted window: no reason against it, off sent; the meter's own state: {state['supply']}, "
            f"relay {state['relay']}, version {state['version']}",
        )

    def _command_state(self) -> str | None:
        with self.wiring.db.read() as session:
            return session.scalar(
                select(RelayCommandRow.state)
                .where(RelayCommandRow.meter_id == self.meter)
                .order_by(RelayCommandRow.version.desc())
                .limit(1)
            )

    def pays(self) -> None:
        screens = [self.phone.dial(SHORT_CODE)]
        check("28 500" in screens[0], "what is owed stands on the first screen")
        screens += [self.phone.types("1") for _ in range(3)]
        self.row(
            f"dials {SHORT_CODE}\n{screens[0]}\n> 1\n{screens[1]}\n> 1\n{screens[2]}\n> 1\n{screens[3]}",
            "three keys after the dial: the attempt is committed, the wallet is asked after the session has ended",
        )
        prompt = self.phone.waits_for_prompt()
        outcome = self.phone.enters_pin(str(self.who["wallet_pin"]))
        check(outcome == "paid", f"the operator took the PIN (it said {outcome})")
        paid = self.paid_for_us()
        check(len(paid) == 1, f"the operator's ledger has one payment, not {len(paid)}")
        check(str(paid[0]["amount"]) in ("28500", "28500.00"), "the operator took 28 500 francs")
        self.row(
            f"M-Pesa: {prompt['text']}\n> PIN",
            f"the operator's own ledger: one payment of {paid[0]['amount']} {paid[0]['currency']}, "
            f"transaction {paid[0]['provider_txn_id']}",
        )

    def is_receipted(self) -> None:
        wait_for(lambda: bool(self._receipt_number()), "the payment to be booked")
        number = self._receipt_number()
        text = self.phone.waits_for_sms("the receipt", having=number)
        with self.wiring.db.read() as session:
            payments = session.scalars(select(PaymentRow).where(PaymentRow.contract_id == self.contract_id)).all()
            invoice = session.get_one(InvoiceRow, self.invoice_id)
            balances = trial_balance(session)
            wrong = differences(session)
        check(len(payments) == 1, f"one payment is booked, not {len(payments)}")
        check(invoice.paid_minor == invoice.total_minor, "the invoice is paid")
        check(sum(balances.values()) == 0 and not wrong, "the ledger sums to zero")
        self.row(
            f"SMS: {text}", f"booked once ({payments[0].found_by}), invoice {invoice.number} paid, ledger sums to zero"
        )

    def _receipt_number(self) -> str:
        with self.wiring.db.read() as session:
            found = session.scalar(select(PaymentRow.receipt_number).where(PaymentRow.contract_id == self.contract_id))
        return found or ""

    def is_lit(self) -> None:
        wait_for(lambda: self.meter_state()["supply"] == "on", "the meter to switch on")
        wait_for(lambda: self._command_state() == "applied", "the meter's report to be recorded")
        text = self.phone.waits_for_sms("that supply is back")
        state = self.meter_state()
        self.row(
            f"SMS: {text}",
            f"the meter's own state: {state['supply']}, relay {state['relay']}, version {state['version']}; applied by "
            "its report alone",
        )

    def stays_quiet(self) -> None:
        self.until(16, 14)
        check(not self.phone.new_sms(), "nothing more is said")
        check(self.meter_state()["supply"] == "on", "the light stays on")
        check(len(self.paid_for_us()) == 1, "charged once")
        self.row("nothing more", "two days later: no message, no command, charged once")


def _unsent_invoice(wiring: Wiring) -> tuple[int, int, str]:
    """The seed's clean customer: one validated invoice of 28 500 FC, nothing else."""
    with wiring.db.read() as session:
        row = session.execute(
            select(InvoiceRow.contract_id, InvoiceRow.id, ContractRow.account_number)
            .join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
            .where(InvoiceRow.state == "validated", InvoiceRow.total_minor == 28_500_00)
            .order_by(InvoiceRow.id)
        ).first()
    if row is None:
        raise StepFailed("the seed has no unsent invoice of 28 500 FC")
    return row[0], row[1], row[2]


def play(ready: Mapping[str, Any], wiring: Wiring) -> int:
    """Play the story; 0 only when every step really happened."""
    try:
        story = Story(ready, wiring)
        click.echo(f"\nThe unpaid invoice: {story.who['phone']}, account {story.who['account']}, {story.meter}\n")
        story.table.head()
        for step in (
            story.invoice_is_sent,
            story.is_reminded,
            story.is_warned,
            story.is_cut,
            story.pays,
            story.is_receipted,
            story.is_lit,
            story.stays_quiet,
        ):
            step()
    except StepFailed as failure:
        click.echo(f"\nThe story broke: {failure}.", err=True)
        return 1
    click.echo("\nEvery step happened.")
    return 0
