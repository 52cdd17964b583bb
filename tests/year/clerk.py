"""What a careful clerk would write by hand: prices in fractions, books in plain dictionaries. Nothing of the product is
imported here, so that it cannot be wrong in the same way twice.

Amounts are minor units (hundredths), energy is in Wh. A balance is debits less credits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

Key = tuple[str, str, str]


def half_up(units: Fraction, currency: str) -> int:
    """Units of a currency as minor units: whole francs, cents."""
    step = 100 if currency == "CDF" else 1
    return int(units * 100 / step + Fraction(1, 2)) * step


def days_between(first: date, after: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((after - first).days)]


def price(versions: list[dict[str, Any]], first: date, after: date, month_days: int, wh: int) -> dict[str | None, int]:
    """What a span costs: levy → minor units, None for everything that is none.

    `versions`: {"from": day, "kind", "currency", "body"}, the oldest first. Each day is in one version; energy is
    spread evenly over the days, and a block has its share of the month's width.
    """
    days = days_between(first, after)
    in_force = [[v for v in versions if v["from"] <= day][-1] for day in days]
    if in_force[0]["kind"] == "flat":
        in_force = [in_force[0]] * len(days)
    lines: list[tuple[dict[str, Any], str, bool, int]] = []
    gone = seen = 0
    while seen < len(days):
        version = in_force[seen]
        mine = sum(1 for other in in_force if other is version)
        seen += mine
        upto = wh * seen // len(days)
        lines += _net_lines(version, mine, month_days, upto - gone)
        gone = upto
    owed: dict[str | None, int] = {None: sum(minor for *_, minor in lines)}
    for levy in {repr(levy): levy for version in in_force for levy in version["body"]["levies"]}.values():
        base = sum(
            minor
            for version, part, social, minor in lines
            if levy in version["body"]["levies"]
            and part in levy.get("on", ("energy", "standing", "subscription", "flat"))
            and not (social and levy.get("spares_social"))
        )
        tax = half_up(Fraction(base, 100) * Fraction(levy["percent"]) / 100, in_force[0]["currency"])
        if tax:
            owed[levy["code"]] = owed.get(levy["code"], 0) + tax
    return owed


def _net_lines(version: dict[str, Any], days: int, month_days: int, wh: int) -> list[tuple[Any, str, bool, int]]:
    body, currency = version["body"], version["currency"]
    lines = []
    below = Fraction(0)
    for number, block in enumerate(body.get("blocks", ())):
        upto = block.get("upto_kwh")
        top = Fraction(wh)
        if upto is not None:
            # A watt-hour is not cut in two: the customer's favour.
            width = -(-upto * 1000 * days // month_days)
            top = min(top, Fraction(width))
        if top > below:
            minor = half_up((top - below) / 1000 * Fraction(block["per_kwh"]), currency)
            lines.append((version, "energy", number == 0, minor))
            below = top
    for part in ("standing", "subscription"):
        if part in body:
            minor = half_up(Fraction(body[part]) * days / month_days, currency)
            lines.append((version, part, False, minor))
    if "flat" in body:
        lines.append((version, "flat", False, half_up(Fraction(body["flat"]), currency)))
    return [line for line in lines if line[3] > 0]


@dataclass
class Bill:
    contract: int
    currency: str
    parts: dict[str | None, int]
    total: int
    paid: int
    day: date
    disputed_until: datetime | None = None

    @property
    def left(self) -> int:
        return self.total - self.paid


@dataclass
class Clerk:
    """The second set of books."""

    accounts: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    bills: dict[int, Bill] = field(default_factory=dict)
    of: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    # payment → what it brought down: (bill or None for credit, minor); and what of it still waits for a place.
    went: dict[str, list[tuple[int | None, int]]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    # contract → bill → [what credit paid on it, when that last changed].
    used: dict[int, dict[int, tuple[int, datetime]]] = field(default_factory=lambda: defaultdict(dict))
    credits: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    events: int = 0

    def move(self, debit: tuple[str, str], credit: tuple[str, str], currency: str, minor: int) -> None:
        self.accounts[(*debit, currency)] += minor
        self.accounts[(*credit, currency)] -= minor
        self.events += 1

    def sent(self, number: int, bill: Bill, now: datetime) -> None:
        owed = ("receivable", str(bill.contract))
        for levy, minor in bill.parts.items():
            self.move(owed, ("revenue", "") if levy is None else ("tax_payable", levy), bill.currency, minor)
        self.bills[number] = bill
        self.of[bill.contract].append(number)
        use = min(max(self.credits[bill.contract], 0), bill.total)
        if use:
            self.move(("credit", str(bill.contract)), owed, bill.currency, use)
            self.credits[bill.contract] -= use
            bill.paid += use
            self.use(bill.contract, number, use, now)

    def use(self, contract: int, number: int, minor: int, now: datetime) -> None:
        before = self.used[contract].get(number, (0, now))[0]
        self.used[contract][number] = (before + minor, now)

    def open_bills(self, contract: int, now: datetime) -> list[int]:
        """Those that arriving money goes to, in order: the oldest first, what is disputed last."""

        def late(number: int) -> tuple[bool, date, int]:
            until = self.bills[number].disputed_until
            return until is not None and until > now, self.bills[number].day, number

        return sorted((n for n in self.of[contract] if self.bills[n].left > 0), key=late)

    def money(
        self, source: tuple[str, str], contract: int, currency: str, minor: int, now: datetime, payment: str
    ) -> None:
        """Money for a contract, from wherever it comes."""
        gone = self.went.setdefault(payment, [])
        for number in self.open_bills(contract, now):
            part = min(minor, self.bills[number].left)
            if part:
                self.move(source, ("receivable", str(contract)), currency, part)
                self.bills[number].paid += part
                gone.append((number, part))
                minor -= part
        if minor:
            self.move(source, ("credit", str(contract)), currency, minor)
            self.credits[contract] += minor
            gone.append((None, minor))

    def taken_back(self, source: tuple[str, str], contract: int, currency: str, now: datetime, payment: str) -> None:
        """The operator takes a payment back; credit that is missing then is taken from what it had paid, newest
        first."""
        had, lost = max(self.credits[contract], 0), 0
        for number, part in self.went.pop(payment):
            target = "credit" if number is None else "receivable"
            self.move((target, str(contract)), source, currency, part)
            if number is None:
                self.credits[contract] -= part
                lost += part
            else:
                self.bills[number].paid -= part
        missing = max(0, lost - had)
        for number in sorted(self.used[contract], key=lambda n: (self.used[contract][n][1], n), reverse=True):
            back = min(self.used[contract][number][0], missing)
            if back > 0:
                self.move(("receivable", str(contract)), ("credit", str(contract)), currency, back)
                self.bills[number].paid -= back
                self.credits[contract] += back
                self.use(contract, number, -back, now)
                missing -= back

    def credited(self, number: int, parts: dict[str | None, int], now: datetime) -> None:
        """A credit note: the bill's own balance first, the rest becomes credit, and pays what else is open."""
        bill = self.bills[number]
        for levy, minor in sorted(parts.items(), key=lambda item: item[0] or "net"):
            source = ("revenue", "") if levy is None else ("tax_payable", levy)
            on_bill = min(minor, bill.left)
            bill.paid += on_bill
            if on_bill:
                self.move(source, ("receivable", str(bill.contract)), bill.currency, on_bill)
            if minor > on_bill:
                self.move(source, ("credit", str(bill.contract)), bill.currency, minor - on_bill)
                self.credits[bill.contract] += minor - on_bill
        for other in self.open_bills(bill.contract, now):
            part = min(max(self.credits[bill.contract], 0), self.bills[other].left)
            if part:
                owner = str(bill.contract)
                self.move(("credit", owner), ("receivable", owner), bill.currency, part)
                self.credits[bill.contract] -= part
                self.bills[other].paid += part
                self.use(bill.contract, other, part, now)

    def given_up(self, number: int) -> None:
        bill = self.bills[number]
        self.move(("write_off", ""), ("receivable", str(bill.contract)), bill.currency, bill.left)
        bill.paid = bill.total

    def overdue(self, contract: int, today: date) -> int:
        """What is owed on bills of fourteen days and more, of each of which a fifth at least is open."""
        old = [self.bills[n] for n in self.of[contract] if self.bills[n].day <= today - timedelta(days=14)]
        return sum(bill.left for bill in old if bill.left * 5 >= bill.total)

    def balances(self) -> dict[Key, int]:
        return {key: minor for key, minor in self.accounts.items() if minor}
