"""`mwolo`: the command line. Each command says what it does with --help; imports are late, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from core.kernel.errors import ServiceError
from mwolo.api_commands import api
from mwolo.billing_commands import bill, readings, tariffs
from mwolo.document_commands import pdf
from mwolo.dunning_commands import dunning
from mwolo.import_commands import imports
from mwolo.menu_tools import menu
from mwolo.prepaid_commands import prepaid
from mwolo.queue_commands import queues
from mwolo.wallet_commands import wallets

EXIT_BAD_SETTING = 2


class _Sentences(click.Group):
    """A wrong setting or a refusal is one sentence on stderr, never a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        from core.settings import BadSetting

        try:
            return super().invoke(ctx)
        except BadSetting as error:
            click.echo(str(error), err=True)
            sys.exit(EXIT_BAD_SETTING)
        except ServiceError as error:
            click.echo(str(error), err=True)
            sys.exit(1)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mwolo")
def main() -> None:
    """The customer channel of an electricity utility: dial, see what is owed, pay, get the light back."""


main.add_command(wallets)
main.add_command(prepaid)
main.add_command(menu)
main.add_command(bill)
main.add_command(tariffs)
main.add_command(readings)
main.add_command(imports)
main.add_command(api)
main.add_command(dunning)
main.add_command(queues)
main.add_command(pdf)


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the web process.")
@click.option(
    "--data", default=".demo", show_default=True, type=click.Path(path_type=Path), help="Folder for all data."
)
@click.option("--scenario", default=None, help="Play a story and exit: unpaid-invoice, wallet-trouble.")
@click.option("--headless", is_flag=True, help="Print no welcome; for scripts.")
@click.option("--vodacom-mode", default="sync", type=click.Choice(["sync", "async"]), help="M-Pesa application type.")
def demo(port: int, data: Path, scenario: str | None, headless: bool, vodacom_mode: str) -> None:
    """Everything on one machine, with a town around it: phones, wallets that ask for a PIN, meters that switch.

    MWOLO_DATABASE_URL, MWOLO_REDIS_URL and MWOLO_MQTT_URL, where they are set, replace the embedded parts.
    """
    from mwolo.demo import run

    sys.exit(run(port=port, data=data, scenario=scenario, headless=headless, vodacom_mode=vodacom_mode))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="Per process.")
def web(host: str, port: int, processes: int, threads: int) -> None:
    """The web process: callbacks of aggregators and wallets, the console, the public pages."""
    from mwolo.serve import serve

    serve(host=host, port=port, processes=processes, threads=threads)


@main.command()
@click.argument("queue", type=click.Choice(["push", "settle", "notices", "bulk"]))
def worker(queue: str) -> None:
    """Carry out one queue: push (wallet calls), settle (callbacks), notices, bulk (documents, sweeps)."""
    from threading import Event

    from mwolo.wiring import Wiring
    from workers.runtime import keep_warm, work

    wiring = Wiring.from_environment()
    if queue in ("push", "settle"):
        keep_warm(wiring.wallets.values(), Event())
    work(queue, wiring.runner, wiring.redis)


@main.command()
def dispatcher() -> None:
    """Lease outbox rows and hand them to the queue; open scheduled runs. One, and a stand-by."""
    from mwolo.signals import until_signalled
    from mwolo.wiring import Wiring

    Wiring.from_environment().dispatcher.run(until_signalled())


@main.command()
def bridge() -> None:
    """The only owner of an MQTT connection: sends relay commands, records what meters say."""
    from mwolo.signals import until_signalled
    from mwolo.wiring import Wiring

    Wiring.from_environment().bridge.run(until_signalled())


@main.command(hidden=True)
@click.option("--port", required=True, type=int)
def sandbox(port: int) -> None:
    """The outside world in a box: phones, aggregator, wallet operators, meters. Never in production."""
    from mwolo.sandbox_process import run

    sys.exit(run(port))


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest shape, with all provinces, cities and territories. A currency without any
    general commission gets a first one, one without rates of pay too."""
    from core.db.upgrade import revision_of, upgrade
    from mwolo.wiring import Wiring

    wiring = Wiring.from_environment()
    upgrade(wiring.db)
    click.echo(f"The database is at {revision_of(wiring.db)}.")
    places = wiring.places.load()
    if places:
        click.echo(f"{places} provinces, cities and territories written.")
    written = wiring.agents.write_first_rules()
    if written:
        click.echo(
            f"Commission of agents in {', '.join(written)}: 2 %. Finance changes it at /admin/agents/commission."
        )
    rates = wiring.payroll.rates.write_first()
    if rates:
        click.echo(f"Rates of pay in {', '.join(rates)}: let an accountant confirm them at /admin/payroll/rates.")


@main.command()
@click.option("--customers", default=200, show_default=True, type=click.IntRange(1, 100_000))
def seed(customers: int) -> None:
    """Fill an empty database with a small, believable utility. A second run changes nothing."""
    from mwolo.seed import seed as fill
    from mwolo.seed_prepaid import seed_prepaid
    from mwolo.seed_work import seed_work
    from mwolo.wiring import Wiring

    wiring = Wiring.from_environment()
    report = fill(wiring.db, wiring.clock, size=customers)
    seed_prepaid(wiring.db, wiring.clock, wiring.sealer, wiring.settings.key)
    seed_work(wiring.db, wiring.clock, wiring.sealer)
    click.echo(f"{len(report.customers)} customers, {len(report.agents)} agents, {len(report.meters)} meters.")


@main.group()
def meters() -> None:
    """Meters and their keys."""


@meters.command("provision")
@click.argument("meter_id")
def meters_provision(meter_id: str) -> None:
    """Give a meter a new signing key and print it, once. It is kept sealed; it cannot be printed again."""
    from mwolo.wiring import Wiring

    click.echo(Wiring.from_environment().supply.provision(meter_id))


@main.command()
@click.option(
    "--at", default=None, help="A day (2026-03-24) or a moment with its zone, instead of now; needs --dry-run."
)
@click.option("--dry-run", is_flag=True, help="Only say who, what and why not.")
@click.option("--csv", "as_csv", is_flag=True, help="As a table; the summary goes to stderr. Needs --dry-run.")
@click.option("--language", default="en", show_default=True, type=click.Choice(["en", "fr"]), help="Of a dry run.")
def sweep(at: str | None, dry_run: bool, as_csv: bool, language: str) -> None:
    """Evaluate dunning for every open invoice, as the nightly run does.

    A dry run of a day to come walks through the nights and hours before it, and says what it supposes.
    """
    from mwolo.sweeping import sweep as run

    run(at, dry_run=dry_run, language=language, as_csv=as_csv)


@main.group()
def staff() -> None:
    """Users of the console."""


@staff.command("add")
@click.argument("login")
@click.option("--name", required=True)
@click.option("--role", default="office", type=click.Choice(["viewer", "office", "finance", "admin"]))
@click.password_option()
def staff_add(login: str, name: str, role: str, password: str) -> None:
    """Add a user to the console."""
    from mwolo.wiring import Wiring

    Wiring.from_environment().staff.create_user(login, password, name=name, role=role)
    click.echo(f"{login} may log in as {role}.")


if __name__ == "__main__":
    main()
