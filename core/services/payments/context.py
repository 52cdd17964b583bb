"""What the parts of the payments service share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.payments.model import Offer, OpenSessions
from core.payments.ports import Wallet, WalletAttempt
from core.payments.tables import AttemptRow
from core.services.payments.circuits import Circuits
from core.services.payments.pace import Lanes, Turnstile


@dataclass(frozen=True, slots=True)
class Context:
    db: Database
    clock: Clock
    wallets: Mapping[str, Wallet]
    routes: Mapping[str, Sequence[str]]
    open_sessions: OpenSessions
    query_scale: float
    push_delay_s: float
    callback_bases: Mapping[str, str]
    circuits: Circuits
    turnstile: Turnstile
    lanes: Lanes

    def age_s(self, attempt: AttemptRow) -> float:
        """Seconds since the wallet was first asked, as the unscaled schedule counts them."""
        if attempt.submitted_at is None:
            return 0.0
        return (self.clock.real_now() - attempt.submitted_at).total_seconds() / self.query_scale

    def hold_s(self, wallet: str, call: Literal["start", "query"]) -> float:
        """How long a call has to wait for its turn. Requests get three quarters of the pace at most: a crowd of them
        must not keep us from learning what became of the ones before."""
        pace = self.wallets[wallet].can.calls_per_minute
        requests = max(1, pace - pace // 4)
        if call == "start" and requests < pace:
            hold_s = self.turnstile.wait_s(f"{wallet}:start", requests)
            if hold_s > 0:
                return hold_s
        return self.turnstile.wait_s(wallet, pace)

    def serving(self, brand: str, currency: str) -> list[str]:
        """The wallets that could collect for a brand in a currency, the preferred one first."""
        return [
            name
            for name in self.routes.get(brand, ())
            if name in self.wallets and currency in self.wallets[name].can.decimals
        ]

    def offers(self, currency: str) -> tuple[Offer, ...]:
        """See `Payments.offers`."""
        offered = []
        for brand in self.routes:
            names = self.serving(brand, currency)
            well = next((name for name in names if not self.circuits.is_open(name)), None)
            if names:
                offered.append(Offer(brand, well, down=well is None))
        return tuple(offered)

    def for_wallet(self, session: Session, attempt: AttemptRow) -> WalletAttempt:
        """The attempt in the words of the port. Read inside a transaction, used outside."""
        contract = session.get(ContractRow, attempt.contract_id) if attempt.contract_id else None
        account = contract.account_number if contract else attempt.own_ref
        base = self.callback_bases.get(attempt.wallet)
        return WalletAttempt(
            attempt_id=attempt.id,
            own_ref=attempt.own_ref,
            brand=attempt.brand,
            payer_phone=attempt.payer_phone,
            amount=Money(attempt.charged_minor, attempt.charged_currency),
            account_number=account,
            description=f"Electricite {account}",
            language=attempt.language,
            provider_ref=attempt.provider_ref,
            provider_txn_id=attempt.provider_txn_id,
            callback_url=f"{base}/callback/{attempt.id}" if base else None,
        )
