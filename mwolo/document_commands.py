"""`mwolo pdf …`: bills, receipts and payslips as files. Imports are late, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

_OUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Where to write it; - for standard output. Without it: a file of its own name, here.",
)


@click.group()
def pdf() -> None:
    """Documents as PDF: the one that was made, or made now. A draft, or a cancelled bill, is marked as such."""


@pdf.command()
@click.argument("invoice", metavar="NUMBER|CODE|ID")
@_OUT
def invoice(invoice: str, output: Path | None) -> None:
    """An invoice, by its number, its verification code or its id."""
    _write("invoice", invoice, output)


@pdf.command()
@click.argument("receipt", metavar="CODE|NUMBER|ID")
@_OUT
def receipt(receipt: str, output: Path | None) -> None:
    """The receipt of a payment, by its verification code, its number or the payment's id."""
    _write("receipt", receipt, output)


@pdf.command("credit-note")
@click.argument("number")
@_OUT
def credit_note(number: str, output: Path | None) -> None:
    """A credit note, by its number."""
    _write("credit_note", number, output)


@pdf.command()
@click.argument("payslip", metavar="ID")
@_OUT
def payslip(payslip: str, output: Path | None) -> None:
    """A payslip, by its id."""
    _write("payslip", payslip, output)


def _write(kind: Literal["invoice", "receipt", "payslip", "credit_note"], typed: str, output: Path | None) -> None:
    from mwolo.wiring import Wiring

    paper = Wiring.from_environment().documents.called(kind, typed)
    if paper is None:
        raise click.ClickException(f"There is no {kind.replace('_', ' ')} {typed}, or nothing can be made of it yet.")
    if output is not None and str(output) == "-":
        sys.stdout.buffer.write(paper.content)
        return
    where = output or Path(paper.name)
    try:
        where.write_bytes(paper.content)
    except OSError as error:
        raise click.ClickException(f"{where} cannot be written: {error.strerror}.") from error
    click.echo(f"{where}: {len(paper.content)} bytes.")
