"""What a story needs: the town's doors, a table of what was seen, and checks that really look."""

from __future__ import annotations

import json
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

ANSWER_S = 600.0


class StepFailed(AssertionError):
    """A step did not happen as the story says."""


class Box:
    """The sandbox's own API, as any outside program would use it."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **query: str) -> Any:
        tail = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._ask(urllib.request.Request(f"{self._base}/sandbox/api/{path}{tail}"))  # noqa: S310

    def text(self, path: str, **query: str) -> bytes:
        """A file, byte for byte."""
        tail = f"?{urllib.parse.urlencode(query)}" if query else ""
        with self._opener.open(f"{self._base}/sandbox/api/{path}{tail}", timeout=ANSWER_S) as reply:
            found: bytes = reply.read()
        return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._ask(
            urllib.request.Request(  # noqa: S310 (our own loopback address)
                f"{self._base}/sandbox/api/{path}",
                data=json.dumps(body or {}).encode(),
                headers={"Content-Type": "application/json"},
                method="POST",
            )
        )

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=ANSWER_S) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise StepFailed(f"{request.full_url}: {refusal.code} {refusal.read(400).decode()}") from None

    def phone(self, number: str) -> Phone:
        return Phone(self, number)


@dataclass
class Phone:
    """One customer's handset."""

    box: Box
    number: str
    _seen: int = 0
    _unread: list[str] = field(default_factory=list)

    @property
    def _path(self) -> str:
        return urllib.parse.quote(self.number)

    def dial(self, code: str) -> str:
        return self._screen(self.box.post(f"ussd/{self._path}/dial", {"code": code}))

    def types(self, digits: str) -> str:
        return self._screen(self.box.post(f"ussd/{self._path}/reply", {"input": digits}))

    @staticmethod
    def _screen(answer: Mapping[str, Any]) -> str:
        if answer.get("error"):
            raise StepFailed(f"the network says: {answer['error']}")
        return str(answer["text"])

    def new_sms(self) -> list[str]:
        """Texts that came and were not taken yet."""
        for row in self.box.get("sms", phone=self.number, after=str(self._seen)):
            self._seen = max(self._seen, int(row["id"]))
            self._unread.append(str(row["text"]))
        return list(self._unread)

    def waits_for_sms(self, what: str, having: str = "", timeout_s: float = 60) -> str:
        """Take the first text that has these words in it. Others that came meanwhile stay for whoever waits for them:
        a receipt and the news that the light is back may arrive together."""
        found: list[str] = []

        def come() -> bool:
            found.extend(text for text in self.new_sms() if having in text)
            return bool(found)

        wait_for(come, f"an SMS: {what}", timeout_s)
        self._unread.remove(found[0])
        return found[0]

    def waits_for_prompt(self, timeout_s: float = 60) -> Mapping[str, Any]:
        """The operator's PIN prompt."""
        found: list[Mapping[str, Any]] = []

        def come() -> bool:
            found.extend(self.box.get("prompts", phone=self.number))
            return bool(found)

        wait_for(come, "the operator's PIN prompt", timeout_s)
        return found[0]

    def enters_pin(self, pin: str) -> str:
        return str(self.box.post(f"prompts/{self._path}", {"pin": pin})["outcome"])


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise StepFailed(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.1)


@dataclass
class Table:
    """What the customer saw and what the system did, side by side, printed as it happens."""

    widths: tuple[int, int, int] = (17, 52, 46)
    failed: bool = field(default=False, init=False)

    def head(self) -> None:
        self._line("business time", "what the customer saw", "what the system did, and how we know")
        click.echo("-+-".join("-" * w for w in self.widths))

    def row(self, at: datetime, saw: str, did: str) -> None:
        stamp = at.strftime("%a %d/%m %H:%M")
        left, right = _wrapped(saw, self.widths[1]), _wrapped(did, self.widths[2])
        for i in range(max(len(left), len(right))):
            self._line(stamp if i == 0 else "", _at(left, i), _at(right, i))
        click.echo("-+-".join("-" * w for w in self.widths))

    def _line(self, *cells: str) -> None:
        click.echo(" | ".join(cell.ljust(w) for cell, w in zip(cells, self.widths, strict=True)).rstrip())


def _at(lines: list[str], i: int) -> str:
    return lines[i] if i < len(lines) else ""


def _wrapped(text: str, width: int) -> list[str]:
    return [part for line in text.splitlines() for part in (textwrap.wrap(line, width) or [""])]


def check(condition: object, sentence: str) -> None:
    """A step of the proof. Raises StepFailed with the sentence that is not true."""
    if not condition:
        raise StepFailed(sentence)
