"""`mwolo bill`, `mwolo tariffs`, `mwolo readings`. Imports are late, so that --help is quick."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from core.services.billing_run import Moved, Progress, Ran
    from mwolo.wiring import Wiring

_SHOWN = 20


@click.command()
@click.option("--period", required=True, metavar="YYYY-MM", help="The month to bill.")
@click.option("--agency", default=None, metavar="CODE", help="Only the contracts of one agency.")
@click.option("--account", default=None, metavar="NUMBER", help="Only one; also where its invoice was cancelled.")
@click.option("--dry-run", is_flag=True, help="Only say what would come of it.")
@click.option("--validate", is_flag=True, help="Validate the drafts too: they get their numbers.")
@click.option("--send", is_flag=True, help="Validate and send them: they are owed from then on.")
def bill(period: str, agency: str | None, account: str | None, dry_run: bool, validate: bool, send: bool) -> None:
    """Draft the invoices of a month: monthly, consumption and flat contracts, each once.

    It may be stopped and started again, and run twice at once. What could not be billed is listed with its reason.
    """
    from core.kernel.digits import normalise

    if dry_run and (validate or send):
        raise click.UsageError("--dry-run changes nothing: leave --validate and --send out.")
    wiring = _wiring()
    number = normalise(account) if account else None
    runs = wiring.billing_run
    with _bar("Drafting") as watch:
        ran = runs.run(period, dry_run=dry_run, by=getpass.getuser(), watch=watch, agency=agency, account=number)
    _say(ran)
    if not dry_run:
        for contract, number_, name in runs.left_out(period, limit=_SHOWN):
            click.echo(f"  left out: {number_}  {name:<28.28}  {contract.reason}  {contract.detail}".rstrip())
    if validate or send:
        with _bar("Validating") as watch:
            _moved("validated", runs.validate_all(period, watch=watch, agency=agency, account=number))
    if send:
        with _bar("Sending") as watch:
            _moved("sent", runs.send_all(period, by=getpass.getuser(), watch=watch, agency=agency, account=number))


@click.group()
def tariffs() -> None:
    """Tariffs: versions that begin on a day and never change."""


@tariffs.command("list")
def tariffs_list() -> None:
    """Every version, by code, the newest first."""
    for one in _wiring().tariffs.all():
        click.echo(f"{one.code:<20} {one.kind:<12} {one.currency}  from {one.valid_from}  {one.name}")


@tariffs.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def tariffs_add(file: Path) -> None:
    """Add the version that a JSON file describes (docs/tariffs.md). What was billed before stays as it is."""
    try:
        given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        first = date.fromisoformat(given.pop("valid_from"))
        fields = {name: given.pop(name) for name in ("code", "name", "kind", "currency")}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise click.ClickException(
            f"{file} is no tariff: code, name, kind, currency, valid_from and its prices ({error})."
        ) from None
    _wiring().tariffs.add(**fields, valid_from=first, body=given, by=getpass.getuser())
    click.echo(f"{fields['code']} has a version from {first} on.")


@click.group()
def readings() -> None:
    """What meters' registers said."""


@readings.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say which lines are bad.")
def readings_import(file: Path, dry_run: bool) -> None:
    """Take a CSV file of readings: meter or account, at, kwh or wh. The same file again changes nothing."""
    from core.csv_files import MAX_BYTES, too_large

    if file.stat().st_size > MAX_BYTES:
        raise too_large()
    done = _wiring().readings.import_csv(file.read_bytes(), by=getpass.getuser(), dry_run=dry_run)
    for line in done.bad_lines:
        click.echo(f"line {line.number}: {line.why}")
    result = done.result
    would = "would be " if dry_run else ""
    click.echo(
        f"{done.lines} lines: {result.taken} {would}taken, {result.held} {would}held for review, "
        f"{result.repeated} known already, {done.bad} bad."
    )


@readings.command("held")
def readings_held() -> None:
    """Those that wait for a person: jumps, registers that went back, clocks that are ahead."""
    held = _wiring().readings.held()
    if not held:
        click.echo("No reading waits for a person.")
    for one in held:
        seen, before = one.reading, f"{one.before_wh / 1000:g} kWh" if one.before_wh is not None else "nothing"
        click.echo(
            f"{seen.id:>8}  {seen.meter_id}  {one.account_number}  {one.customer:<24.24}  {seen.at:%Y-%m-%d %H:%M}"
            f"  {seen.wh / 1000:g} kWh after {before}  {seen.doubt}"
        )


@readings.command("decide")
@click.argument("reading_id", type=int)
@click.option("--accept", "what", flag_value="accept", help="Believe it.")
@click.option("--reject", "what", flag_value="reject", help="It counts for nothing.")
@click.option("--kwh", default=None, metavar="NUMBER", help="What the register really said.")
@click.option("--reason", required=True, help="Why; it stays with the reading.")
def readings_decide(reading_id: int, what: str | None, kwh: str | None, reason: str) -> None:
    """Accept, reject or correct one reading."""
    service, by = _wiring().readings, getpass.getuser()
    if (what is None) == (kwh is None):
        raise click.UsageError("Say one of --accept, --reject and --kwh.")
    if kwh is not None:
        service.correct(reading_id, _wh(kwh), by=by, reason=reason)
    elif what == "accept":
        service.accept(reading_id, by=by, reason=reason)
    else:
        service.reject(reading_id, by=by, reason=reason)
    click.echo("Done.")


def _wh(kwh: str) -> int:
    whole, _, rest = kwh.replace(",", ".").partition(".")
    if not whole.isdecimal() or not whole.isascii() or (rest and not (rest.isdecimal() and rest.isascii())):
        raise click.BadParameter("a number of kWh is needed", param_hint="--kwh")
    if len(rest) > 3 or len(whole) > 12:
        raise click.BadParameter("kWh with three decimals at most", param_hint="--kwh")
    return int(whole) * 1000 + int(rest.ljust(3, "0"))


def _say(ran: Ran) -> None:
    total = ", ".join(money.text for money in ran.totals) or "nothing"
    verb = "would be drafted" if ran.dry else "drafted"
    click.echo(f"{ran.period}: {ran.made} invoices {verb} of {ran.looked_at} contracts, {total}.")
    for reason, count in ran.left_out:
        click.echo(f"  {count} left out: {reason}")
    for one in ran.planned[:_SHOWN]:
        from core.kernel.money import Money

        amount = Money(one.total_minor, one.subject.currency).text
        click.echo(f"  {one.subject.account_number}  {one.subject.kind:<12}  {one.use.days:>3} days  {amount:>16}")


def _moved(what: str, moved: Moved) -> None:
    click.echo(f"{moved.moved} {what}.")
    for invoice_id, why in moved.refused[:_SHOWN]:
        click.echo(f"  invoice {invoice_id}: {why}", err=True)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    seen = 0
    with click.progressbar(length=1, label=label, show_pos=True) as bar:

        def watch(progress: Progress) -> None:
            nonlocal seen
            bar.length = max(progress.of, 1)
            bar.update(progress.done - seen)
            seen = progress.done

        yield watch


def _wiring() -> Wiring:
    from mwolo.wiring import Wiring

    return Wiring.from_environment()
