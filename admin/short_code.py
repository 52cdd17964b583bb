"""What the pages about the short code are built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.services.menu_use import MenuUse


@dataclass(frozen=True, slots=True)
class ShortCodeParts:
    """`menu_map`: draws the whole menu as an SVG in a language; `languages`: those it knows, our own first."""

    use: MenuUse
    menu_map: Callable[[str], str]
    languages: tuple[str, ...] = ("fr", "sw", "ln", "kg", "lua", "en")
