"""`mwolo wallets …`: the operators as a person at a terminal sees them. Imports are late, so that --help is quick."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.settings import Settings
    from mwolo.wallet_check import Desk
    from mwolo.wiring import Wiring

EXIT_WRONG, EXIT_BAD_SETTING = 1, 2


@click.group()
def wallets() -> None:
    """Mobile-money operators: which are set up, and what of it works."""


@wallets.command("list")
def list_wallets() -> None:
    """Every wallet there is, whether it is set up, and for whom it collects."""
    desk = _desk(_wiring())
    for name in sorted(desk.names):
        if name not in desk.wallets:
            click.echo(f"{name:<10} not set up: {desk.names[name]} is empty")
            continue
        brands = ", ".join(brand for brand, names in desk.routes.items() if name in names) or "no route"
        currencies = ", ".join(desk.wallets[name].can.decimals)
        click.echo(f"{name:<10} set up; {brands}; {currencies}")


@wallets.command()
@click.argument("name", required=False)
def check(name: str | None) -> None:
    """Say in plain words what of the configuration works: keys, host, callback address, routes, clock.

    Moves no money. Exit code 0: all well; 1: something is wrong; 2: bad settings, or no such wallet.
    """
    from core.partner_http import PartnerHttp
    from mwolo.wallet_check import check_routes, check_wallet, lines

    desk = _desk(_wiring())
    if name is not None:
        _must_be_set_up(desk, name)
    found = check_routes(desk)
    _say("routes", lines(found))
    for one in [name] if name is not None else sorted(desk.wallets):
        of_wallet = check_wallet(desk, one, PartnerHttp(one))
        _say(one, lines(of_wallet))
        found += of_wallet
    if not desk.wallets:
        click.echo("No wallet is set up.")
    sys.exit(EXIT_WRONG if not desk.wallets or any(finding.ok is False for finding in found) else 0)


@wallets.command()
@click.argument("name")
def register(name: str) -> None:
    """Tell an operator where it asks about payments by bill number. May be repeated; moves no money."""
    from mwolo.wallet_check import lines, register_bill_number

    desk = _desk(_wiring())
    _must_be_set_up(desk, name)
    finding = register_bill_number(desk, name)
    _say(name, lines([finding]))
    sys.exit(0 if finding.ok else EXIT_WRONG)


def _say(title: str, said: Iterable[str]) -> None:
    click.echo("\n".join([title, *said]))


def _must_be_set_up(desk: Desk, name: str) -> None:
    from mwolo.wallet_check import NotSetUp

    try:
        desk.named(name)
    except NotSetUp as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_SETTING)


def _wiring() -> Wiring:
    from mwolo.wiring import Wiring

    return Wiring.from_environment()


def _desk(wiring: Wiring) -> Desk:
    """Raises BadSetting."""
    from channels.wallets.registry import WALLETS
    from core.settings import PREFIX
    from mwolo.logs import SECRET_MIN
    from mwolo.wallet_check import Desk, Door

    settings = wiring.settings
    secrets = settings.secrets_for("hook") if wiring.wallets else ()
    return Desk(
        wallets=wiring.wallets,
        names={name: f"{PREFIX}{name}_{entry.configured_by}".upper() for name, entry in WALLETS.items()},
        base_urls={name: str(getattr(settings, f"{name}_base_url", "")) for name in WALLETS},
        callback_bases=wiring.callback_bases,
        routes=settings.routes,
        door=Door(settings.public_url, secrets, local=bool(settings.sandbox_url)),
        clock=wiring.clock,
        fenced=settings.hook_networks,
        hidden=[text for text in _secret_texts(settings) if len(text) >= SECRET_MIN],
    )


def _secret_texts(settings: Settings) -> list[str]:
    from pydantic import SecretStr

    return [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
