"""Ordinary customers and their ways through the menu: what the page of journeys and the map are made of.

A new journey adds its walk here. Each names the replies after the dial; the screens come from the menu itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from channels.ussd.menu.agent_walks import AGENT_WALKS, KIOSK
from channels.ussd.menu.engine import HOME, Act, Context, Menu, Pay, Place, Resume, Speak, done, refused
from channels.ussd.menu.fit import Network, fit
from channels.ussd.menu.graph import BEGUN
from channels.ussd.menu.meter_walks import METER_WALKS
from channels.ussd.menu.report_walks import REPORT_WALKS
from channels.ussd.menu.screen import Screen
from core.customers.links import LinkRequestView, MemberView
from core.customers.model import AgencyView, AgentRole, AttemptView, ContractView, OpenInvoice, ReceiptView, Snapshot
from core.kernel.clock import WEST
from core.kernel.digits import grouped, with_check
from core.kernel.money import Money
from core.payments.model import BeginRefused, Offer
from core.phone_numbers import masked

CODE = "*123#"
_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_PHONE, _OTHER_PHONE = "+243815550001", "+243975550002"


def _francs(units: int) -> Money:
    return Money.units(units, "CDF")


def _bill(n: int, period: str, units: int) -> OpenInvoice:
    return OpenInvoice(n, f"F-{n}", period, _francs(units), date(2026, 11, 9), date(2026, 11, 9))


def _contract(n: int, name: str, *bills: OpenInvoice, cut_on: date | None = date(2026, 12, 7)) -> ContractView:
    return ContractView(
        id=n,
        account_number=with_check(f"{100_000_000 + n:09d}"),
        name=name,
        kind="monthly",
        currency="CDF",
        state="active",
        time_zone=WEST,
        own=True,
        credit=_francs(0),
        supply="on",
        invoices=bills,
        cut_on=cut_on if bills else None,
    )


def _attempt(state: str, *, is_open: bool, reason: str | None = None) -> AttemptView:
    began, ended = _NOW - timedelta(minutes=3), None if is_open else _NOW - timedelta(minutes=2)
    return AttemptView("a", 1, _francs(28_500), "mpesa", _PHONE, _PHONE, state, is_open, reason, began, ended)


_ONE = _contract(1, "Marie Kabila", _bill(1, "2026-10", 28_500))
_TWO_BILLS = _contract(1, "Marie Kabila", _bill(1, "2026-09", 12_500), _bill(2, "2026-10", 16_000))
_SHOP = _contract(2, "Marie Kabila", _bill(3, "2026-10", 7_000))
_STRANGERS = replace(_contract(9, "Jean Mukendi").without_amounts(), own=False)
_RECEIPTS = tuple(
    ReceiptView(f"R-2026-00041{n}", with_check(f"73519204{n}"), _francs(units), at, _ONE.account_number, WEST)
    for n, units, at in ((7, 28_500, _NOW - timedelta(days=20)), (2, 31_000, _NOW - timedelta(days=51)))
)
_AGENCIES = tuple(
    AgencyView(n, f"Agence {place}", city, address, "+243815550000", "Lun-Ven 8h-16h")
    for n, place, city, address in (
        (1, "Lemba", "Kinshasa", "12 avenue By-Pass"),
        (2, "Gombe", "Kinshasa", "4 boulevard du 30 Juin"),
        (3, "Kamalondo", "Lubumbashi", "31 avenue Kasai"),
    )
)
_ALL_WELL = tuple(Offer(brand, "a wallet") for brand in ("mpesa", "airtel", "orange"))
_MPESA_DOWN = tuple(Offer(o.brand, None, down=True) if o.brand == "mpesa" else o for o in _ALL_WELL)

MARIE = Snapshot(_PHONE, _NOW, "fr", True, "mpesa", (_ONE,), _STRANGERS, receipts=_RECEIPTS)
WITH_TWO_BILLS = replace(MARIE, contracts=(_TWO_BILLS,))
WITH_TWO_ACCOUNTS = replace(MARIE, contracts=(_ONE, _SHOP))
STRANGER = Snapshot(_PHONE, _NOW, other=_STRANGERS)
AGENT = Snapshot(_PHONE, _NOW, "fr", agent=KIOSK)
_GUEST = "+243995550111"
HOLDER = replace(
    MARIE,
    contracts=(replace(_ONE, customer_id=1, role="holder"),),
    requests=(LinkRequestView(1, 1, 1, _GUEST, _NOW),),
    members=(MemberView(2, 1, "+243845550002", "member", fresh=True),),
)
MEMBER = replace(MARIE, contracts=(replace(_ONE, customer_id=1, role="member"),))
_GUESTS = {"phone": masked(_GUEST), "account": grouped(_ONE.account_number)}


def _with(contract: ContractView) -> Snapshot:
    return replace(MARIE, contracts=(contract,))


@dataclass(frozen=True, slots=True)
class Walk:
    """`journey`: the section it belongs to. `carried`: what the dial itself brings, as `7` in `*123*7#`. `refusal`:
    what the payment service answers where money would be asked for. `dids`: what came of each deed on the way. `agent`:
    who it is once the PIN was right."""

    journey: str
    about: str
    caller: Snapshot
    replies: tuple[str, ...] = ()
    carried: str = ""
    resume: Resume | None = None
    offers: tuple[Offer, ...] = field(default=_ALL_WELL)
    refusal: BeginRefused | None = None
    dids: tuple[Mapping[str, Any], ...] = ()
    agent: AgentRole | None = None

    @property
    def dialled(self) -> str:
        return f"{CODE[:-1]}*{self.carried}#" if self.carried else CODE


@dataclass(frozen=True, slots=True)
class Frame:
    """One screen on the way. `typed`: what brought it up; None for the dial."""

    state: str
    typed: str | None
    text: str
    ended: bool


_ALL_OF_IT = Resume(1, None, "all", _francs(28_500).minor, "CDF")

WALKS: tuple[Walk, ...] = (
    Walk("Pay", "Everything that is due, with the own wallet: three keys.", MARIE, ("1", "1", "1")),
    Walk("Pay", "One of several invoices.", WITH_TWO_BILLS, ("1", "2", "1")),
    Walk("Pay", "Another amount.", WITH_TWO_BILLS, ("1", "3", "10000")),
    Walk("Pay", "From another wallet and another number.", MARIE, ("1", "1", "2", "2", "0975550002")),
    Walk("Pay", "One of several accounts.", WITH_TWO_ACCOUNTS, ("2", "1")),
    Walk("Pay for somebody else", "Anybody may; what is owed stays hidden.", MARIE,
         ("2", _STRANGERS.account_number, "5000")),
    Walk("Pay for somebody else", "From a number that no account knows.", STRANGER, ("1",)),
    Walk("Shortcuts", "The balance, and the call is over.", MARIE, carried="7"),
    Walk("Shortcuts", "The balance of several accounts.", WITH_TWO_ACCOUNTS, carried="7"),
    Walk("Shortcuts", "The balance of a number that no account knows.", STRANGER, carried="7"),
    Walk("Shortcuts", "An amount, up to its confirmation.", MARIE, carried="8*5000"),
    Walk("Shortcuts", "An amount, with several accounts.", WITH_TWO_ACCOUNTS, ("1",), carried="8*5000"),
    Walk("Look up", "Receipts, read again.", MARIE, ("3", "1")),
    Walk("Look up", "No receipts yet.", replace(MARIE, receipts=()), ("3",)),
    Walk("Look up", "An agency.", MARIE, ("5", "1")),
    Walk("Look up", "Help.", MARIE, ("6",)),
    Walk("Look up", "The language.", MARIE, ("4",)),
    *(Walk("Meter", one.about, one.caller, one.replies) for one in METER_WALKS),
    *(Walk(one.journey, one.about, one.caller, one.replies, dids=one.dids) for one in REPORT_WALKS),
    Walk("Phones", "Ask to see an account. The words are the same for every number there may be.", STRANGER,
         ("2", _STRANGERS.account_number, "1"), dids=({"asked": True},)),
    Walk("Phones", "A phone that has asked often today.", STRANGER, ("2", _STRANGERS.account_number, "1"),
         dids=({"refused": "too_often"},)),
    Walk("Phones", "The holder says yes.", HOLDER, ("6", "1", "1", "1"), dids=({"state": "confirmed", **_GUESTS},)),
    Walk("Phones", "The holder says no, and another one had said yes a moment ago.", HOLDER, ("6", "1", "1", "2"),
         dids=({"refused": "decided", "state": "confirmed", **_GUESTS},)),
    Walk("Phones", "The holder takes a phone off.", HOLDER, ("6", "1", "2", "1"),
         dids=({"removed": masked("+243845550002")},)),
    Walk("Phones", "Who is not the holder.", MEMBER, ("6", "1", "1")),
    *(
        Walk("Agents", one.about, AGENT, one.replies, refusal=one.refusal, dids=one.dids, agent=KIOSK)
        for one in AGENT_WALKS
    ),
    Walk("What home says", "Nothing is due.", _with(_contract(1, "Marie Kabila"))),
    Walk("What home says", "Nothing is due, and money is waiting.",
         _with(replace(_contract(1, "Marie Kabila"), credit=_francs(4_000)))),
    Walk("What home says", "The day of the cut has come.", _with(replace(_ONE, cut_on=date(2026, 11, 23)))),
    Walk("What home says", "Supply is off.", _with(replace(_ONE, supply="off"))),
    Walk("What home says", "The number is known and was never confirmed, or was silent too long.",
         replace(STRANGER, is_linked=True)),
    Walk("When something comes between", "The line dropped on a confirmation: the next dial goes on.", MARIE, ("0",),
         resume=_ALL_OF_IT),
    Walk("When something comes between", "A payment is under way.",
         replace(MARIE, attempts=(_attempt("pending", is_open=True),)), ("1", "1")),
    Walk("When something comes between", "The last try has just failed.",
         replace(MARIE, attempts=(_attempt("failed", is_open=False, reason="no_funds"),)), ("1", "1")),
    Walk("When something comes between", "The own wallet is down.", MARIE, ("1", "1", "3"), offers=_MPESA_DOWN),
    Walk("When something comes between", "No wallet can be reached.", MARIE, ("1", "1"),
         offers=tuple(Offer(o.brand, None, down=True) for o in _ALL_WELL)),
    Walk("When something comes between", "The wallet fell ill while the customer was reading.", MARIE, ("1", "1", "1"),
         refusal=BeginRefused("wallet_down")),
    Walk("When something comes between", "The same payment is asked for twice.", MARIE, ("1", "1", "1"),
         refusal=BeginRefused("already_open", "pending")),
    Walk("When something comes between", "Keys that mean nothing: a line, and after three of them a longer help.",
         MARIE, ("1", "1", "5", "6", "7")),
    Walk("When something comes between", "A wrong account number.", STRANGER, ("1", "12345", "1000000090")),
)  # fmt: skip


def frames(menu: Menu, walk: Walk, language: str, network: Network | None = None) -> Iterator[Frame]:
    """The screens of a walk in one language, as many as it has."""
    network = network or Network()
    ctx = Context(walk.caller, CODE, {}, walk.resume, _AGENCIES, {"CDF": walk.offers}, "mpesa")
    drawn = menu.draw(Place(HOME), ctx, language, network)
    for reply in walk.carried.split("*") if walk.carried else ():
        drawn = menu.draw(_place(menu.answer(drawn.place, ctx, reply)), ctx, language, network)
    yield Frame(drawn.place.key, None, drawn.page.text, drawn.screen.ended)
    dids = iter(walk.dids)
    for reply in walk.replies:
        step = menu.answer(drawn.place, ctx, reply)
        shown = "*" * len(reply) if menu.state(drawn.place.key).secret else reply
        if isinstance(step, Pay) and walk.refusal is None:
            yield _end(shown, step.end, language, network)
            return
        place = refused(drawn.place, step, walk.refusal) if isinstance(step, Pay) and walk.refusal else step
        if isinstance(step, Act):
            place = done(drawn.place, step, next(dids))
            ctx = replace(ctx, agent=walk.agent or ctx.agent)
        if isinstance(place, Speak):
            language = place.language
        drawn = menu.draw(_place(place), ctx, language, network)
        yield Frame(drawn.place.key, shown, drawn.page.text, drawn.screen.ended)


def _end(reply: str, screen: Screen, language: str, network: Network) -> Frame:
    return Frame(BEGUN, reply, fit(screen, language, network=network).text, ended=True)


def _place(step: object) -> Place:
    return step if isinstance(step, Place) else Place(HOME)
