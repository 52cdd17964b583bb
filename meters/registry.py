"""Which kinds of keypad meter there is a token maker for. A new one adds its line here."""

from __future__ import annotations

from collections.abc import Mapping

from core.prepaid.ports import TokenMaker
from meters.tokens.openpaygo import OpenPaygo

# control_kind of the meter → who makes its tokens
TOKEN_MAKERS: Mapping[str, TokenMaker] = {"openpaygo_token": OpenPaygo()}
