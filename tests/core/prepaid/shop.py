"""A prepaid customer with a keypad meter, the money that comes, and the device that takes the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from openpaygo import TokenType, decode_token
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.notices.tables import NoticeRow
from core.outbox import Later, OutboxRow
from core.payments.tables import PaymentRow
from core.prepaid.model import Issue
from core.prepaid.tables import PrepaidIssueRow, PrepaidStandingRow
from core.sealing import Sealer
from core.services.prepaid import Keypad, Prepaid
from core.settlement import post
from core.settlement.events import OperatorReversed, WalletMoney
from meters.registry import TOKEN_MAKERS
from tests import town

KEY = bytes.fromhex("dac86b1a29ab82edc5fbbc41ec9530f6")
CODE = 516_959_010
A_DAY = Money.units(1_500, "CDF")


class Device:
    """A keypad meter as its firmware is: it knows key and code, and nothing of us."""

    def __init__(self, *, divider: int = 1, restricted: bool = False, key: bytes = KEY, code: int = CODE) -> None:
        self.count, self.used, self.units = 1, [1], 0.0
        self._divider, self._restricted, self._key, self._code = divider, restricted, key, code

    def types(self, token: str) -> str:
        value, what, count, used = decode_token(
            token=token,
            secret_key=self._key.hex(),
            count=self.count,
            used_counts=self.used,
            starting_code=self._code,
            value_divider=self._divider,
            restricted_digit_set=self._restricted,
        )
        if what == TokenType.ALREADY_USED:
            return "used"
        if what != TokenType.ADD_TIME:
            return "wrong"
        self.count, self.used, self.units = max(self.count, count), used, self.units + value
        return "added"


@dataclass
class Shop:
    """Books money on one prepaid contract and runs what was staged, as the workers would."""

    db: Database
    clock: FixedClock
    home: town.Home
    sealer: Sealer = field(default_factory=lambda: Sealer("a secret key of a test"))

    @classmethod
    def opened(
        cls,
        db: Database,
        clock: FixedClock,
        *,
        control_kind: str = "openpaygo_token",
        currency: str = "CDF",
        keypad: Keypad | None = None,
        price: Money | None = A_DAY,
    ) -> Shop:
        with db.begin() as session:
            home = town.home(session, kind="prepaid", control_kind=control_kind, currency=currency)
        shop = cls(db, clock, home)
        if price is not None:
            shop.prepaid.set_price("day", price, tax_basis_points=1_600, valid_from=date(2026, 1, 1), by="test")
        if keypad is not None:
            shop.prepaid.provision(home.meter.id, keypad)
        return shop

    @property
    def prepaid(self) -> Prepaid:
        return Prepaid(self.db, self.clock, self.sealer, TOKEN_MAKERS)

    @property
    def contract_id(self) -> int:
        return self.home.contract.id

    def pays(self, amount: Money) -> str:
        """Wallet money for the contract. Returns the payment's id."""
        with self.db.begin() as session:
            payment = town.payment(session, self.home.contract, amount)
            post(
                session,
                WalletMoney(
                    key=f"payment:{payment.id}",
                    payment_id=payment.id,
                    wallet="vodacom",
                    contract_id=self.contract_id,
                    amount=amount,
                ),
                clock=self.clock,
            )
            return payment.id

    def reverses(self, payment_id: str) -> None:
        with self.db.begin() as session:
            event = OperatorReversed(key=f"back:{payment_id}", payment_id=payment_id, contract_id=self.contract_id)
            post(session, event, clock=self.clock)

    def works(self) -> list[object]:
        """Run every token row that is due, once. Returns what became of each."""
        done: list[object] = []
        for row in self.staged():
            outcome = self.prepaid.issue(row.body["contract_id"], row.body["cause"], row.body["payment_id"])
            with self.db.begin() as session:
                kept = session.get_one(OutboxRow, row.id)
                if isinstance(outcome, Later):
                    kept.business_at = outcome.business_at
                else:
                    kept.state = type(outcome).__name__.lower()
            done.append(outcome)
        return done

    def staged(self) -> Sequence[OutboxRow]:
        with self.db.read() as session:
            waiting = select(OutboxRow).where(OutboxRow.kind == "prepaid.token", OutboxRow.state == "pending")
            rows = session.scalars(waiting.order_by(OutboxRow.id)).all()
        return [row for row in rows if row.business_at is None or row.business_at <= self.clock.now()]

    def short_cases(self) -> list[int]:
        """The contracts for which a case is to be opened."""
        with self.db.read() as session:
            rows = session.scalars(select(OutboxRow).where(OutboxRow.kind == "prepaid.short"))
            return [row.body["contract_id"] for row in rows]

    def issues(self) -> list[Issue]:
        """Oldest first."""
        return self.prepaid.issues(self.contract_id)[::-1]

    def issue_rows(self) -> Sequence[PrepaidIssueRow]:
        with self.db.read() as session:
            return session.scalars(select(PrepaidIssueRow).order_by(PrepaidIssueRow.id)).all()

    def credit(self) -> Money:
        with self.db.read() as session:
            return ledger.balance(session, credit(self.contract_id), self.home.contract.currency)

    def standing(self) -> PrepaidStandingRow | None:
        with self.db.read() as session:
            return session.get(PrepaidStandingRow, self.contract_id)

    def texts(self) -> Sequence[NoticeRow]:
        with self.db.read() as session:
            sent = select(NoticeRow).where(NoticeRow.kind == "prepaid.token").order_by(NoticeRow.id)
            return session.scalars(sent).all()

    def payment(self, payment_id: str) -> PaymentRow:
        with self.db.read() as session:
            return session.get_one(PaymentRow, payment_id)
