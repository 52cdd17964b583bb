"""Ways to the meter, for the page of journeys and the map: tokens, readings, and why it is dark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from core.customers.model import ContractView, OpenInvoice, PrepaidView, ReadingView, Snapshot
from core.kernel.clock import WEST
from core.kernel.digits import with_check
from core.kernel.money import Money

_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_BOUGHT = PrepaidView("day", 10, ("082162833",), _NOW - timedelta(days=4), _NOW + timedelta(days=6))
_BILL = OpenInvoice(1, "F-1", "2026-10", Money.units(28_500, "CDF"), date(2026, 11, 9), date(2026, 11, 9))
_RADIO = ContractView(
    id=1,
    account_number=with_check("100000001"),
    name="Marie Kabila",
    kind="monthly",
    currency="CDF",
    state="active",
    time_zone=WEST,
    own=True,
    credit=Money(0, "CDF"),
    supply="on",
    meter_id="MW24000026",
    control="mqtt_relay",
    reading=ReadingView("on", _NOW - timedelta(hours=3), 1_482_300),
)
_KEYPAD = replace(_RADIO, kind="prepaid", supply=None, control="openpaygo_token", reading=None, prepaid=_BOUGHT)
_USED_UP = replace(_KEYPAD, prepaid=replace(_BOUGHT, paid_until=_NOW - timedelta(days=1)))
_LARGE = replace(
    _BOUGHT, quantity=2_100, tokens=("082162833", "211704833", "190553105"), paid_until=_NOW + timedelta(days=2_100)
)
_CUT = replace(
    _RADIO, supply="off", why_off="nonpayment", invoices=(_BILL,), reading=ReadingView("off", _NOW, 1_482_300)
)


@dataclass(frozen=True, slots=True)
class MeterWalk:
    about: str
    contract: ContractView
    replies: tuple[str, ...]

    @property
    def caller(self) -> Snapshot:
        return Snapshot("+243815550001", _NOW, "fr", True, "mpesa", (self.contract,))


METER_WALKS: tuple[MeterWalk, ...] = (
    MeterWalk("A meter with a radio: supply and the last reading.", _RADIO, ("4",)),
    MeterWalk("No light, and nobody cut it: report it.", _RADIO, ("4", "1")),
    MeterWalk("Why am I off: a bill.", _CUT, ("4", "1", "1")),
    MeterWalk("Paid, and the meter has not answered yet.", replace(_CUT, supply="on", invoices=()), ("4", "1")),
    MeterWalk(
        "Prepaid with a radio: the credit is used up.",
        replace(_RADIO, kind="prepaid", credit=Money.units(-450, "CDF")),
        ("1",),
    ),
    MeterWalk("Prepaid with a keypad: top up, and the token comes by SMS.", _KEYPAD, ("1", "15000", "1")),
    MeterWalk("The last token again.", _KEYPAD, ("4", "1")),
    MeterWalk("A large top-up comes as several tokens.", replace(_KEYPAD, prepaid=_LARGE), ("4", "1")),
    MeterWalk("Why am I off, with days left.", _KEYPAD, ("4", "2")),
    MeterWalk("Why am I off: the days are used up.", _USED_UP, ("4", "2", "1")),
)
