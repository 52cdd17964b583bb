"""The menu as a machine: where a customer stands, what an answer does. Pure: no network, clock or database.

A state is two pure functions of a Context. What has to happen outside (begin a payment, keep a language) comes out as
an effect, and whoever runs the turn makes it happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from channels.ussd.menu.fit import BACK, MORE, Network, Page, fit
from channels.ussd.menu.screen import Line, Screen
from core.customers.model import AgencyView, AgentRole, ContractView, Snapshot
from core.i18n import N_
from core.kernel.digits import normalise
from core.kernel.money import Money
from core.payments.model import BeginRefused, Offer

Params = Mapping[str, Any]
HOME = "home"
# How many screens back 0 can lead.
_TRAIL = 6
# So many answers that lead nowhere, and the short line becomes a longer help.
HELP_AFTER = 3

WRONG_CHOICE = N_("Type one of the numbers shown.")
HELP_CHOICE = N_("Type only the number before your choice, then send.")


class Gone(LookupError):
    """What a state speaks of is not there any more: a link went stale, a contract was closed. Home again."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A payment that was about to be confirmed when a session ended. Amounts are looked up again."""

    contract_id: int
    account: str | None
    what: str
    minor: int
    currency: str
    invoice_id: int | None = None

    @property
    def amount(self) -> Money:
        return Money(self.minor, self.currency)


@dataclass(frozen=True, slots=True)
class Context:
    """All that a state may look at. `params` are its own, made by the states before it.

    `offers`: currency → the brands that collect in it. `own_brand`: the wallet that goes with the caller's number.
    `agent`: whose PIN was right in this session. States whose key begins with `agent.` get a snapshot without anything
    in it but the number and the moment (`looked_up` False): what they show, deeds have read.
    """

    snapshot: Snapshot
    service_code: str
    params: Params = field(default_factory=dict)
    resume: Resume | None = None
    agencies: tuple[AgencyView, ...] = ()
    offers: Mapping[str, tuple[Offer, ...]] = field(default_factory=dict)
    own_brand: str | None = None
    agent: AgentRole | None = None
    looked_up: bool = True

    @property
    def phone(self) -> str:
        return self.snapshot.phone

    @property
    def contract(self) -> ContractView:
        """The contract this state is about. Raises Gone."""
        found = self.snapshot.contract(self.params.get("c", 0))
        if found is None:
            raise Gone
        return found


@dataclass(frozen=True, slots=True)
class Said:
    """What the customer answered. `choice`: the value behind the key on the screen that was shown, if it was one."""

    choice: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Go:
    """On to another state. `forget`: 0 does not lead back here."""

    key: str
    params: Params = field(default_factory=dict)
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """The same screen, under one line that says what is expected. `params` replace the state's own."""

    hint: Line
    params: Params | None = None


@dataclass(frozen=True, slots=True)
class Pay:
    """Begin this payment; `end` is shown when it is recorded, and stored with it.

    `contract_id` None: an agent buys float, and `float_agent_id` says whose. `refused`: the state that says why the
    payment was not begun, with `why`, `state` and `brand` in its params.
    """

    contract_id: int | None
    amount: Money
    brand: str
    payer_phone: str
    invoice_ids: tuple[int, ...]
    end: Screen
    float_agent_id: int | None = None
    refused: str = "pay.refused"


@dataclass(frozen=True, slots=True)
class Speak:
    """From here on in this language; kept for the number."""

    language: str


@dataclass(frozen=True, slots=True)
class Act:
    """Have `deed` done, once for this turn; then on to the state `then`, with what came of it in its params as "did".

    `values` are what the deed needs, `pin` what was typed at a secret step: neither is kept. `forget` as in Go. A state
    that answers so is guarded or secret: digits typed ahead and replayed transcripts stop before it.
    """

    deed: str
    then: str
    values: Params = field(default_factory=dict)
    params: Params = field(default_factory=dict)
    pin: str | None = field(default=None, repr=False)
    forget: bool = False


Step = Go | Again | Pay | Speak | Act


class State(Protocol):
    """One screen. `secret`: what is typed here is a PIN and reaches no store, log or screen. `guarded`: digits typed
    ahead and replayed transcripts stop before it."""

    key: str
    secret: bool
    guarded: bool

    def show(self, ctx: Context) -> Screen: ...

    def answer(self, ctx: Context, said: Said) -> Step: ...


class Plain:
    """What most states are. `help`: what is said after three wrong answers."""

    key = ""
    secret = False
    guarded = False
    help = HELP_CHOICE


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer stands. `shown`: key → value of the page on the phone (and of the screen's other pages, where
    their numbers never change), so that an answer means what was shown even if the list has changed since. `trail`:
    the way back."""

    key: str
    params: Params = field(default_factory=dict)
    errors: int = 0
    page: int = 0
    trail: tuple[tuple[str, Params], ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    hint: Line | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A place with the page that shows it. `currency`: of the contract it is about, if there is one."""

    place: Place
    page: Page
    screen: Screen
    currency: str | None = None


class Menu:
    """All states, by key. `start` says where a dial leads for a snapshot."""

    def __init__(self, states: Mapping[str, State]) -> None:
        self._states = states

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._states)

    def state(self, key: str) -> State:
        return self._states[key]

    def knows(self, key: str) -> bool:
        return key in self._states

    def answer(self, place: Place, ctx: Context, typed: str) -> Place | Pay | Speak | Act:
        """Where `typed` leads from `place`; or what has to be done first."""
        state = self._states[place.key]
        ctx = replace(ctx, params=place.params)
        text = typed.strip()
        choice = None if state.secret else place.shown.get(_key(text))
        if choice == BACK:
            return self._back(place)
        if choice == MORE:
            return replace(place, page=place.page + 1, errors=0, hint=None)
        try:
            step = state.answer(ctx, Said(choice, text))
        except Gone:
            return Place(HOME)
        match step:
            case Go(key, params, forget):
                return onward(place, key, params, forget=forget)
            case Again(hint, params):
                errors = place.errors + 1
                shown = Line(getattr(state, "help", HELP_CHOICE)) if errors >= HELP_AFTER else hint
                return replace(place, errors=errors, hint=shown, params=place.params if params is None else params)
            case Pay() | Speak() | Act():
                return step

    def draw(self, place: Place, ctx: Context, language: str, network: Network) -> Drawn:
        """The page that shows `place`. A place that is gone becomes home."""
        try:
            screen = self._states[place.key].show(replace(ctx, params=place.params))
        except Gone:
            place = Place(HOME)
            screen = self._states[HOME].show(replace(ctx, params=place.params))
        if place.hint is not None:
            screen = hinted(screen, place.hint)
        page = fit(screen, language, network=network, page=place.page)
        contract = ctx.snapshot.contract(place.params.get("c", 0))
        return Drawn(
            replace(place, shown={**page.elsewhere, **page.keys}), page, screen, contract.currency if contract else None
        )

    def _back(self, place: Place) -> Place:
        if place.page:
            return replace(place, page=place.page - 1, errors=0, hint=None)
        if not place.trail:
            return Place(HOME)
        key, params = place.trail[-1]
        return Place(key, params, trail=place.trail[:-1])


def hinted(screen: Screen, hint: Line) -> Screen:
    """`screen` under a line that says what is expected; a confirmation that fills the page goes without it."""
    return replace(screen, lines=(replace(hint, optional=screen.whole), *screen.lines))


def onward(place: Place, key: str, params: Params, *, forget: bool = False) -> Place:
    """The place that `place` leads to. `forget`: 0 does not lead back to it."""
    trail = place.trail if forget else (*place.trail, (place.key, place.params))[-_TRAIL:]
    return Place(key, params, trail=() if key == HOME else trail)


def done(place: Place, act: Act, did: Params) -> Place:
    """Where a deed that was done leads: where the state said, unless the deed itself says `then` (a PIN that is wrong
    leads back to it)."""
    return onward(place, str(did.get("then", act.then)), {**act.params, "did": dict(did)}, forget=act.forget)


def refused(place: Place, pay: Pay, answer: BeginRefused) -> Place:
    """Where a payment that was not begun leads. What was to be paid is kept: another wallet may take it."""
    why = {"why": answer.why, "state": answer.attempt_state, "brand": pay.brand}
    return Place(pay.refused, {**place.params, **why}, trail=place.trail)


def _key(text: str) -> str:
    """A menu choice as people type it: blanks, a closing #, O for 0, digits of another alphabet."""
    plain = normalise(text.rstrip("#"))
    return plain if len(plain) <= 2 else ""
