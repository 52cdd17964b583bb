"""Operators in trouble: one is down, an answer is lost, money comes late, money is taken back; then the day is signed.

Played through the real processes. What the customer sees is read from the phone, what really happened from the
operators' own ledgers, and at the end both are compared by the operators' own reports, as the office would do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click
from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.ledger.queries import differences, trial_balance
from core.payments.rules import OPEN
from core.payments.tables import AttemptRow, PaymentRow
from mwolo.scenarios.story import Box, StepFailed, Table, check, wait_for

if TYPE_CHECKING:
    from mwolo.wiring import Wiring

ZONE = ZoneInfo("Africa/Kinshasa")
# A Tuesday morning; the day is signed on the Wednesday.
DAY = date(2026, 3, 10)
BEGINS = datetime(2026, 3, 10, 10, 0, tzinfo=ZONE).astimezone(UTC)
# Airtel's customers are not carried over to the aggregator here, so that its trouble reaches the menu; all schedules
# run ten times as fast.
ENVIRONMENT: Mapping[str, str] = {
    "MWOLO_WALLET_ROUTES": "mpesa=vodacom|pawapay|mpesa_ke,airtel=airtel,orange=orange|pawapay",
    "MWOLO_QUERY_SCALE": "0.1",
}
TOWN = 60
AMOUNT, CODE = 2_000, "*123*8*2000#"
OFFICE = "scenario"
# How many customers run into the outage.
VICTIMS = 3
# A scaled schedule ends after minutes; a slow machine has more.
PATIENCE_S = 400.0


class Story:
    def __init__(self, ready: Mapping[str, Any], wiring: Wiring) -> None:
        self.box = Box(ready["sandbox"])
        self.wiring = wiring
        self.table = Table()
        self.people = {brand: _with_money(wiring, ready["customers"], brand) for brand in ("airtel", "orange", "mpesa")}
        self.late: Mapping[str, Any] = {}

    # -- looking

    def row(self, saw: str, did: str) -> None:
        at = datetime.fromisoformat(self.box.get("clock")["business"]).astimezone(ZONE)
        self.table.row(at, saw, did)

    def books(self, wallet: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.box.get(f"wallets/{wallet}/ledger")
        return found

    def entries(self, wallet: str, phone: str) -> list[Mapping[str, Any]]:
        return [one for one in self.books(wallet)["entries"] if one["phone"] == phone]

    def attempts(self, phone: str) -> list[AttemptRow]:
        with self.wiring.db.read() as session:
            return list(session.scalars(select(AttemptRow).where(AttemptRow.payer_phone == phone)))

    def payments(self, phone: str) -> list[PaymentRow]:
        ids = [attempt.id for attempt in self.attempts(phone)]
        with self.wiring.db.read() as session:
            return list(session.scalars(select(PaymentRow).where(PaymentRow.attempt_id.in_(ids))))

    def sow(self, target: str, fault: str, times: int = 1, phone: str | None = None, **params: Any) -> None:
        self.box.post("faults", {"target": target, "fault": fault, "times": times, "phone": phone, "params": params})

    def dials(self, who: Mapping[str, Any], keys: str = "1") -> list[str]:
        """The shortcut to pay, and what is typed after it. The screens."""
        phone = self.box.phone(who["phone"])
        return [phone.dial(CODE), *(phone.types(key) for key in keys)]

    # -- the steps

    def airtel_is_down(self) -> None:
        """Every call fails. Nobody is charged, nobody is asked twice, and after a few failures the menu knows."""
        self.sow("airtel", "error_before_accept", times=0)
        self.sow("airtel", "lost_answer", times=0, operation="query")
        self.victims, asks = self.people["airtel"][:VICTIMS], self.people["airtel"][VICTIMS]
        screens, *_ = [self.dials(who) for who in self.victims]
        for who in self.victims:
            wait_for(lambda who=who: _asked(self.attempts(who["phone"])), "the attempt to be tried")  # type: ignore[misc]
        self.row(
            f"{screens[0]}\n> 1\n{screens[1]}",
            f"{VICTIMS} customers: Airtel answers every request with an error, which is a doubt and not a no, and "
            "every question by hanging up",
        )
        offered: list[str] = []

        def is_left_alone() -> bool:
            offered[:] = self.dials(asks, keys="")
            self.box.post(f"ussd/{asks['phone']}/hangup")
            return "Orange Money" in offered[0]

        wait_for(is_left_alone, "the menu to know of the outage", PATIENCE_S)
        entries = self.books("airtel")["entries"]
        check(not [one for one in entries if one["state"] == "paid"], "Airtel has charged nobody")
        for one in self.victims:
            check(len(self.attempts(one["phone"])) == 1, "one attempt each")
        self.row(
            f"the next one dials {CODE}\n{offered[0]}",
            "after five failures in a row Airtel is left alone for a while; the menu says so and offers the others",
        )

    def airtel_is_back(self) -> None:
        """The doubts are resolved by asking: nobody was charged, everybody is told."""
        self.box.post("faults", {"clear": True, "target": "airtel"})
        phones = [one["phone"] for one in self.victims]
        wait_for(lambda: not self._open(phones), "the doubts to be resolved", PATIENCE_S)
        check(not any(self.payments(phone) for phone in phones), "nothing was booked")
        text = self.box.phone(phones[0]).waits_for_sms("that it did not work", having="abouti", timeout_s=PATIENCE_S)
        starts = [one for one in self.books("airtel")["requests"] if one["operation"] in ("start", "payment")]
        check(len(starts) == len({one["own_id"] for one in starts}), "nobody was asked twice")
        self.row(f"SMS: {text}", "asked by our own ids, Airtel has never heard of them: failed, nobody charged")

    def an_answer_is_lost(self) -> None:
        """Orange takes the request on and hangs up, and its callback never comes: only asking can tell."""
        who = self.people["orange"][0]
        self.sow("orange", "lost_answer", phone=who["phone"], operation="start")
        self.sow("orange", "lost_callback", phone=who["phone"])
        screens = self.dials(who)
        phone = self.box.phone(who["phone"])
        prompt = phone.waits_for_prompt()
        check(phone.enters_pin(str(who["wallet_pin"])) == "paid", "Orange took the PIN")
        wait_for(lambda: bool(self.payments(who["phone"])), "the payment to be found", PATIENCE_S)
        (paid,) = self.payments(who["phone"])
        check(paid.found_by == "query", f"found by asking, not by {paid.found_by}")
        (entry,) = self.entries("orange", who["phone"])
        check(entry["prompts"] == 1, "asked for the PIN once")
        text = phone.waits_for_sms("the receipt", having=paid.receipt_number)
        self.row(
            f"{screens[0]}\n> 1\n{screens[1]}\nOrange Money: {prompt['text']}\n> PIN\nSMS: {text}",
            "line cut after Orange had accepted, and no callback: found by a status query, charged once",
        )

    def money_comes_late(self) -> None:
        """Airtel says expired, and charges all the same."""
        who = self.late = self.people["airtel"][VICTIMS + 1]
        self.sow("airtel", "late_success", phone=who["phone"], seconds=8)
        screens = self.dials(who)
        phone = self.box.phone(who["phone"])
        phone.waits_for_prompt()
        phone.enters_pin(str(who["wallet_pin"]))
        (entry,) = self.entries("airtel", who["phone"])
        self.row(
            f"{screens[0]}\n> 1\n{screens[1]}\n> PIN", f"Airtel's own ledger: {entry['state']}, nothing charged yet"
        )
        wait_for(lambda: bool(self.payments(who["phone"])), "the late money to be booked", PATIENCE_S)
        (entry,) = self.entries("airtel", who["phone"])
        (paid,) = self.payments(who["phone"])
        check(entry["state"] == "paid" and paid.amount_minor == AMOUNT * 100, "what came is booked, once")
        text = phone.waits_for_sms("the receipt", having=paid.receipt_number)
        self.row(f"SMS: {text}", f"late success is taken: booked once ({paid.found_by}), receipt sent")

    def others_just_pay(self) -> None:
        """So that the day has more than trouble in it; one of them is given the money back by the operator."""
        for wallet, who in (("airtel", self.people["airtel"][VICTIMS + 2]), ("orange", self.people["orange"][1])):
            self.dials(who)
            phone = self.box.phone(who["phone"])
            phone.waits_for_prompt()
            check(phone.enters_pin(str(who["wallet_pin"])) == "paid", f"{wallet} took the PIN")
            wait_for(lambda who=who: bool(self.payments(who["phone"])), "the payment to be booked", PATIENCE_S)  # type: ignore[misc]
        self.taken = self.people["orange"][1]
        (entry,) = self.entries("orange", self.taken["phone"])
        self.box.post("wallets/orange/reverse", {"id": entry["id"]})
        self.row("two neighbours pay", "Orange gives one of them the money back by itself and tells nobody")

    def the_day_is_signed(self) -> None:
        """Each operator's own report beside our books."""
        contract = self._contract(self.taken["account"])
        before = self._owed(contract)
        self.box.post("clock", {"to": datetime(2026, 3, 11, 9, 5, tzinfo=ZONE).isoformat()})
        for wallet in ("airtel", "orange"):
            said = self._import(wallet, DAY)
            figures = self.wiring.reconciliation.day(wallet, DAY, "CDF")
            check(said == 0, f"every line of {wallet}'s report was understood")
            check(figures.ours == figures.theirs == figures.matched, f"{wallet}: {figures}")
            check(figures.open_lines + figures.ours_only.count + figures.theirs_only.count == 0, "nothing is left over")
            closed = self.wiring.reconciliation.close_day(wallet, DAY, "CDF", "", OFFICE)
            check(closed.is_closed, "the day is closed")
            self.row(
                "",
                f"{wallet}: the report of {DAY:%d/%m} says {figures.theirs.count} payments, "
                f"{figures.theirs.minor // 100} FC; so do we. Reversals: {figures.reversals.count}. "
                f"Signed by {closed.closed_by}",
            )
        check(self._owed(contract) == before + AMOUNT * 100, "what was taken back is owed again")
        self.row("", "the report alone told of the money that went back: a negative payment, and it is owed again")

    def all_adds_up(self) -> None:
        with self.wiring.db.read() as session:
            balances, wrong = trial_balance(session), differences(session)
            left = session.scalars(select(AttemptRow.id).where(AttemptRow.state.in_(OPEN))).all()
        check(sum(balances.values()) == 0 and not wrong, "the ledger sums to zero")
        check(not left, "every attempt has an end")
        held = {wallet: self.books(wallet)["held"] for wallet in ("airtel", "orange")}
        self.row("", f"the ledger sums to zero, every attempt has ended; the operators hold {_told(held)}")

    # -- inside

    def _open(self, phones: list[str]) -> bool:
        with self.wiring.db.read() as session:
            mine = AttemptRow.payer_phone.in_(phones) & AttemptRow.state.in_(OPEN)
            return session.scalar(select(AttemptRow.id).where(mine).limit(1)) is not None

    def _import(self, wallet: str, day: date) -> int:
        """Take a report in with the columns we guess. How many lines nobody understood."""
        data = self.box.text(f"wallets/{wallet}/statement", day=day.isoformat(), currency="CDF")
        desk = self.wiring.reconciliation
        mapping = desk.saved_mapping(wallet, "CDF")
        check(mapping is not None, f"there is a guess for {wallet}'s columns")
        assert mapping is not None
        name = f"{wallet}-{day}.csv"
        taken = desk.import_file(wallet, "CDF", name, data, mapping.columns, mapping.options, OFFICE)
        return taken.bad

    def _contract(self, account: str) -> int:
        with self.wiring.db.read() as session:
            return session.scalars(select(ContractRow.id).where(ContractRow.account_number == account)).one()

    def _owed(self, contract_id: int) -> int:
        """Open invoices of a contract less its credit, in minor units."""
        with self.wiring.db.read() as session:
            mine = (InvoiceRow.contract_id == contract_id) & (InvoiceRow.state == "sent")
            rows = session.scalars(select(InvoiceRow).where(mine))
            return sum(row.total_minor - row.paid_minor for row in rows)


def _asked(attempts: list[AttemptRow]) -> bool:
    return any(attempt.submitted_at is not None for attempt in attempts)


def _told(held: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(
        f"{wallet} {amount} {currency}" for wallet, sums in held.items() for currency, amount in sums.items()
    )


def _with_money(wiring: Wiring, customers: list[Mapping[str, Any]], brand: str) -> list[Mapping[str, Any]]:
    """Customers of this wallet who owe more francs than the story charges. Raises StepFailed when there are too few."""
    with wiring.db.read() as session:
        owing = set(
            session.scalars(
                select(ContractRow.account_number)
                .join(InvoiceRow, InvoiceRow.contract_id == ContractRow.id)
                .where(
                    ContractRow.currency == "CDF",
                    InvoiceRow.state == "sent",
                    InvoiceRow.total_minor - InvoiceRow.paid_minor > 2 * AMOUNT * 100,
                )
            )
        )
    found = [one for one in customers if one["wallet"] == brand and one["account"] in owing]
    # Whoever speaks French comes first: the table is read by many.
    found.sort(key=lambda one: one["language"] != "fr")
    if not found:
        raise StepFailed(f"the seed has nobody who owes and pays with {brand}")
    return found


def play(ready: Mapping[str, Any], wiring: Wiring) -> int:
    """Play the story; 0 only when every step really happened."""
    try:
        story = Story(ready, wiring)
        click.echo("\nWallets in trouble\n")
        story.table.head()
        for step in (
            story.airtel_is_down,
            story.airtel_is_back,
            story.an_answer_is_lost,
            story.money_comes_late,
            story.others_just_pay,
            story.the_day_is_signed,
            story.all_adds_up,
        ):
            step()
    except StepFailed as failure:
        click.echo(f"\nThe story broke: {failure}.", err=True)
        return 1
    click.echo("\nEvery step happened.")
    return 0
