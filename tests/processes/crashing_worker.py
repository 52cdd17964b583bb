"""A push worker that kills itself at a chosen point of a chosen customer's payment, once, with SIGKILL.

It is the real worker process: the real wiring, runner, queue and adapters. Only the wallets and the runner are wrapped.
A point is armed by a file `<point>~<phone>` in MWOLO_TEST_CRASHES; whoever reaches it takes the file and dies.

    before_call   the attempt is claimed and committed, the wallet has not been called
    after_call    the wallet has answered, nothing is recorded
    after_record  the answer is recorded, the outbox row is not finished
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from core.db import Database
from core.kernel.clock import Clock
from core.outbox import Leased, Outcome
from core.payments.ports import StartAnswer, Wallet, WalletAttempt
from core.payments.tables import AttemptRow
from mwolo.wiring import Wiring
from workers.executor import Handler, Runner
from workers.runtime import keep_warm, work

POINTS = ("before_call", "after_call", "after_record")


def die_at(point: str, phone: str) -> None:
    try:
        (Path(os.environ["MWOLO_TEST_CRASHES"]) / f"{point}~{phone}").unlink()
    except FileNotFoundError:
        return
    print(f"dying at {point} for {phone}", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


class MortalWallet:
    """A wallet whose caller may die around the call."""

    def __init__(self, inner: Wallet) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        die_at("before_call", attempt.payer_phone)
        answer = self._inner.start(attempt)
        die_at("after_call", attempt.payer_phone)
        return answer


def mortal(handler: Handler, db: Database) -> Handler:
    def run(row: Leased) -> Outcome:
        outcome = handler(row)
        with db.read() as session:
            attempt = session.get(AttemptRow, row.body["attempt_id"])
            phone = attempt.payer_phone if attempt else ""
        die_at("after_record", phone)
        return outcome

    return run


class MortalWiring(Wiring):
    """The real wiring with mortal wallets."""

    @property
    def mortal_runner(self) -> Runner:
        built: Mapping[str, Wallet] = {name: MortalWallet(wallet) for name, wallet in self.wallets.items()}  # type: ignore[misc]
        self.__dict__["wallets"] = built
        clock: Clock = self.clock
        handlers = dict(self.handlers)
        handlers["attempt.push"] = mortal(handlers["attempt.push"], self.db)
        return Runner(self.db, clock, handlers, lease_scale=self.settings.lease_scale)


def main() -> int:
    wiring = MortalWiring.from_environment()
    assert isinstance(wiring, MortalWiring)
    keep_warm(wiring.wallets.values(), Event())
    work("push", wiring.mortal_runner, wiring.redis)
    return 0


if __name__ == "__main__":
    sys.exit(main())
