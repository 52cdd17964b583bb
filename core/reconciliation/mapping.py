"""From an operator's columns to our words, by a mapping that the office can change. A line that does not fit is a
problem with its number and reason; it costs only itself.

Options: `delimiter`, `encoding`, `sheet`, `header_line` (see `reading`); `decimal` ("." or ","), `thousands` (one
character); `zone` (of times without one); `formats` (strptime, tried in order); `kinds` (their word → our kind),
`default_kind`; `done` and `not_done` (their words for "money moved" and "it did not"; without `done` all lines count).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.i18n import N_
from core.kernel.clock import WEST
from core.kernel.money import CURRENCIES, BadAmount, Money
from core.payments.answers import LineKind, StatementLine
from core.reconciliation.errors import BadMapping
from core.reconciliation.model import FIELDS, Problem
from core.reconciliation.reading import Row, Table, folded

KINDS: tuple[str, ...] = get_args(LineKind)
TWICE_WITH_OTHER_CONTENT = N_("The transaction {txn} stands in the file twice, with other content.")
OUTGOING = frozenset({"refund", "reversal", "fee", "payout"})
# Day first: what every portal of the region writes. A mapping says otherwise where it is otherwise.
FORMATS = (
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y",
)  # fmt: skip
# What portals write where they have no number: never a key.
_NO_ID = frozenset({"", "-", "-1", "0", "n/a", "na", "none", "null"})
_CURRENCY_WORDS = {"FC": "CDF", "CDF": "CDF", "USD": "USD", "$": "USD", "US$": "USD", "KES": "KES", "KSH": "KES"}
_WORDS_AROUND = re.compile(
    r"^(?:FC|CDF|USD|US\$|\$|KES|KSH)?\s*(.*?)\s*(?:FC|CDF|USD|US\$|\$|KES|KSH)?$", re.IGNORECASE
)
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "−": "-"})


class _BadLine(Exception):
    """This line is not taken. `why` is a msgid."""

    def __init__(self, why: str, **blanks: str) -> None:
        super().__init__(why)
        self.why, self.blanks = why, blanks


@dataclass(frozen=True, slots=True)
class Options:
    """The part of the options that says how values are read."""

    decimal: str = "."
    thousands: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(WEST))
    formats: tuple[str, ...] = FORMATS
    kinds: Mapping[str, LineKind] = field(default_factory=dict)
    default_kind: LineKind = "payment"
    done: frozenset[str] = frozenset()
    not_done: frozenset[str] = frozenset()

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Options:
        """From what a form or the database holds. Raises BadMapping."""
        decimal, thousands = _word(given, "decimal", "."), _word(given, "thousands", "")
        if decimal not in (".", ",") or len(thousands) > 1 or decimal == thousands:
            raise BadMapping(N_("The decimal mark is a point or a comma, and no other mark is the same."))
        try:
            zone = ZoneInfo(_word(given, "zone", WEST))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadMapping(N_("There is no time zone {zone}."), zone=_word(given, "zone", "")[:40]) from error
        kinds = given.get("kinds") or {}
        if not isinstance(kinds, Mapping):
            raise BadMapping(N_("The kinds must be pairs of a word of theirs and a kind of ours."))
        default = _word(given, "default_kind", "payment")
        for kind in (*kinds.values(), default):
            if kind not in KINDS:
                raise BadMapping(N_("There is no kind {kind}."), kind=str(kind)[:40])
        return cls(
            decimal=decimal,
            thousands=thousands.translate(_BLANKS),
            zone=zone,
            formats=tuple(_words(given, "formats")) or FORMATS,
            kinds={folded(str(word)): cast(LineKind, kind) for word, kind in kinds.items()},
            default_kind=cast(LineKind, default),
            done=frozenset(folded(word) for word in _words(given, "done")),
            not_done=frozenset(folded(word) for word in _words(given, "not_done")),
        )


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file in our words. `numbers`: the line of the file of each of `lines`. `skipped`: no money moved, they say."""

    lines: tuple[StatementLine, ...]
    numbers: tuple[int, ...]
    problems: tuple[Problem, ...]
    skipped: int
    missing: tuple[str, ...]


def check_columns(columns: Mapping[str, str]) -> None:
    """Raises BadMapping when these columns can never make a line."""
    for name in columns:
        if name not in FIELDS:
            raise BadMapping(N_("There is no field {field}."), field=name[:40])
    used = {name for name, header in columns.items() if header}
    if not used & {"amount", "amount_in"}:
        raise BadMapping(N_("Say which column holds the amount."))
    if not used & {"at", "date"}:
        raise BadMapping(N_("Say which column holds the date."))


def missing_columns(table: Table, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The fields whose column the file does not have."""
    there = {folded(header) for header in table.headers}
    return tuple(name for name in FIELDS if columns.get(name) and folded(columns[name]) not in there)


def read_lines(table: Table, columns: Mapping[str, str], options: Options, currency: str) -> Mapped:
    """Read every row. Pure: nothing is stored or looked up."""
    places: dict[str, int] = {}
    headers = [folded(header) for header in table.headers]
    for name, header in columns.items():
        if header and folded(header) in headers:
            places[name] = headers.index(folded(header))
    lines: dict[str, StatementLine] = {}
    numbers: list[int] = []
    problems: list[Problem] = []
    alike: Counter[str] = Counter()
    skipped = 0
    for row in table.rows:
        cells = {name: row.cells[at] if at < len(row.cells) else "" for name, at in places.items()}
        try:
            line = _read(cells, row, table.headers, options, currency)
            if line is None:
                skipped += 1
                continue
            line = _keyed(line, row, alike)
            if line.row_key in lines:
                raise _again(lines[line.row_key], line)
        except _BadLine as bad:
            problems.append(Problem(row.line, bad.why, bad.blanks))
            continue
        lines[line.row_key] = line
        numbers.append(row.line)
    missing = missing_columns(table, columns)
    return Mapped(tuple(lines.values()), tuple(numbers), tuple(problems), skipped, missing)


def _again(first: StatementLine, line: StatementLine) -> _BadLine:
    if (first.amount, first.at) == (line.amount, line.at):
        return _BadLine(N_("The same line stands in the file twice."))
    return _BadLine(TWICE_WITH_OTHER_CONTENT, txn=short(line))


def short(line: StatementLine) -> str:
    """What a clerk finds the line by."""
    return (line.provider_txn_id or line.row_key)[:40]


def _keyed(line: StatementLine, row: Row, alike: Counter[str]) -> StatementLine:
    """The same key for the same line in any later file: the operator's number, else the line itself (and which of
    several alike it is, for two fees of one amount at one time are two)."""
    if line.provider_txn_id is not None:
        return replace(line, row_key=f"{line.kind}:{line.provider_txn_id}")
    digest = hashlib.sha256("\x1f".join(row.cells).rstrip("\x1f").encode()).hexdigest()[:40]
    alike[digest] += 1
    return replace(line, row_key=f"line:{digest}:{alike[digest]}")


def _read(
    cells: Mapping[str, str], row: Row, headers: Sequence[str], options: Options, currency: str
) -> StatementLine | None:
    """One row, or None where it says itself that no money moved."""
    if not _is_done(cells.get("state"), options):
        return None
    money = _currency(cells.get("currency", ""), currency)
    minor, kind = _amount_and_kind(cells, options, money)
    fee = abs(_signed(cells["fee"], options, money)) if cells.get("fee") else 0
    own = tuple(dict.fromkeys(v for v in (_id(cells.get("own_id")), _id(cells.get("own_id_2"))) if v))
    return StatementLine(
        row_key="",
        kind=kind,
        amount=Money(minor, money),
        at=_moment(cells, options),
        provider_txn_id=_id(cells.get("provider_txn_id")),
        own_ids=own,
        original_txn_id=_id(cells.get("original_txn_id")),
        payer=cells.get("payer", "")[:40] or None,
        reference=cells.get("reference", "")[:60] or None,
        fee=Money(fee, money) if fee else None,
        raw={header[:60]: cell for header, cell in zip(headers, row.cells, strict=False) if header and cell},
    )


def _is_done(state: str | None, options: Options) -> bool:
    if state is None or not options.done:
        return True
    word = folded(state)
    if word in options.done:
        return True
    if word in options.not_done:
        return False
    raise _BadLine(N_("Nobody has said what the state “{word}” means."), word=state[:40])


def _currency(text: str, default: str) -> str:
    if not text:
        return default
    word = _CURRENCY_WORDS.get(text.strip().upper())
    if word is None or word not in CURRENCIES:
        raise _BadLine(N_("We keep no books in the currency “{word}”."), word=text[:12])
    return word


def _amount_and_kind(cells: Mapping[str, str], options: Options, currency: str) -> tuple[int, LineKind]:
    kind = _kind(cells.get("kind"), options)
    came = _signed(cells["amount"], options, currency) if cells.get("amount") else 0
    came += abs(_signed(cells["amount_in"], options, currency)) if cells.get("amount_in") else 0
    came -= abs(_signed(cells["amount_out"], options, currency)) if cells.get("amount_out") else 0
    if came == 0:
        raise _BadLine(N_("There is no amount."))
    if came < 0 and kind == "payment":
        raise _BadLine(N_("Money went out, and nothing says what for."))
    if cells.get("amount_in") and came > 0 and kind in OUTGOING:
        # A cancelled refund, a charge given back: booked as what its word says, it would go the wrong way.
        raise _BadLine(N_("Money came in, and “{word}” is money that goes out."), word=cells.get("kind", "")[:40])
    return abs(came), kind


def _kind(text: str | None, options: Options) -> LineKind:
    if text is None or not options.kinds:
        return options.default_kind
    kind = options.kinds.get(folded(text))
    if kind is None:
        # Portals put names and numbers behind the word: the longest beginning that we know decides.
        starts = [word for word in options.kinds if word.endswith("*") and folded(text).startswith(word[:-1])]
        if not starts:
            raise _BadLine(N_("Nobody has said what the kind “{word}” means."), word=text[:40])
        kind = options.kinds[max(starts, key=len)]
    return kind


def _signed(text: str, options: Options, currency: str) -> int:
    """An amount in minor units, with its sign. Strict: only the marks that the options name."""
    plain = text.translate(_BLANKS).strip()
    sign = 1
    if plain.startswith("(") and plain.endswith(")"):
        sign, plain = -1, plain[1:-1].strip()
    found = _WORDS_AROUND.match(plain)
    plain = found.group(1) if found else plain
    if plain[:1] in "+-" and plain:
        sign, plain = (-sign if plain[0] == "-" else sign), plain[1:].strip()
    whole, mark, part = plain.partition(options.decimal)
    if not mark and options.decimal == "," and re.fullmatch(r"\d+\.\d{1,2}", plain) and options.thousands != ".":
        # A spreadsheet's own numbers come with a point, whatever the portal's language.
        whole, mark, part = plain.partition(".")
    if options.thousands and options.thousands in whole:
        if not re.fullmatch(rf"\d{{1,3}}(?:{re.escape(options.thousands)}\d{{3}})+", whole):
            raise _BadLine(N_("“{text}” is no amount."), text=text[:40])
        whole = whole.replace(options.thousands, "")
    try:
        return sign * Money.parse(f"{whole}.{part}" if mark and part else whole, currency).minor
    except BadAmount as error:
        raise _BadLine(N_("“{text}” is no amount."), text=text[:40]) from error


def _moment(cells: Mapping[str, str], options: Options) -> datetime:
    text = cells.get("at") or f"{cells.get('date', '')} {cells.get('time', '')}".strip()
    if cells.get("date") and cells.get("time") and not cells.get("at"):
        # A spreadsheet's date cell carries its own midnight.
        text = f"{cells['date'].removesuffix(' 00:00:00')} {cells['time']}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _by_format(text, options)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=options.zone)
    if not 2000 <= moment.year <= 2100:
        raise _BadLine(N_("“{text}” is no date."), text=text[:40])
    return moment.astimezone(UTC)


def _by_format(text: str, options: Options) -> datetime:
    for pattern in options.formats:
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 (the caller adds the zone)
        except ValueError:
            continue
    raise _BadLine(N_("“{text}” is no date."), text=text[:40])


def _id(text: str | None) -> str | None:
    return None if text is None or text.strip().lower() in _NO_ID else text.strip()[:80]


def _word(given: Mapping[str, object], name: str, default: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) and value else default


def _words(given: Mapping[str, object], name: str) -> list[str]:
    value = given.get(name)
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadMapping(N_("The option {name} is a list of words."), name=name)
    return [str(word) for word in value if str(word).strip()]
