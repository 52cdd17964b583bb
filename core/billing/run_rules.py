"""One contract's invoice for one month, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from core.billing.errors import NoTariff
from core.billing.explained import Billed, explain
from core.billing.run_model import (
    LeftOut,
    Measure,
    Month,
    Planned,
    Previous,
    Reason,
    Subject,
    midnight,
    nearest_day,
)
from core.billing.tariff_rules import Use, charge, total
from core.billing.tariffs import Versions
from core.readings.model import ESTIMATED, Known
from core.readings.rules import estimate

_DAY = timedelta(days=1)


def plan(subject: Subject, month: Month, tariffs: Mapping[str, Versions], *, over: bool) -> Planned | LeftOut:
    """What a contract is billed for `month`. `over`: the month has ended where the contract is.

    Consumption goes from where the last invoice ended to the last believed register of the month, so that no watt-hour
    is billed twice or never; only a month that is over is estimated.
    """
    versions = tariffs.get(subject.tariff_code or "")
    if versions is None:
        return _left_out(subject, "no_tariff")
    newest = versions.all[-1]
    if (newest.kind, newest.currency) != (subject.kind, subject.currency):
        return _left_out(subject, "wrong_tariff", f"{newest.code}: {newest.kind}, {newest.currency}")
    measure: Measure | None = None
    if subject.kind == "consumption":
        measured = _measure(subject, month, over=over)
        if isinstance(measured, LeftOut):
            return measured
        measure = measured
        days = (nearest_day(measure.from_at, subject.zone), nearest_day(measure.until_at, subject.zone))
        if days[0] >= days[1]:
            return _left_out(subject, "no_reading", "not a day since the last one")
        use = Use(days[0], days[1], month.days, measure.wh)
    else:
        use = Use(max(month.first, subject.opened_on), month.after, month.days)
    try:
        charges = charge(versions, use)
    except NoTariff as error:
        return _left_out(subject, "no_price", str(error))
    if not charges:
        return _left_out(subject, "nothing_to_bill")
    return Planned(
        subject=subject,
        use=use,
        charges=tuple(charges),
        blocks=max(len(version.blocks) for version, _, _ in versions.pieces(use.from_on, use.until_on)),
        estimated=measure is not None and measure.estimated,
        measure=measure,
        explained=_explained(subject.previous, versions, use, total(charges), measure),
    )


def _measure(subject: Subject, month: Month, *, over: bool) -> Measure | LeftOut:
    if subject.meter_id is None:
        return _left_out(subject, "no_meter")
    registers = subject.registers
    if registers.held:
        return _left_out(subject, "reading_held", subject.meter_id)
    before = subject.previous.measure if subject.previous else None
    if before is not None and before.meter_id != subject.meter_id:
        return _left_out(subject, "meter_changed", f"{before.meter_id}, now {subject.meter_id}")
    opening = Known(before.until_at, before.until_wh, before.until_wh) if before else _first(subject)
    if opening is None:
        return _left_out(subject, "no_reading" if over else "month_not_over", subject.meter_id)
    closing = registers.closing
    if closing is None or closing.at <= opening.at:
        if not over:
            return _left_out(subject, "month_not_over", subject.meter_id)
        closing = _estimated(subject, month)
        if closing is None or closing.at <= opening.at:
            return _left_out(subject, "no_reading", subject.meter_id)
    if subject.billed_from is not None and subject.billed_from < closing.at:
        # Its month was cancelled, or run after the next one, which has begun further back.
        return _left_out(subject, "billed_later", f"from {nearest_day(subject.billed_from, subject.zone).isoformat()}")
    return Measure(
        meter_id=subject.meter_id,
        from_at=opening.at,
        until_at=closing.at,
        from_wh=opening.total_wh,
        # After an estimate that was too high nothing is billed until the register has caught up.
        until_wh=max(opening.total_wh, closing.total_wh),
        until_measured_wh=closing.total_wh,
        estimated=closing.quality == ESTIMATED,
    )


def _first(subject: Subject) -> Known | None:
    """Where the first invoice of a contract begins: what was used before it was opened is not its holder's. After an
    invoice that a person wrote instead of a run, the next begins at the last register of that month."""
    mine = midnight(subject.opened_on, subject.zone) - _DAY
    if subject.by_hand is not None:
        mine = max(mine, midnight(subject.by_hand.first, subject.zone) + _DAY)
    opening = subject.registers.opening
    return opening if opening is not None and opening.at >= mine else subject.registers.first


def _estimated(subject: Subject, month: Month) -> Known | None:
    """On to the end of the month as between the first and the last register of the 120 days before."""
    first, last = subject.registers.history, subject.registers.closing or subject.registers.opening
    if first is None or last is None:
        return None
    end = midnight(month.after, subject.zone)
    guessed = estimate(first, last, end)
    return None if guessed is None else Known(end, guessed, guessed, ESTIMATED)


def _explained(
    before: Previous | None, versions: Versions, use: Use, total_minor: int, measure: Measure | None
) -> tuple[dict[str, object], ...] | None:
    if before is None or before.from_on >= before.until_on:
        return None
    was = Use(before.from_on, before.until_on, before.month.days, before.measure.wh if before.measure else 0)
    estimated = measure is not None and measure.estimated
    try:
        return tuple(
            explain(versions, Billed(was, before.total_minor, before.estimated), Billed(use, total_minor, estimated))
        )
    except NoTariff:
        return None


def _left_out(subject: Subject, reason: Reason, detail: str = "") -> LeftOut:
    return LeftOut(subject.contract_id, reason, detail)
