"""Of a customer's story: keypad tokens for a reader who may see the story and not the digits. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from core.desk.meters import hidden
from core.desk.model import Dial, Entry, Story, Told
from core.desk.prepaid_model import Issued

# Nine, fifteen or twenty digits in a row or in threes, as notices and screens write them. An account has ten.
_TOKEN = re.compile(r"(?<!\d)(?<!\d )(?:(?:\d{3} ?){6}\d{2}|(?:\d{3} ?){4}\d{3}|(?:\d{3} ?){2}\d{3})(?! ?\d)")
_NOTICE = "prepaid.token"


def without_tokens(story: Story) -> Story:
    """The same story with the last three digits of each token: known again, not to be typed. What the phone showed
    and what was sent is covered too; there any number that looks like a token is."""
    return replace(story, entries=tuple(_covered(entry) for entry in story.entries))


def _covered(entry: Entry) -> Entry:
    match entry:
        case Issued():
            return replace(entry, tokens=tuple(hidden(token) for token in entry.tokens))
        case Told(notice=notice) if notice.startswith(_NOTICE):
            return replace(entry, body=cover(entry.body))
        case Dial():
            return replace(entry, screens=tuple(replace(one, text=cover(one.text)) for one in entry.screens))
        case _:
            return entry


def cover(text: str) -> str:
    """A text with the digits of tokens covered, all but the last three of each."""
    return _TOKEN.sub(lambda found: hidden(found[0].replace(" ", "")), text)
