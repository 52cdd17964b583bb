"""One USSD request and its answer, exactly once.

The same transcript again gets the same bytes and runs nothing. A late one gets its own old answer, a diverging one the
current screen. A duplicate that comes while the first is still running waits for the first one's answer. How, and what
an emptied Redis costs: `docs/ussd.md`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from redis.exceptions import RedisError

from channels.ussd.deeds import Asked, Deed
from channels.ussd.gateway import Turn, UssdGateway
from channels.ussd.memory import Memory
from channels.ussd.menu.engine import HOME, Act, Context, Menu, Pay, Place, Resume, Speak, done, refused
from channels.ussd.menu.fit import Network, fit, words
from channels.ussd.menu.screen import Screen, line
from channels.ussd.sessions import (
    FORGET_RESUME,
    KEEP_RESUME,
    Busy,
    Claimed,
    OtherCaller,
    Outcome,
    Over,
    SessionKeys,
    SessionStore,
    Stored,
)
from core.customers.model import AgencyView, Snapshot
from core.i18n import DEFAULT_LANGUAGE, N_
from core.kernel.clock import Clock
from core.kernel.digits import is_account_number, normalise
from core.kernel.errors import NotRecorded
from core.payments.model import BeginRefused, Begun, Offer, PaymentRequest
from core.phone_numbers import first_guess
from core.turns.model import TurnEntry

# A duplicate waits a little longer than a crashed turn holds its lock; aggregators give up after 10 s.
WAIT_S = 7.0
_POLL_S = (0.01, 0.02, 0.04, 0.08)
# Where an agent works: no caller is looked up there, deeds read what is needed.
_AGENTS_OWN = "agent."
# Where a payment stands while its wallet is being chosen.
_CHOOSING_WALLET = frozenset({"pay.confirm", "pay.wallet", "pay.number"})
_DETAILED = frozenset({"receipts", "receipt"})
_TYPED_KEPT = 40

NOT_RECORDED = N_("Not recorded. Nothing was charged. Please dial again in a moment.")
BUSY = N_("The service is busy. Please dial again in a moment.")
NOT_YOURS = N_("This session is not open for this number. Please dial again.")
OVER = N_("This session is over. Please dial again.")

_log = structlog.get_logger("ussd")


class CustomerReads(Protocol):
    """Who is calling. Each may raise NotRecorded."""

    def snapshot(
        self, phone: str, account: str | None = None, *, details: bool = True, turn_key: str | None = None
    ) -> Snapshot: ...
    def agencies(self) -> tuple[AgencyView, ...]: ...
    def set_language(self, phone: str, language: str) -> None: ...


class PaymentDoor(Protocol):
    """Begins a payment in one transaction, once for each turn key. May raise NotRecorded."""

    def begin(self, request: PaymentRequest) -> Begun | BeginRefused: ...

    def offers(self, currency: str) -> tuple[Offer, ...]:
        """What may be chosen for money in this currency. From memory: no database is asked."""
        ...


@dataclass(frozen=True, slots=True)
class _Ran:
    """What running a turn came to: the text, and what to remember."""

    text: str
    ended: bool
    memory: Memory
    state: str
    typed: str = ""
    contract_id: int | None = None
    begun: bool = False
    resume: str = KEEP_RESUME


class UssdTurns:
    """Answers requests. Built once per process; safe for several threads."""

    def __init__(
        self,
        store: SessionStore,
        menu: Menu,
        customers: CustomerReads,
        payments: PaymentDoor,
        clock: Clock,
        *,
        deeds: Mapping[str, Deed] | None = None,
        brand_of: Callable[[str], str | None] = first_guess,
        networks: Mapping[str, Network] | None = None,
        count: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """`deeds`: what screens have done, by name. `brand_of`: the wallet to propose for a number, from memory.
        `networks`: network code → what it can show; one that is not listed gets the smallest budget. `count` is called
        once per request with what became of it."""
        self._store = store
        self._menu = menu
        self._customers = customers
        self._payments = payments
        self._clock = clock
        self._deeds = deeds or {}
        self._brand_of = brand_of
        self._networks = networks or {}
        self._smallest = Network()
        self._count = count

    def answer(self, gateway: UssdGateway, turn: Turn) -> bytes:
        """The bytes to answer with. Never raises for what Redis or the database do."""
        try:
            return self._answer(gateway, turn)
        except RedisError as error:
            self._count("redis_down")
            _log.warning("ussd_redis_down", error=type(error).__name__)
            return self._sorry(gateway, turn, BUSY)

    def _answer(self, gateway: UssdGateway, turn: Turn) -> bytes:
        keys = self._store.keys(turn.gateway, turn.session_id, turn.phone, turn.service_code)
        digest = self._transcript_digest(keys, turn.transcript)
        token, today = secrets.token_hex(8), self._clock.real_now().date()
        until, polls = time.monotonic() + WAIT_S, 0
        while True:
            claimed = self._store.claim(keys, length=len(turn.transcript), digest=digest, token=token, today=today)
            match claimed:
                case Stored(answer):
                    self._count("replayed")
                    return answer
                case OtherCaller():
                    self._count("other_caller")
                    return self._sorry(gateway, turn, NOT_YOURS)
                case Over():
                    self._count("over")
                    return self._sorry(gateway, turn, OVER)
                case Claimed():
                    done = self._process(gateway, turn, keys, digest, claimed)
                    if done is not None:
                        return done
                case Busy():
                    pass
            if time.monotonic() > until:
                self._count("waited_in_vain")
                return self._sorry(gateway, turn, BUSY)
            time.sleep(_POLL_S[min(polls, len(_POLL_S) - 1)])
            polls += 1

    def _process(
        self, gateway: UssdGateway, turn: Turn, keys: SessionKeys, digest: str, claimed: Claimed
    ) -> bytes | None:
        """Run a claimed turn and write it down. None: somebody else has taken it over."""
        try:
            typed = self._typed(keys, claimed, turn.transcript)
            if typed is None:
                self._store.release(keys, claimed)
                self._count("diverged")
                return claimed.current
            ran = self._run(turn, claimed, typed)
        except Exception:
            # Whatever it was, the next copy of this request must not wait for us.
            with suppress(RedisError):
                self._store.release(keys, claimed)
            raise
        answer = gateway.render(ran.text, ended=ran.ended)
        journal = self._journal(turn, claimed, digest, ran).to_json()
        outcome = Outcome(len(turn.transcript), digest, answer, ran.memory.to_json(), ran.ended, ran.resume, journal)
        try:
            written = self._store.write(keys, claimed, outcome)
        except RedisError:
            if not ran.begun:
                raise
            # The payment is committed and its END stored with it: the customer must read it.
            self._count("unwritten")
            return answer
        if written is not None:
            self._count("ran" if claimed.state is not None or not turn.transcript else "rebuilt")
        return written

    def _typed(self, keys: SessionKeys, claimed: Claimed, transcript: str) -> str | None:
        """What is new in the transcript: all of it where nothing is known, else what follows the processed part,
        without the one `*` that joins them. None when the transcript does not follow on the processed one."""
        if claimed.state is None:
            return transcript
        done, new = transcript[: claimed.length], transcript[claimed.length :]
        if self._transcript_digest(keys, done) != claimed.digest:
            return None
        if new.startswith("*"):
            return new[1:]
        return None if done else new

    def _run(self, turn: Turn, claimed: Claimed, typed: str) -> _Ran:
        network = self._networks.get(turn.network_code, self._smallest)
        known = claimed.state is not None
        memory = Memory.from_json(claimed.state) if claimed.state is not None else Memory()
        replies = [typed] if known else typed.split("*") if typed else []
        resume = memory.resume if known else None if typed else Memory.read_resume(claimed.resume)
        try:
            if known and _is_agents_own(memory, typed):
                ctx = self._agents_own(turn, memory)
            else:
                key = None if known or not replies else self._turn_key(turn, claimed)
                ctx = self._look(turn, memory, replies, resume, turn_key=key)
            language = memory.language or ctx.snapshot.language or DEFAULT_LANGUAGE
            memory = replace(memory, language=language, resume=resume)
            if known:
                return self._step(turn, claimed, ctx, memory, network, typed)
            if ctx.snapshot.end_text is not None:
                end = ctx.snapshot.end_text
                return _Ran(end, True, memory, "pay.begun", begun=True, resume=FORGET_RESUME)
            return self._from_start(ctx, memory, network, replies, turn)
        except NotRecorded as error:
            # The driver's own words, without the statement and what it was about: people's numbers stand there.
            _log.warning("ussd_not_recorded", why=str(error), driver=str(getattr(error.__cause__, "orig", "")))
            self._count("not_recorded")
            language = memory.language or DEFAULT_LANGUAGE
            return _Ran(words(line(NOT_RECORDED), language, network), True, memory, "not_recorded")

    def _look(
        self, turn: Turn, memory: Memory, replies: list[str], resume: Resume | None, *, turn_key: str | None = None
    ) -> Context:
        """Look the caller up: at most two reads."""
        account = _account(replies, memory.place, resume)
        details = _may_show_details(replies, memory.place)
        snapshot = self._customers.snapshot(turn.phone, account, details=details, turn_key=turn_key)
        contracts = snapshot.contracts if snapshot.other is None else (*snapshot.contracts, snapshot.other)
        return Context(
            snapshot,
            turn.service_code,
            resume=resume,
            agencies=self._customers.agencies(),
            offers={currency: self._payments.offers(currency) for currency in {c.currency for c in contracts}},
            own_brand=self._brand_of(turn.phone),
            agent=memory.agent,
        )

    def _agents_own(self, turn: Turn, memory: Memory) -> Context:
        """Where an agent works nobody is looked up: what a screen shows, a deed has read."""
        currency = memory.agent.currency if memory.agent else None
        return Context(
            Snapshot(turn.phone, self._clock.now(), memory.language),
            turn.service_code,
            offers={currency: self._payments.offers(currency)} if currency else {},
            own_brand=self._brand_of(turn.phone),
            agent=memory.agent,
            looked_up=False,
        )

    def _from_start(self, ctx: Context, memory: Memory, network: Network, replies: list[str], turn: Turn) -> _Ran:
        """A dial, perhaps with digits typed ahead; or, Redis emptied, a session whose replies are all in the
        transcript. Applied one by one without effects, up to the first step that is guarded: it is asked again."""
        place, language = Place(HOME), memory.language or DEFAULT_LANGUAGE
        drawn = self._menu.draw(place, ctx, language, network)
        taken = 0
        for reply in replies:
            state = self._menu.state(drawn.place.key)
            if state.guarded or state.secret or drawn.screen.ended:
                break
            step = self._menu.answer(drawn.place, ctx, reply)
            taken += 1
            if isinstance(step, Speak):
                language, step = step.language, Place(HOME)
                if taken == len(replies):
                    self._customers.set_language(turn.phone, language)
            if isinstance(step, Pay | Act):
                raise AssertionError(f"{drawn.place.key} does something without being guarded")
            drawn = self._menu.draw(step, ctx, language, network)
        memory = memory.at(drawn, language)
        return self._ran(drawn.page.text, drawn.screen, memory, "*".join(replies[:taken]), was=HOME)

    def _step(self, turn: Turn, claimed: Claimed, ctx: Context, memory: Memory, network: Network, typed: str) -> _Ran:
        language, was = memory.language or DEFAULT_LANGUAGE, memory.place.key
        if not self._menu.knows(was):
            # A release took the screen away while a customer stood on it.
            memory = replace(memory, place=Place(HOME))
        kept = "" if self._menu.state(memory.place.key).secret else typed
        step = self._menu.answer(memory.place, ctx, typed)
        if isinstance(step, Pay):
            begun = self._begin(turn, claimed, step, language, network)
            if isinstance(begun, Begun):
                return _Ran(
                    begun.end_text, True, memory, "pay.begun", kept, step.contract_id, True, resume=FORGET_RESUME
                )
            step = refused(memory.place, step, begun)
        elif isinstance(step, Speak):
            language = step.language
            self._customers.set_language(turn.phone, language)
            step = Place(HOME)
        elif isinstance(step, Act):
            ctx = self._for(step.then, ctx, turn, memory, typed)
            did = self._do(turn, claimed, ctx, memory, network, step)
            if isinstance(did, _Ran):
                return replace(did, typed=kept)
            memory, step = did
            ctx = replace(ctx, agent=memory.agent)
        ctx = self._for(step.key, ctx, turn, memory, typed)
        drawn = self._menu.draw(step, ctx, language, network)
        return self._ran(drawn.page.text, drawn.screen, memory.at(drawn, language), kept, was=was)

    def _for(self, key: str, ctx: Context, turn: Turn, memory: Memory, typed: str) -> Context:
        """The context in which the state `key` is shown: who leaves an agent's own screens is looked up."""
        if ctx.looked_up or key.startswith(_AGENTS_OWN):
            return ctx
        return self._look(turn, memory, [typed], None)

    def _do(
        self, turn: Turn, claimed: Claimed, ctx: Context, memory: Memory, network: Network, act: Act
    ) -> _Ran | tuple[Memory, Place]:
        """Have a deed done, and say where it leads; or what was said the first time, where the session is over."""
        language = memory.language or DEFAULT_LANGUAGE

        def say(did: Mapping[str, Any]) -> str | None:
            drawn = self._menu.draw(done(memory.place, act, did), ctx, language, network)
            return drawn.page.text if drawn.screen.ended else None

        asked = Asked(self._turn_key(turn, claimed), turn.phone, language, act.values, say, act.pin)
        result = self._deeds[act.deed](asked)
        memory = replace(memory, agent=result.agent or memory.agent)
        place = done(memory.place, act, result.did)
        if result.end_text is not None:
            contract_id = place.params.get("c")
            return _Ran(result.end_text, True, memory, place.key, contract_id=contract_id, begun=True)
        return memory, place

    def _ran(self, text: str, screen: Screen, memory: Memory, typed: str, *, was: str) -> _Ran:
        key, params = memory.place.key, memory.place.params
        if key == "pay.confirm":
            resume = Memory.resume_of(params, memory.currency)
        else:
            choosing = key in _CHOOSING_WALLET or (key == "pay.refused" and not screen.ended)
            resume = FORGET_RESUME if was == "pay.confirm" and not choosing else KEEP_RESUME
        contract_id = screen.warned_contract or params.get("c")
        return _Ran(text, screen.ended, memory, key, typed, contract_id, resume=resume)

    def _begin(self, turn: Turn, claimed: Claimed, pay: Pay, language: str, network: Network) -> Begun | BeginRefused:
        request = PaymentRequest(
            payer_phone=pay.payer_phone,
            asked_by_phone=turn.phone,
            brand=pay.brand,
            contract_id=pay.contract_id,
            amount=pay.amount,
            language=language,
            origin="ussd",
            turn_key=self._turn_key(turn, claimed),
            end_text=fit(pay.end, language, network=network).text,
            invoice_ids=pay.invoice_ids,
            float_agent_id=pay.float_agent_id,
        )
        return self._payments.begin(request)

    def _journal(self, turn: Turn, claimed: Claimed, digest: str, ran: _Ran) -> TurnEntry:
        seen = Memory.from_json(claimed.state).warned if claimed.state is not None else None
        return TurnEntry(
            gateway=turn.gateway,
            session_id=turn.session_id,
            phone=turn.phone,
            service_code=turn.service_code,
            day=claimed.day.isoformat(),
            position=claimed.turns,
            state=ran.state,
            prefix_length=len(turn.transcript),
            prefix_hash=digest,
            typed=ran.typed[:_TYPED_KEPT],
            screen=ran.text,
            ended=ran.ended,
            contract_id=ran.contract_id,
            at=self._clock.now().isoformat(),
            seen_contract_id=seen,
            network=turn.network_code,
            language=ran.memory.language or "",
        )

    def _turn_key(self, turn: Turn, claimed: Claimed) -> str:
        """Names this turn for ever: the attempt it makes is unique on it."""
        parts = (turn.gateway, turn.session_id, turn.phone, turn.service_code, claimed.day.isoformat(), turn.transcript)
        return self._store.digest("k|" + "|".join(parts))

    def _transcript_digest(self, keys: SessionKeys, transcript: str) -> str:
        return self._store.digest(f"t|{keys.session}|{transcript}")

    def _sorry(self, gateway: UssdGateway, turn: Turn, text: str) -> bytes:
        """The session ends here; whose language it is, is not known."""
        network = self._networks.get(turn.network_code, self._smallest)
        return gateway.render(words(line(text), DEFAULT_LANGUAGE, network), ended=True)


def _is_agents_own(memory: Memory, typed: str) -> bool:
    """Whether an agent is at work: on a screen of the trade, or at home on the way to one, with the PIN behind."""
    place = memory.place
    if place.key == HOME and memory.agent is not None:
        return place.shown.get(typed.strip(), "").startswith(_AGENTS_OWN)
    return place.key.startswith(_AGENTS_OWN)


def _account(replies: list[str], place: Place, resume: Resume | None) -> str | None:
    """The account number that this turn may speak of: just typed, chosen before, or of the payment to go on with."""
    for reply in replies:
        number = normalise(reply)
        if is_account_number(number):
            return number
    chosen = place.params.get("account")
    if chosen is not None:
        return str(chosen)
    return resume.account if resume is not None else None


def _may_show_details(replies: list[str], place: Place) -> bool:
    """Whether this turn can reach a screen with receipts and the like: not a bare dial, which shows the home screen,
    nor a step of a payment, whose ways lead on or back the way one came. Reading them costs 30 to 40 us."""
    keys = (place.key, *(key for key, _params in place.trail))
    return bool(replies) and not (place.key.startswith("pay.") and not _DETAILED.intersection(keys))
