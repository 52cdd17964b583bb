"""`mwolo import`: files of another system, looked at first, then taken in whole."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.imports.model import ImportView, Kind, Problem, Report
    from core.services.imports import Imports

_KINDS = ("customers", "contracts", "meters", "balances")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="import")
def imports() -> None:
    """Customers, contracts, meters and opening balances from CSV, in this order. Nothing of a bad file is taken."""


def _command(kind: str, what: str) -> click.Command:
    @click.command(name=kind, help=f"{what} Each bad line is told by number and reason; then the exit code is 1.")
    @click.argument("file", type=_FILE)
    @click.option("--dry-run", is_flag=True, help="Only say which lines are bad.")
    @click.option("--bad-lines", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
    def run(file: Path, dry_run: bool, bad_lines: Path | None) -> None:
        _run(kind, file, dry_run=dry_run, bad_lines=bad_lines)

    return run


for _kind, _what in (
    ("customers", "Customers and their phones."),
    ("contracts", "Contracts and the places they supply, of customers who are there."),
    ("meters", "Meters of contracts that are there."),
    ("balances", "What contracts owed, or had in credit: an invoice or credit, once a contract."),
):
    imports.add_command(_command(_kind, _what))


@imports.command()
@click.argument("kind", type=click.Choice(_KINDS))
def template(kind: str) -> None:
    """Print a file to begin with: the columns and an example."""
    from core.csv_files import written
    from core.imports.columns import template as columns_of
    from core.imports.model import Kind

    click.echo("".join(written(columns_of(Kind(kind)))), nl=False)


@imports.command(name="list")
def list_() -> None:
    """What was brought and what became of it, the newest first."""
    brought = _service().all()
    if not brought:
        click.echo("Nothing was brought yet.")
    for one in brought:
        click.echo(
            f"{one.id:>6}  {one.kind:<10} {one.state:<9} {one.report.good:>7} good {one.report.bad:>6} bad "
            f"{one.made:>7} in  {one.uploaded_at:%Y-%m-%d %H:%M}  {one.uploaded_by}  {one.filename}"
        )


@imports.command()
@click.argument("import_id", type=int)
def finish(import_id: int) -> None:
    """Go on with an import that was interrupted, here and now. The queue does it by itself."""
    service = _service()
    _carry_on(service, import_id)
    done = service.view(import_id)
    if done is None:
        raise click.ClickException(f"There is no import {import_id}.")
    _outcome(done)


def _run(kind_name: str, file: Path, *, dry_run: bool, bad_lines: Path | None) -> None:
    from core.csv_files import MAX_BYTES, too_large
    from core.imports.model import Kind, State

    if file.stat().st_size > MAX_BYTES:
        raise too_large()
    kind, data, service = Kind(kind_name), file.read_bytes(), _service()
    report = service.check(kind, data)
    if dry_run or not report.is_clean:
        _tell(file, report, dry_run=dry_run)
        _write_bad(service, kind, data, report, bad_lines)
        sys.exit(0 if report.is_clean else 1)
    import_id = service.take(kind, file.name, data, by=getpass.getuser())
    service.carry_on(import_id)
    looked = service.view(import_id)
    if looked is None or looked.state is not State.GOOD:
        _tell(file, looked.report if looked else report, dry_run=False)
        sys.exit(1)
    # Whoever has this shell could do it without us: no second person is asked for.
    service.accept(import_id, by=getpass.getuser(), alone=True)
    _carry_on(service, import_id)
    done = service.view(import_id)
    assert done is not None
    _outcome(done)


def _outcome(done: ImportView) -> None:
    for problem in done.report.problems:
        click.echo(_said(problem))
    click.echo(f"{done.filename}: {done.state}, {done.made} of {done.report.lines} lines are in.")
    if done.left_out:
        click.echo(f"{done.left_out} had become impossible when their turn came and were left out.", err=True)
        sys.exit(1)


def _tell(file: Path, report: Report, *, dry_run: bool) -> None:
    for problem in report.problems:
        click.echo(_said(problem))
    if report.bad and len(report.problems) >= 1_000:
        click.echo("Only the first 1000 problems are shown.")
    if report.fault:
        text, blanks = report.fault
        click.echo(text.format(**dict(blanks)))
    end = "" if dry_run and report.is_clean else " Nothing was imported."
    click.echo(f"{file.name}: {report.good} good, {report.bad} bad.{end}")


def _said(problem: Problem) -> str:
    place = f"line {problem.line}" + (f", {problem.column}" if problem.column else "")
    value = f" “{problem.value}”" if problem.value else ""
    return f"{place}{value}: {problem.sentence}"


def _write_bad(service: Imports, kind: Kind, data: bytes, report: Report, target: Path | None) -> None:
    if target is None or not report.bad:
        return
    with target.open("w", encoding="utf-8-sig", newline="") as out:
        out.writelines(service.told(kind, data))
    click.echo(f"The bad lines are in {target}: mend them there and import that file.")


def _carry_on(service: Imports, import_id: int) -> None:
    seen, view = 0, service.view(import_id)
    with click.progressbar(length=max(1, view.report.lines if view else 1), label="Writing") as bar:

        def watch(lines: int) -> None:
            nonlocal seen
            bar.update(lines - seen)
            seen = lines

        service.carry_on(import_id, watch=watch)


def _service() -> Imports:
    from mwolo.wiring import Wiring

    return Wiring.from_environment().imports
