"""The keywords there are. Adding one: a module in `commands/`, a test file, a row in `docs/sms.md`, a line here."""

from __future__ import annotations

from collections.abc import Iterable

from channels.sms.command import Command
from channels.sms.commands.balance import BALANCE
from channels.sms.commands.help import HELP
from channels.sms.commands.pay import PAY
from channels.sms.commands.receipt import RECEIPT
from channels.sms.commands.start import START
from channels.sms.commands.stop import STOP as STOP
from channels.sms.commands.verify import VERIFY
from channels.sms.keywords import Meaning, Vocabulary
from core.i18n import DEFAULT_LANGUAGE, LANGUAGES

COMMANDS = {command.name: command for command in (BALANCE, PAY, RECEIPT, VERIFY, HELP, STOP, START)}
# Obeyed whatever else is said.
ALWAYS = frozenset({STOP.name})
# The languages whose speakers use the French words too, because bills and posters do.
_OF_THE_COUNTRY = frozenset(LANGUAGES) - {"en"}


def vocabulary_of(commands: Iterable[Command]) -> Vocabulary:
    """Word → meaning. Raises ValueError for a word that two commands claim."""
    found: dict[str, Meaning] = {}
    for command in commands:
        for language, words in command.words.items():
            speakers = _OF_THE_COUNTRY if language == DEFAULT_LANGUAGE else frozenset({language})
            for word in words:
                before = found.get(word, Meaning(command.name, frozenset()))
                if before.command != command.name:
                    raise ValueError(f"{word} is both {before.command} and {command.name}")
                found[word] = Meaning(command.name, before.languages | speakers)
    return found


VOCABULARY = vocabulary_of(COMMANDS.values())


def language_of(languages: frozenset[str], usual: str | None) -> str:
    """The language of the answer: that of the word when only one has it, else the one that the phone is used to."""
    if len(languages) == 1:
        return next(iter(languages))
    return usual or DEFAULT_LANGUAGE


def word_in(language: str, command: str) -> str:
    """How a command is called in a language."""
    return COMMANDS[command].words[language][0]
