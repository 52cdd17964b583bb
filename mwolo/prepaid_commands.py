"""`mwolo prepaid …`: prices, keypad meters, and what waits for a person. Imports are late, so that --help is quick."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from mwolo.wiring import Wiring

# A device that takes fewer units at once makes people wait for what they have paid.
_FEW = 100
_UNIT = click.Choice(["day", "kwh"])


@click.group()
def prepaid() -> None:
    """Prepaid contracts with a keypad meter."""


@prepaid.command()
@click.argument("meter_id")
@click.option("--starting-code", required=True, type=click.IntRange(1, 999_999_999), help="Up to nine digits.")
@click.option("--count", default=1, show_default=True, help="The counter of the newest token it was given.")
@click.option("--unit", default="day", show_default=True, type=_UNIT)
@click.option("--divider", default=1, show_default=True, help="Steps of the device in one unit.")
@click.option("--restricted", is_flag=True, help="The keypad has the digits 1 to 4 only.")
def keypad(
    meter_id: str, starting_code: int, count: int, unit: Literal["day", "kwh"], divider: int, restricted: bool
) -> None:
    """Set up a keypad meter. Its key (32 hexadecimal digits) is asked for, not shown, and kept sealed."""
    from core.prepaid.errors import NoToken
    from core.services.prepaid import Keypad

    wiring, typed = _wiring(), click.prompt("Key", hide_input=True)
    try:
        most = wiring.prepaid.provision(
            meter_id, Keypad(bytes.fromhex(typed), starting_code, unit, count, divider, restricted)
        )
    except (NoToken, ValueError) as error:
        # What was typed stands in the text of a ValueError.
        why = str(error) if isinstance(error, NoToken) else "these do not fit a device"
        raise click.ClickException(f"Not set up: {why}.") from None
    click.echo(f"{meter_id} takes tokens. Credit that waited for it is on its way.")
    if most < _FEW:
        click.echo(
            f"At most {most} {unit} are issued at once with a divider of {divider}: what is bought beyond stays as "
            "credit until the next top-up. Choose coarser steps if the device has them.",
            err=True,
        )


@prepaid.command()
@click.argument("each")
@click.option("--currency", default="CDF", show_default=True, type=click.Choice(["CDF", "USD"]))
@click.option("--unit", default="day", show_default=True, type=_UNIT)
@click.option("--tax", default=16, show_default=True, type=click.IntRange(0, 100), help="Per cent of the net price.")
@click.option("--from", "day", type=click.DateTime(["%Y-%m-%d"]), help="The first day. Today, if it is not given.")
def price(each: str, currency: str, unit: Literal["day", "kwh"], tax: int, day: datetime | None) -> None:
    """Set what one day or kWh costs, tax included. A new version; what was issued before stays as it is."""
    from core.kernel.money import BadAmount, Money
    from core.prepaid.errors import PriceRefused

    wiring = _wiring()
    first_day = (day or wiring.clock.now()).date()
    try:
        amount = Money.parse(each, currency)
        made = wiring.prepaid.set_price(unit, amount, tax_basis_points=tax * 100, valid_from=first_day, by="cli")
    except (BadAmount, PriceRefused) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{made.each} a {made.unit} from {made.valid_from} on (version {made.version}).")


@prepaid.command()
def prices() -> None:
    """Every price there was, the newest first."""
    for one in _wiring().prepaid.prices():
        tax = one.tax_basis_points / 100
        click.echo(f"{one.valid_from}  {one.each} a {one.unit}, {tax:g} % tax ({one.levy}), version {one.version}")


@prepaid.command()
def short() -> None:
    """Accounts below zero: money was taken back after its tokens had left."""
    for one in _wiring().prepaid.short():
        click.echo(f"{one.account_number}  {one.missing} missing  {one.name}")


@prepaid.command("use")
def use() -> None:
    """Charge what radio meters have used, tell and cut where it is due; otherwise done every hour."""
    done = _wiring().prepaid_use.run()
    click.echo(
        f"Looked at {done.looked_at} contracts: {done.charged} charged, {done.corrected} corrected, {done.told} told, "
        f"{done.cut} cut, {done.held} held; {done.no_price} without a price."
    )


@prepaid.command("take-up")
@click.argument("account")
def take_up(account: str) -> None:
    """Try again for an account whose token could not be made, after its cause was mended."""
    from core.kernel.digits import normalise

    if not _wiring().prepaid.take_up(normalise(account)):
        raise click.ClickException("No credit waits there for a token.")
    click.echo("Staged.")


def _wiring() -> Wiring:
    from mwolo.wiring import Wiring

    return Wiring.from_environment()
