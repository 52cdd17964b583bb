"""The meters whose screens are longest: each way of switching, each thing that may be wanted, reported and bought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from channels.ussd.menu.engine import Context
from core.customers.model import ContractView, OpenInvoice, PrepaidView, ReadingView, Snapshot
from core.kernel.clock import EAST
from core.kernel.digits import with_check
from core.kernel.money import Money

_NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_PHONE = "+243815550001"
_MOST = Money(12_345_678_900, "CDF")
_BILL = OpenInvoice(1, "F-1", "2026-10", _MOST, date(2026, 11, 9), date(2026, 11, 9))
_RADIO = ContractView(
    id=1,
    account_number=with_check("888888881"),
    name="Wembadio-Ngandu Tshilombo wa Mulumba Marie-Antoinette",
    kind="monthly",
    currency="CDF",
    state="active",
    time_zone=EAST,
    own=True,
    credit=_MOST,
    meter_id="MW888888888888888888",
    control="mqtt_relay",
    supply="on",
)
_SAYS = tuple(ReadingView(supply, _NOW, energy) for supply in ("on", "off") for energy in (None, 99_999_999_000))
# Eight tokens of a keypad with the digits 1 to 4 only: the most there are, and the longest.
_TOKENS = ("444444444444444",) * 8
_BOUGHT = PrepaidView("day", 7_960, _TOKENS, _NOW, _NOW + timedelta(days=7_960))
_REASONS = ("nonpayment", "no_credit", "customer_request", "safety", "test")


def keypads() -> Iterator[ContractView]:
    """Prepaid accounts with a keypad, from nothing bought to the most."""
    bare = replace(_RADIO, kind="prepaid", control="openpaygo_token", supply=None)
    yield bare
    for until in (timedelta(days=7_960), timedelta(days=1), timedelta(hours=3), timedelta(days=-1)):
        yield replace(bare, prepaid=replace(_BOUGHT, paid_until=_NOW + until))
    yield replace(bare, prepaid=replace(_BOUGHT, tokens=("082162833",)))
    yield replace(bare, prepaid=replace(_BOUGHT, recent=_TOKENS * 2))
    yield replace(bare, prepaid=replace(_BOUGHT, unit="kwh", paid_until=None))
    yield replace(bare, prepaid=_BOUGHT, invoices=(_BILL,))


def radios() -> Iterator[ContractView]:
    """Meters that are heard from, and accounts without any."""
    yield replace(_RADIO, meter_id=None, control=None)
    for reading in (None, *_SAYS):
        for kind in ("monthly", "prepaid"):
            here = replace(_RADIO, reading=reading, kind=kind)
            yield here
            for why in _REASONS:
                off = replace(here, supply="off", why_off=why)
                yield from (off, replace(off, invoices=(_BILL,)))
    yield replace(_RADIO, kind="prepaid", credit=Money(-_MOST.minor, "CDF"))


def prepaid_callers() -> Iterator[Snapshot]:
    """Who tops up: for the screens that everybody sees."""
    used_up = replace(_RADIO, kind="prepaid", credit=Money(-_MOST.minor, "CDF"))
    for contract in (*keypads(), replace(_RADIO, kind="prepaid"), used_up):
        yield Snapshot(_PHONE, _NOW, "fr", True, "orange", (contract,))


def meter_contexts(service_code: str) -> Iterator[Context]:
    """Each context in which a screen of the meter may be shown."""
    for contract in (*keypads(), *radios()):
        snapshot = Snapshot(_PHONE, _NOW, "fr", True, "orange", (contract,))
        yield Context(snapshot, service_code, {"c": 1})
