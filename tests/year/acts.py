"""What people and operators do with money in a year, each deed done by the product and written by the clerk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from functools import partial
from random import Random

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.ids import verification_code
from core.kernel.money import Money
from core.payments.tables import PaymentRow
from core.services.cases import Cases
from core.services.credit_notes import CreditNotes
from core.services.promises import Promises
from core.settlement import events as e
from core.settlement import post
from tests.year.clerk import Clerk, half_up
from tests.year.houses import House

WALLETS = ("vodacom", "airtel", "orange")
AGENTS = (1, 2, 3)
RATE = 2_800


class Acts:
    """The half of `tests.year.utility.Year` that moves money."""

    db: Database
    clock: FixedClock
    clerk: Clerk
    dice: Random
    today: date
    keys: int
    counts: dict[str, int]
    houses: dict[int, House]
    notes: CreditNotes
    cases: Cases
    promises: Promises
    credited: set[int]
    again: dict[int, date]
    later: Callable[[int, Callable[[], None]], None]
    key: Callable[[str], str]

    def _will_pay(self, house: House, number: int) -> None:
        dice, luck = self.dice, self.dice.random()
        soon = dice.randint(1, 9)
        pay = partial(self._pays, house)
        if luck < 0.60:
            self.later(soon, pay)
        elif luck < 0.69:
            self.later(soon, partial(self._pays, house, share=0.6))
            self.later(soon + dice.randint(6, 20), pay)
        elif luck < 0.76:
            self.later(soon, partial(self._pays, house, share=1 + dice.random() / 2))
        elif luck < 0.86:
            self.later(dice.randint(13, 40), pay)
        elif luck < 0.90:
            self.later(dice.randint(50, 100), pay)
        elif luck < 0.94:
            self.later(soon, partial(self._unknown, house))
        elif luck < 0.96:
            self.later(soon, partial(self._disputes, house, number))
            self.later(dice.randint(30, 45), pay)
        elif luck < 0.98:
            self.later(8, partial(self._promises, house))
            self.later(dice.randint(12, 30), pay)
        else:
            self.later(soon, partial(self._corrected, number))
            self.later(soon + dice.randint(1, 30), pay)

    def _payment(self, house: House | None, wallet: str, money: Money, *, waits: bool = False) -> PaymentRow:
        self.keys += 1
        return PaymentRow(
            id=f"00000000-0000-4000-8000-{self.keys:012d}",
            wallet=wallet,
            provider_txn_id=f"TX{self.keys}",
            contract_id=house.contract if house else None,
            currency=money.currency,
            amount_minor=money.minor,
            payer_phone=house.phone if house else None,
            received_at=self.clock.now(),
            found_by="query",
            receipt_number=f"R{self.keys:09d}",
            verification_code=verification_code(),
            in_suspense=waits,
        )

    def _post(self, event: e.Event, payment: PaymentRow | None = None) -> None:
        with self.db.begin() as session:
            if payment is not None:
                session.add(payment)
                session.flush()
            post(session, event, clock=self.clock)
        self.counts[event.kind] += 1

    def _pays(self, house: House, share: float = 1.0) -> None:
        """What is open, a share of it, or more, by whatever way."""
        now = self.clock.now()
        owed = sum(self.clerk.bills[n].left for n in self.clerk.open_bills(house.contract, now))
        if owed == 0:
            return
        step = 100 if house.currency == "CDF" else 1
        money = Money(max(step, int(owed * share) // step * step), house.currency)
        way, key = self.dice.random(), self.key("pay")
        about = {"key": key, "contract_id": house.contract, "amount": money}
        if way < 0.10:
            payment = self._payment(house, "cash", money)
            self._post(e.CashTaken(payment_id=payment.id, cashier="4", **about), payment)  # type: ignore[arg-type]
            source = ("cash", "4")
        elif way < 0.16:
            payment = self._payment(house, "bank", money)
            self._post(e.BankMoney(payment_id=payment.id, **about), payment)  # type: ignore[arg-type]
            source = ("bank", "")
        elif way < 0.26 and self._sells(house, money, key):
            return
        elif way < 0.36 and house.currency == "USD":
            self._exchanges(house, money, key)
            return
        else:
            wallet = self.dice.choice(WALLETS)
            payment = self._payment(house, wallet, money)
            self._post(e.WalletMoney(payment_id=payment.id, wallet=wallet, **about), payment)  # type: ignore[arg-type]
            source = ("wallet_clearing", wallet)
            if self.dice.random() < 0.015:
                self.later(self.dice.randint(1, 20), partial(self._reversed, house, payment.id, source, money.currency))
        self.clerk.money(source, house.contract, money.currency, money.minor, now, payment.id)
        if self.clerk.credits[house.contract] > 200 and self.dice.random() < 0.1:
            self.later(2, partial(self._refund, house, payment.id))

    def _sells(self, house: House, money: Money, key: str) -> bool:
        agent = self.dice.choice(AGENTS)
        if money.currency != "CDF" or -self.clerk.accounts["agent_float", str(agent), "CDF"] < money.minor:
            return False
        payment, share = self._payment(house, "agent", money), Money(max(1, money.minor // 50), "CDF")
        self._post(
            e.AgentSale(
                key=key, payment_id=payment.id, agent_id=agent, contract_id=house.contract, amount=money,
                commission=share,
            ),
            payment,
        )  # fmt: skip
        source = ("agent_float", str(agent))
        self.clerk.money(source, house.contract, "CDF", money.minor, self.clock.now(), payment.id)
        self.clerk.move(("commission_expense", ""), ("commission_payable", str(agent)), "CDF", share.minor)
        return True

    def _exchanges(self, house: House, worth: Money, key: str) -> None:
        paid = Money(worth.minor * RATE, "CDF")
        payment = self._payment(house, "vodacom", paid)
        self._post(
            e.ExchangedMoney(
                key=key, payment_id=payment.id, wallet="vodacom", contract_id=house.contract, amount=paid, worth=worth
            ),
            payment,
        )
        self.clerk.move(("wallet_clearing", "vodacom"), ("fx_clearing", ""), "CDF", paid.minor)
        self.clerk.money(("fx_clearing", ""), house.contract, worth.currency, worth.minor, self.clock.now(), payment.id)

    def _unknown(self, house: House) -> None:
        """A wrong account was typed: the money waits until somebody finds whose it is."""
        owed = sum(self.clerk.bills[n].left for n in self.clerk.open_bills(house.contract, self.clock.now()))
        if owed == 0:
            return
        wallet, money = self.dice.choice(WALLETS), Money(owed, house.currency)
        payment = self._payment(None, wallet, money, waits=True)
        self._post(
            e.UnplacedMoney(key=self.key("unplaced"), payment_id=payment.id, wallet=wallet, amount=money), payment
        )
        self.clerk.move(("wallet_clearing", wallet), ("suspense", wallet), money.currency, owed)
        self.clerk.waiting[payment.id] = owed
        self.later(self.dice.randint(1, 10), partial(self._placed, house, payment.id, wallet, money))

    def _placed(self, house: House, payment: str, wallet: str, money: Money) -> None:
        self._post(
            e.SuspensePlaced(
                key=self.key("placed"), payment_id=payment, wallet=wallet, contract_id=house.contract, amount=money
            )
        )
        self.clerk.money(("suspense", wallet), house.contract, money.currency, money.minor, self.clock.now(), payment)
        self.clerk.waiting[payment] = 0

    def _reversed(self, house: House, payment: str, source: tuple[str, str], currency: str) -> None:
        self._post(e.OperatorReversed(key=self.key("reversed"), payment_id=payment, contract_id=house.contract))
        before = {n: self.clerk.bills[n].left for n in self.clerk.of[house.contract]}
        self.clerk.taken_back(source, house.contract, currency, self.clock.now(), payment)
        for number, left in before.items():
            if self.clerk.bills[number].left > left:
                # Opened again: a new cycle of notices begins today.
                self.again[number] = self.today
        self.later(self.dice.randint(5, 40), partial(self._pays, house))

    def _refund(self, house: House, payment: str) -> None:
        held = self.clerk.credits[house.contract]
        if held <= 0 or payment not in self.clerk.went:
            return
        money, ours = Money(held, house.currency), ("credit", str(house.contract))
        self._post(e.RefundOwed(key=self.key("refund"), contract_id=house.contract, amount=money))
        self.clerk.move(ours, ("refund_payable", ""), house.currency, held)
        self.clerk.credits[house.contract] -= held
        self.later(1, partial(self._refunded, house, payment, money, self.dice.random() < 0.8))

    def _refunded(self, house: House, payment: str, money: Money, paid: bool) -> None:
        about = {"key": self.key("refund"), "wallet": "vodacom", "amount": money, "contract_id": house.contract}
        if paid:
            self._post(e.RefundPaid(**about))  # type: ignore[arg-type]
            self.clerk.move(("refund_payable", ""), ("wallet_clearing", "vodacom"), money.currency, money.minor)
        else:
            self._post(e.RefundFailed(payment_id=payment, **about))  # type: ignore[arg-type]
            self.clerk.move(("refund_payable", ""), ("credit", str(house.contract)), money.currency, money.minor)
            self.clerk.credits[house.contract] += money.minor

    def _corrected(self, number: int) -> None:
        """Half of a bill was wrong."""
        bill = self.clerk.bills[number]
        if number in self.credited:
            return
        self.credited.add(number)
        step = 100 if bill.currency == "CDF" else 1
        minor = bill.total // 2 // step * step
        parts = {levy: part * minor // bill.total // step * step for levy, part in bill.parts.items() if levy}
        parts[None] = minor - sum(parts.values())
        self.notes.credit(number, Money(minor, bill.currency), reason="a wrong reading", by="year")
        self.clerk.credited(number, {levy: part for levy, part in parts.items() if part}, self.clock.now())
        self.counts["credit notes"] += 1

    # People.

    def _disputes(self, house: House, number: int) -> None:
        still_open = self.clerk.bills[number].left > 0
        self.cases.report(
            kind="dispute", contract_id=house.contract, invoice_id=number, phone=house.phone, language="fr",
            turn_key=self.key("turn"), say=lambda _did: "END",
        )  # fmt: skip
        if still_open:
            self.clerk.bills[number].disputed_until = self.clock.now() + timedelta(days=30)
        self.counts["disputes"] += 1

    def _promises(self, house: House) -> None:
        kept = self.promises.make(
            contract_id=house.contract, promised_on=self.today + timedelta(days=7), phone=house.phone, language="fr",
            turn_key=self.key("turn"), say=lambda _did: "END",
        )  # fmt: skip
        self.counts["promises" if "on" in kept.did else "promises refused"] += 1

    # Mondays: agents, operators, prepaid, and what is given up.

    def _monday(self) -> None:
        for agent in AGENTS:
            money = Money.units(self.dice.randint(200_000, 900_000), "CDF")
            self._post(e.CashHandedOver(key=self.key("cash"), cashier="4", agent_id=agent, amount=money))
            self.clerk.move(("cash", "4"), ("agent_float", str(agent)), "CDF", money.minor)
        for wallet in WALLETS:
            held = self.clerk.accounts["wallet_clearing", wallet, "CDF"]
            if held > 10_000:
                fees = held // 100
                money, cost = Money(held, "CDF"), Money(fees, "CDF")
                self._post(e.OperatorPaidOut(key=self.key("out"), wallet=wallet, amount=money, fees=cost))
                self.clerk.move(("bank", ""), ("wallet_clearing", wallet), "CDF", held - fees)
                self.clerk.move(("fees", ""), ("wallet_clearing", wallet), "CDF", fees)
        for house in self.houses.values():
            if house.kind == "prepaid" and self.dice.random() < 0.4:
                self._tops_up(house)
        old = [n for n, bill in self.clerk.bills.items() if bill.left and bill.day < self.today - timedelta(days=150)]
        for number in old:
            bill = self.clerk.bills[number]
            self._post(
                e.WrittenOff(
                    key=self.key("lost"), invoice_id=number, contract_id=bill.contract,
                    amount=Money(bill.total, bill.currency),
                )
            )  # fmt: skip
            self.clerk.given_up(number)

    def _tops_up(self, house: House) -> None:
        """Money by wallet, and some of it becomes energy at once."""
        money, wallet = Money.units(self.dice.randint(1_000, 20_000), "CDF"), self.dice.choice(WALLETS)
        payment = self._payment(house, wallet, money)
        self._post(
            e.WalletMoney(
                key=self.key("topup"), payment_id=payment.id, wallet=wallet, contract_id=house.contract, amount=money
            ),
            payment,
        )
        self.clerk.money(("wallet_clearing", wallet), house.contract, "CDF", money.minor, self.clock.now(), payment.id)
        part = Money(money.minor * self.dice.randint(50, 100) // 10_000 * 100, "CDF")
        tax = Money(half_up(Fraction(part.minor * 16, 116 * 100), "CDF"), "CDF")
        self._post(
            e.TokenIssued(key=self.key("token"), contract_id=house.contract, amount=part, tax=tax if tax else None)
        )
        ours = ("credit", str(house.contract))
        self.clerk.move(ours, ("revenue", ""), "CDF", part.minor - tax.minor)
        if tax:
            self.clerk.move(ours, ("tax_payable", "vat"), "CDF", tax.minor)
        self.clerk.credits[house.contract] -= part.minor
