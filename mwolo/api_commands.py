"""`mwolo api …`: tokens of programs that use the JSON API. Imports are late, so that --help is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.services.api_tokens import ApiTokens, TokenView

DAYS = 365


@click.group()
def api() -> None:
    """The JSON API."""


@api.group()
def token() -> None:
    """Tokens of programs that use the JSON API."""


@token.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="One thing it may do; repeat it. `all`: everything.")
@click.option("--days", default=DAYS, show_default=True, help="How long it lives.")
def create(name: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token and print it, once: only its hash is kept."""
    from core.api_access.rules import SCOPES

    chosen = SCOPES if "all" in scopes else scopes
    click.echo(_tokens().create(name, chosen, days=days, by="cli"))


@token.command("list")
def list_tokens() -> None:
    """Every token: what it may do, until when, when it was last used."""
    for view in _tokens().all_tokens():
        click.echo(_line(view))


@token.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """From now on this token opens nothing."""
    _tokens().revoke(name, by="cli")
    click.echo(f"{name} opens nothing any more.")


def _line(view: TokenView) -> str:
    end = f"revoked {view.revoked_at:%Y-%m-%d}" if view.revoked_at else f"until {view.expires_at:%Y-%m-%d}"
    used = f"used {view.last_used_at:%Y-%m-%d %H:%M} UTC" if view.last_used_at else "never used"
    return f"{view.name}  {view.hint}…  {end}  {used}  {' '.join(view.scopes)}"


def _tokens() -> ApiTokens:
    from mwolo.wiring import Wiring

    return Wiring.from_environment().api_tokens
