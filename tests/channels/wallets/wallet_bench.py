"""One wallet on a network made for it: what its answers are judged on. The answers themselves: cases_<wallet>.py.

Shapes are files in shapes/, as the operators' documents and samples show them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import httpx

from channels.wallets.registry import build
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import Wallet, WalletAttempt

SHAPES = Path(__file__).parent / "shapes"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ATTEMPT_ID = "5f0c2b7e-9a1d-4c1f-8e22-a7b0c4d5e6f7"

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]
# What a wallet's cases must cover; a name may be followed by anything.
REQUIRED_CASES = frozenset({
    "accepted", "refused", "no_funds", "timeout", "not_connected", "garbage", "server_error", "throttled",
    "overloaded", "duplicate", "query_paid", "query_pending", "query_failed", "query_not_found", "query_timeout",
    "query_garbage",
})  # fmt: skip
HTML = httpx.Response(200, html="<h1>Welcome</h1>")


def shape(name: str, **changed: Any) -> dict[str, Any]:
    return {**json.loads((SHAPES / f"{name}.json").read_text("utf-8")), **changed}


def says(name: str, status: int = 200, **changed: Any) -> httpx.Response:
    return httpx.Response(status, json=shape(name, **changed))


def fails(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("the network", request=request)

    return answer


def attempt(**changed: Any) -> WalletAttempt:
    usual = WalletAttempt(
        attempt_id=ATTEMPT_ID,
        own_ref="E0123456789ABCDEFGHJ",
        brand="mpesa",
        payer_phone="+243810000001",
        amount=Money.units(12500, "CDF"),
        account_number="1234567897",
        description="Facture d'électricité n° 000123",
    )
    return WalletAttempt(**{name: getattr(usual, name) for name in usual.__dataclass_fields__} | changed)


@dataclass(frozen=True)
class Case:
    """One answer of an operator to one call, and the value that comes of it."""

    name: str
    answer: Answer
    expected: object
    call: Literal["start", "query"] = "start"
    config: Mapping[str, Any] = field(default_factory=dict)
    attempt: Mapping[str, Any] = field(default_factory=dict)


class Cases(Protocol):
    """What a module cases_<wallet>.py has. An operator without one fails the tests.

    `USUAL`: what an attempt of this wallet has other than `attempt()`. `login`: the answer to a request for a session
    or token (the running number of it is given), None for any other request. `OPTIONS`: for `build`, given the bench.
    """

    CASES: Sequence[Case]
    SECRETS: tuple[str, ...]
    USUAL: Mapping[str, Any]
    UNSENDABLE: tuple[Money, ...]

    def config(self, **changed: Any) -> object: ...

    def login(self, request: httpx.Request, number: int) -> httpx.Response | None: ...

    def options(self, bench: Bench) -> Mapping[str, Any]: ...


def cases_of(name: str) -> Cases:
    """Raises ModuleNotFoundError for a wallet that nobody wrote cases for."""
    return cast("Cases", import_module(f"cases_{name}"))


class Network:
    """An operator that gives the same answer to every call on money, and remembers what it was asked."""

    def __init__(self, answer: Answer, login: Callable[[httpx.Request, int], httpx.Response | None]) -> None:
        self.answer = answer
        self._login = login
        self.session_answer: Answer | None = None
        self.asked: list[httpx.Request] = []
        self.asked_for_sessions: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        logged_in = self._login(request, len(self.asked_for_sessions) + 1)
        if logged_in is not None:
            self.asked_for_sessions.append(request)
            return logged_in if self.session_answer is None else _given(self.session_answer, request)
        self.asked.append(request)
        return _given(self.answer, request)

    @property
    def sessions(self) -> int:
        return len(self.asked_for_sessions)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.asked if request.method == "POST"]


def _given(answer: Answer, request: httpx.Request) -> httpx.Response:
    return answer if isinstance(answer, httpx.Response) else answer(request)


class Bench:
    """One wallet, built through the registry, on a network made for it. Sleeping moves its clock."""

    def __init__(self, name: str, answer: Answer, **config: Any) -> None:
        self.cases = cases_of(name)
        self.clock = FixedClock(NOW)
        self.network = Network(answer, self.cases.login)
        self.slept: list[float] = []
        self.http = PartnerHttp(name, transport=httpx.MockTransport(self.network))
        self.config = self.cases.config(**config)
        self.wallet: Wallet = build(name, self.config, http=self.http, clock=self.clock, **self.cases.options(self))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds=seconds)

    def run(self, call: str, **changed: Any) -> object:
        asked = attempt(**{**self.cases.USUAL, **changed})
        return self.wallet.start(asked) if call == "start" else self.wallet.query(asked)
