"""`mwolo queues …`: the work behind the phones, for whoever has a shell. Imports are late, so that --help is quick."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.desk.queue_model import DeadLine, KindLine
    from core.services.queues import Acted, Queues


@click.group(invoke_without_command=True)
@click.pass_context
def queues(ctx: click.Context) -> None:
    """What waits, what is in hand, what was given up. Without a command: the list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queues)


@queues.command("list")
@click.option("--kind", default="", help="Dead rows of this kind only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="So many dead rows.")
def list_queues(kind: str = "", limit: int = 50) -> None:
    """Every kind of work with something in it, who works, and the rows that wait for a person."""
    service = _queues()
    look = service.look()
    for line in look.lines:
        if line.waiting or line.held or line.dead:
            click.echo(_line(line))
    if not any(line.waiting or line.held or line.dead for line in look.lines):
        click.echo("Nothing waits.")
    if not look.backstage.reachable:
        click.echo(f"Redis does not answer: {look.backstage.error}.", err=True)
    for queue in look.unmanned:
        click.echo(f"No worker has the queue {queue}.", err=True)
    if not any(lease.alive for lease in look.dispatchers):
        click.echo("No dispatcher runs.", err=True)
    for run in look.runs:
        if run.state == "late":
            click.echo(f"Late: {run.name}, due {run.due_at:%Y-%m-%d %H:%M} UTC.", err=True)
    for dead in service.dead(kind=kind, limit=limit).lines:
        click.echo(_dead(dead))


@queues.command("retry")
@click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")
def retry(ids: tuple[int, ...]) -> None:
    """Hand dead rows out again. Where money is asked for, the operator is asked what became of it instead."""
    _say(_queues().try_again(ids, by=getpass.getuser()))


@queues.command("give-up")
@click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")
@click.option("--reason", required=True, help="Why nothing more is done. It stays with the row.")
def give_up(ids: tuple[int, ...], reason: str) -> None:
    """Say that nothing more is done about these rows. They stay, with the reason."""
    from core.services.queues import ReasonMissing

    try:
        _say(_queues().give_up(ids, reason=reason, by=getpass.getuser()))
    except ReasonMissing as error:
        raise click.ClickException(str(error)) from error


_WORDS = {
    "again": "is tried again",
    "asked": "the operator is asked what became of it",
    "gave_up": "is given up",
    "not_dead": "is not dead: somebody else took it up, or there is no such row",
    "refused": "stays as it was",
}


def _say(acted: list[Acted]) -> None:
    for one in acted:
        why = f" ({one.why.replace('_', ' ')})" if one.why else ""
        click.echo(f"{f'{one.id} {one.kind}'.strip()}: {_WORDS[one.outcome]}{why}.")
    if any(one.outcome in ("not_dead", "refused") for one in acted):
        raise SystemExit(1)


def _line(line: KindLine) -> str:
    oldest = f", oldest since {line.oldest_at:%Y-%m-%d %H:%M:%S} UTC" if line.oldest_at else ""
    counts = f"due {line.due}{oldest}, later {line.later}, in hand {line.held}, dead {line.dead}"
    return f"{line.queue:8} {line.kind:18} {counts}"


def _dead(line: DeadLine) -> str:
    about = " ".join(filter(None, (line.subject.thing, line.subject.number, line.subject.account)))
    since = f"since {line.created_at:%Y-%m-%d %H:%M} UTC, {line.tries} tries"
    return f"dead {line.id} {line.kind} {about} {since}: {line.error}"


def _queues() -> Queues:
    from mwolo.wiring import Wiring

    return Wiring.from_environment().queues
