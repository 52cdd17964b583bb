"""`mwolo sweep`: dunning by hand, or only looked at."""

from __future__ import annotations

from datetime import datetime

import click

from core.settings import BadSetting
from mwolo.wiring import Wiring


def sweep(at: str | None, *, dry_run: bool) -> None:
    """Print who, what and why not; without `dry_run`, do what is due."""
    wiring = Wiring.from_environment()
    if not dry_run:
        if at is not None:
            raise BadSetting("--at needs --dry-run: a sweep acts on what is true now.")
        done = wiring.billing.sweep()
        click.echo(f"Looked at {done.looked_at} contracts, made {done.steps} steps, gave {done.given_back} back.")
        return
    moment = _moment(at) if at else wiring.clock.now()
    for row in wiring.billing.dry_run(moment):
        what = ", ".join(row.steps) or ("would be cut" if row.would_cut else "nothing")
        why = "; ".join([*(f"{w.code} {w.detail}".strip() for w in row.why_not), *(h.code for h in row.held)])
        click.echo(f"{row.account_number}  {row.customer:<28.28}  {what:<24}  {why}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"--at {text} is no moment: write it as 2026-03-24T09:00:00+01:00.") from None
    if moment.tzinfo is None:
        raise BadSetting(f"--at {text} needs its zone, as in 2026-03-24T09:00:00+01:00.")
    return moment
