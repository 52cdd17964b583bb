"""The callers whose screens are longest: every state there is, with data of the greatest lengths we accept.

`mwolo menu lint`, the map and the tests look at the menu through these. A new state adds its parameters to `PARAMS`;
one that shows a caller nobody here is adds a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from channels.ussd.menu.agent_examples import agent_contexts, agents_at_home
from channels.ussd.menu.engine import Context, Resume
from channels.ussd.menu.meter_examples import meter_contexts, prepaid_callers
from channels.ussd.menu.report_examples import report_contexts
from core.customers.links import ROLES, LinkRequestView, MemberView
from core.customers.model import AgencyView, AttemptView, ContractView, OpenInvoice, ReceiptView, Snapshot
from core.customers.opening import Hours, read_spans, week_of
from core.kernel.clock import EAST
from core.kernel.digits import grouped, with_check
from core.kernel.money import Money
from core.payments.model import Offer
from core.phone_numbers import masked

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
PHONE = "+243815550001"
FOREIGN = "+14155550123"
NAME = "Wembadio-Ngandu Tshilombo wa Mulumba Marie-Antoinette"
SENT_ON = date(2026, 11, 9)
SERVICE_CODE = "*123*4567#"
MOST = {"CDF": Money(12_345_678_900, "CDF"), "USD": Money(123_456_789, "USD")}
MOST_KES = Money(123_456_789, "KES")
KENYAN = "+254712345678"


def most(currency: str) -> Money:
    return MOST.get(currency, MOST_KES)


def offers(*down: str) -> dict[str, tuple[Offer, ...]]:
    """What may be chosen when these brands are down. One wallet takes shillings."""
    every = tuple(Offer(b, None if b in down else "x", b in down) for b in ("mpesa", "airtel", "orange"))
    return {"CDF": every, "USD": every, "KES": every[:1]}


def contract(
    n: int, currency: str, *, invoices: int, own: bool = True, cut: int = 3, supply: str = "on"
) -> ContractView:
    bills = tuple(
        OpenInvoice(
            n * 100 + i, f"F-{i}", f"2026-{i % 12 + 1:02d}", most(currency), date(2026, 11, 9), date(2026, 11, 9)
        )
        for i in range(invoices)
    )
    return ContractView(
        id=n,
        account_number=with_check(f"{888_888_880 + n:09d}"),
        name=NAME,
        kind="monthly",
        currency=currency,
        state="active",
        time_zone=EAST,
        own=own,
        credit=most(currency),
        supply=supply,
        invoices=bills,
        cut_on=date(2026, 11, 24) + timedelta(days=cut) if bills else None,
    )


def attempt(n: int, contract_id: int, state: str, *, payer: str = PHONE, reason: str | None = None) -> AttemptView:
    is_open = state in ("created", "submitting", "pending", "unknown")
    ended = None if is_open else NOW - timedelta(minutes=2)
    return AttemptView(
        str(n),
        contract_id,
        MOST["CDF"],
        "orange",
        payer,
        PHONE,
        state,
        is_open,
        reason,
        NOW - timedelta(minutes=3),
        ended,
    )


RECEIPTS = tuple(
    ReceiptView(f"R-2026-0001234{n}", "1234567890", MOST["USD"], NOW, "8888888889", EAST) for n in range(3)
)
# A pause on all days but one: the longest week that is shown.
_LONG_DAY, _SHORT_DAY = read_spans("8h30-12h30, 13h30-16h30"), read_spans("8h45-10h15, 10h45-12h15")
_LONG_WEEK = week_of([*[_LONG_DAY] * 5, read_spans("8h30-12h30"), ()])
_EVERY_DAY_ANOTHER = week_of([*[_LONG_DAY, _SHORT_DAY] * 3, ()])
# When it opens is said in most letters two weeks before it does.
_SHUT = {NOW.date() + timedelta(days=day): () for day in range(14)}
# Hours as they are written on the door, a long week while it is open and while it is shut, and one too long to be read.
HOURS = (None, Hours(_LONG_WEEK, EAST), Hours(_LONG_WEEK, EAST, _SHUT), Hours(_EVERY_DAY_ANOTHER, EAST, _SHUT))
AGENCIES = tuple(
    AgencyView(
        n,
        f"Agence {n} de " + "Kamalondo " * 6,
        "Lubumbashi",
        "avenue de la Revolution " * 6,
        PHONE,
        "Lun-Ven " * 9,
        HOURS[n % len(HOURS)],
    )
    for n in range(30)
)
REQUESTS = tuple(LinkRequestView(n, 1, 1, FOREIGN, NOW) for n in range(1, 8))
MEMBERS = tuple(MemberView(n, 1, FOREIGN, role, fresh=True) for n, role in enumerate(ROLES, start=1))
RESUME = Resume(1, None, "amount", MOST["CDF"].minor, "CDF")


def snapshots() -> Iterator[Snapshot]:
    """Strangers, stale links, one account, many accounts; in both currencies, with something under way or failed."""
    other = contract(77, "CDF", invoices=0, own=False).without_amounts()
    yield Snapshot(PHONE, NOW, other=other)
    yield Snapshot(FOREIGN, NOW, is_linked=True, other=other)
    for currency in MOST:
        for cut in (3, -2):
            for supply in ("on", "off"):
                for invoices in (0, 1, 12):
                    one = contract(1, currency, invoices=invoices, cut=cut, supply=supply)
                    yield Snapshot(PHONE, NOW, "fr", True, None, (one,), other, receipts=RECEIPTS)
        one = contract(1, currency, invoices=12)
        for state in ("created", "pending", "unknown"):
            yield Snapshot(PHONE, NOW, "fr", True, "orange", (one,), other, (attempt(1, 1, state),), RECEIPTS)
            yield Snapshot(PHONE, NOW, None, False, "orange", (), other, (attempt(1, 77, state),))
        for reason in ("limit_reached", "unreachable", "other", None):
            failed = (attempt(1, 1, "failed", reason=reason), attempt(2, 77, "failed", reason=reason))
            yield Snapshot(PHONE, NOW, "fr", True, "orange", (one,), other, failed)
    yield Snapshot(KENYAN, NOW, "sw", True, "mpesa", (contract(1, "KES", invoices=2),), other, receipts=RECEIPTS)
    yield Snapshot(PHONE, NOW, "sw", True, "mpesa", (contract(1, "KES", invoices=2),), other, receipts=RECEIPTS)
    held = replace(contract(1, "CDF", invoices=2), customer_id=1, role="holder")
    yield Snapshot(PHONE, NOW, "fr", True, None, (held,), other)
    yield Snapshot(PHONE, NOW, "fr", True, None, (held,), other, requests=REQUESTS, members=MEMBERS)
    yield from prepaid_callers()
    second = replace(contract(2, "CDF", invoices=2), customer_id=1, role="holder")
    yield Snapshot(PHONE, NOW, "fr", True, None, (held, second), other, requests=REQUESTS, members=MEMBERS)
    many = tuple(contract(n, "CDF" if n % 2 else "USD", invoices=n % 3) for n in range(1, 12))
    yield Snapshot(PHONE, NOW, "fr", True, "airtel", many, other, (attempt(1, 1, "pending"),), RECEIPTS)


_MINOR = MOST["CDF"].minor
_LINK = {"phone": masked(FOREIGN), "account": grouped(with_check("888888881"))}
_FROM = {"brand": "airtel", "payer": PHONE}
PARAMS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "home.account": ({"c": 1},),
    "more": ({"c": 1},),
    "pay.menu": ({"c": 1},),
    "pay.invoice": ({"c": 1},),
    "pay.amount": ({"c": 1}, {"c": 77}, {}),
    "pay.account": ({"units": "123456789"},),
    "pay.confirm": (
        {"c": 1, "what": "all", "minor": _MINOR, **_FROM},
        {"c": 77, "what": "amount", "minor": _MINOR, **_FROM},
        {"c": 77, "what": "amount", "minor": _MINOR, "brand": "orange", "payer": FOREIGN},
    ),
    "pay.wallet": ({"c": 1, "what": "all", "minor": _MINOR},),
    "pay.number": ({"c": 1, "what": "all", "minor": _MINOR, "brand": "airtel"},),
    "pay.refused": tuple(
        {"why": why, "state": state, "brand": "airtel"}
        for why in (
            "already_open", "contract_closed", "invoice_not_open", "nothing_to_pay", "amount_out_of_range", "no_wallet",
            "wallet_down",
        )
        for state in ("created", "pending", "unknown", None)
    ),
    "links": ({"c": 1},),
    "link.confirm": ({"account": with_check("888888881")},),
    "link.asked": tuple(
        {"account": with_check("888888881"), "did": did}
        for did in ({"asked": True}, {"refused": "linked"}, {"refused": "too_often"})
    ),
    "link.request": ({"c": 1, "r": 1},),
    "link.decided": (
        *({"did": {"state": state, **_LINK}} for state in ("confirmed", "denied")),
        *({"did": {"refused": "decided", "state": state, **_LINK}} for state in ("confirmed", "denied")),
        *({"did": {"refused": why}} for why in ("gone", "not_holder")),
    ),
    "link.member": tuple({"c": 1, "m": member.link_id} for member in MEMBERS),
    "link.removed": (
        {"did": {"removed": masked(FOREIGN)}},
        *({"did": {"refused": why}} for why in ("gone", "not_holder", "holder")),
    ),
    "receipt": ({"number": RECEIPTS[0].number}, {"number": "gone"}),
    "agency": (*({"agency": str(n)} for n in range(len(HOURS))), {"agency": "gone"}),
}  # fmt: skip


ALL_WELL = offers()
_CONDITIONS: tuple[dict[str, tuple[Offer, ...]], ...] = (
    ALL_WELL,
    offers("airtel"),
    offers("airtel", "orange"),
    offers("mpesa", "airtel", "orange"),
    {},
)


def contexts(key: str) -> Iterator[Context]:
    """Each context in which the state `key` may be shown."""
    if key.startswith("agent."):
        yield from agent_contexts(key, SERVICE_CODE, _CONDITIONS, AGENCIES)
        return
    if key == "meter" or key.startswith("meter."):
        yield from meter_contexts(SERVICE_CODE)
        return
    if key == "home":
        yield from agents_at_home(SERVICE_CODE, NAME)
    if key.partition(".")[0] in ("promise", "report"):
        yield from report_contexts(key, SERVICE_CODE)
        return
    for snapshot in snapshots():
        for params in PARAMS.get(key, ({},)):
            for resume in (None, RESUME):
                for agencies in ((), AGENCIES):
                    for offered in _CONDITIONS if key == "pay.wallet" else (ALL_WELL,):
                        yield Context(snapshot, SERVICE_CODE, params, resume, agencies, offered, "airtel")


# What people type where no key is offered: what it is called, and an example. The map and the check of ways try each
# on every screen.
TYPED: Mapping[str, str] = {
    "account": with_check("888888957"),
    "number": "0812345678",
    "amount": "5000",
    "digits": "1397",
    "7": "7",
    "8": "8",
}
