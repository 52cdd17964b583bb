"""One cell each: what it says, or why it cannot be right. Pure. Each raises Wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta

from core.i18n import LANGUAGES, N_, OWN_NAMES
from core.imports.errors import Wrong
from core.kernel.clock import EAST, WEST
from core.kernel.digits import is_account_number, normalise
from core.kernel.money import CURRENCIES, Money
from core.notices.mailing import is_address
from core.phone_numbers import parse_e164

CUSTOMER_KINDS = {
    "household": "household", "menage": "household", "particulier": "household", "residentiel": "household",
    "business": "business", "entreprise": "business", "commerce": "business", "societe": "business",
    "public": "public", "administration": "public", "etat": "public",
}  # fmt: skip
CONTRACT_KINDS = {
    "monthly": "monthly", "mensuel": "monthly", "abonnement": "monthly",
    "consumption": "consumption", "consommation": "consumption", "compteur": "consumption",
    "flat": "flat", "forfait": "flat", "forfaitaire": "flat",
    "prepaid": "prepaid", "prepaye": "prepaid", "prepaiement": "prepaid",
}  # fmt: skip
CONTROL_KINDS = {
    "mqtt_relay": "mqtt_relay", "relais": "mqtt_relay", "radio": "mqtt_relay",
    "openpaygo_token": "openpaygo_token", "openpaygo": "openpaygo_token",
    "sts_token": "sts_token", "sts": "sts_token",
    "manual": "manual", "manuel": "manual", "equipe": "manual",
    "none": "none", "aucune": "none", "aucun": "none",
}  # fmt: skip
PROTECTED = {
    "health": "health", "sante": "health", "hopital": "health", "school": "school", "ecole": "school",
    "water": "water", "eau": "water", "prison": "prison", "medical": "medical",
}  # fmt: skip
_LANGUAGES = {code: code for code in LANGUAGES} | {name.lower(): code for code, name in OWN_NAMES.items()} | {
    "anglais": "en", "swahili": "sw", "kituba": "kg", "french": "fr", "luba": "lua", "ciluba": "lua",
}  # fmt: skip
_CURRENCIES = {code.lower(): code for code in CURRENCIES} | {
    "fc": "CDF", "franc": "CDF", "francs": "CDF", "usd": "USD", "$": "USD", "us$": "USD", "dollar": "USD",
    "dollars": "USD",
}  # fmt: skip
_ZONES = {
    WEST.lower(): WEST, EAST.lower(): EAST, "kinshasa": WEST, "lubumbashi": EAST, "ouest": WEST, "est": EAST,
    "west": WEST, "east": EAST,
}  # fmt: skip
_YES = {"yes", "oui", "1", "true", "vrai", "x"}
_NO = {"no", "non", "0", "false", "faux", ""}
# One mark, a dot inside the domain, no blanks: what a mail server would take. The server has the last word.
_METER = re.compile(r"[A-Z0-9][A-Z0-9-]{2,19}")
_REFERENCE_MAX = 40
_PHONES_MAX = 5
_OLDEST = date(1950, 1, 1)
# Fifteen digits of francs hold every bill there will ever be.
_AMOUNT = re.compile(r"([+-]?)([0-9]{1,13})(?:[.,]([0-9]{1,2}))?")

REQUIRED = N_("It is empty.")


def text(cell: str, longest: int, *, needed: bool = True) -> str:
    """Words in one line."""
    said = " ".join(unicodedata.normalize("NFC", cell).split())
    if not said and needed:
        raise Wrong(REQUIRED)
    if len(said) > longest:
        raise Wrong(N_("It has more than {n} characters."), n=str(longest))
    if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn") for c in said) or "\ufffd" in said:
        raise Wrong(N_("It holds characters that are no text: the file was saved in another encoding."))
    return said


def reference(cell: str, *, needed: bool = False) -> str:
    """What the old system calls something: capital and small letters are the same."""
    return text(cell, _REFERENCE_MAX, needed=needed).upper()


def one_of(cell: str, known: Mapping[str, str], default: str | None = None) -> str:
    """One of a few words, in either language; `default` where the cell is empty (None: it may not be)."""
    said = _bare(cell)
    if not said and default is not None:
        return default
    if said not in known:
        raise Wrong(N_("It is one of: {words}."), words=", ".join(dict.fromkeys(known.values())))
    return known[said]


def language(cell: str) -> str:
    return one_of(cell, _LANGUAGES, LANGUAGES[0])


def currency(cell: str) -> str:
    return one_of(cell, _CURRENCIES)


def time_zone(cell: str) -> str | None:
    return one_of(cell, _ZONES, "") or None


def protected(cell: str) -> str | None:
    return one_of(cell, PROTECTED, "") or None


def yes(cell: str) -> bool:
    said = _bare(cell)
    if said not in _YES | _NO:
        raise Wrong(N_("It is one of: {words}."), words="yes, no")
    return said in _YES


def email(cell: str) -> str | None:
    said = text(cell, 160, needed=False)
    if not said:
        return None
    if not is_address(said):
        raise Wrong(N_("It is no e-mail address."))
    return said


def phones(cell: str) -> tuple[str, ...]:
    """Numbers parted by a slash, a comma or a semicolon, as E.164, each once."""
    said = [part.strip() for part in re.split(r"[/,;|]", cell) if part.strip()]
    found: dict[str, None] = {}
    for part in said:
        number = parse_e164(part)
        if number is None:
            raise Wrong(N_("{phone} is no phone number in use."), phone=part[:30])
        found[number] = None
    if len(found) > _PHONES_MAX:
        raise Wrong(N_("It has more than {n} numbers."), n=str(_PHONES_MAX))
    return tuple(found)


def account(cell: str) -> str:
    """An account number with its check digit, "" where the cell is empty."""
    number = normalise(cell) if cell else ""
    if number and not is_account_number(number):
        raise Wrong(N_("The account number is mistyped: it has ten digits, and the last one checks the others."))
    if number.startswith("0"):
        raise Wrong(N_("An account number does not begin with a nought."))
    return number


def meter(cell: str) -> str:
    said = text(cell, 20).upper().replace(" ", "")
    if not _METER.fullmatch(said):
        raise Wrong(N_("A meter's number has 3 to 20 letters, digits or dashes."))
    return said


def our_id(cell: str) -> int | None:
    """Our own number of something, as the console and the API show it."""
    if not cell:
        return None
    if not (cell.isascii() and cell.isdigit()) or len(cell) > 15 or int(cell) == 0:
        raise Wrong(N_("It is no number of ours."))
    return int(cell)


def day(cell: str, *, latest: date) -> date | None:
    """2026-10-31 or 31/10/2026; None where the cell is empty."""
    if not cell:
        return None
    found = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T]00:00(?::00)?)?", cell, re.ASCII)
    parts = found.groups() if found else None
    if parts is None:
        turned = re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?: 00:00(?::00)?)?", cell, re.ASCII)
        parts = (turned[3], turned[2], turned[1]) if turned else None
    try:
        said = date(*(int(part) for part in parts)) if parts else None
    except ValueError:
        said = None
    if said is None:
        raise Wrong(N_("It is no day: write 2026-10-31 or 31/10/2026."))
    if said < _OLDEST or said > latest:
        raise Wrong(N_("The day lies before 1950, or too far ahead."))
    return said


def soon(today: date) -> date:
    """The latest day on which a contract may begin."""
    return today + timedelta(days=366)


def amount(cell: str, code: str, *, signed: bool) -> Money:
    """An amount with at most two decimals, comma or point; blanks and apostrophes part thousands, nothing else does."""
    said = re.sub(r"[\s'’]", "", cell)
    found = _AMOUNT.fullmatch(said)
    if not found or (found[1] and not signed):
        raise Wrong(N_("It is no amount: write 12500 or 12500,50; a comma or a point stands before centimes only."))
    # Money.parse reads what has no sign; both currencies have a hundred parts.
    plain = Money.parse(f"{int(found[2])}.{(found[3] or '0').ljust(2, '0')}", code)
    if plain and not plain.is_chargeable:
        raise Wrong(N_("Francs are owed whole: {amount} has centimes."), amount=plain.text)
    return Money(-plain.minor if found[1] == "-" else plain.minor, code)


def _bare(cell: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", cell) if not unicodedata.combining(c))
    return " ".join(bare.casefold().split()).replace("-", "_") if "/" not in bare else bare.casefold().strip()
