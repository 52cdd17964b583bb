"""A file of readings as lines, each readable or told why not. Pure; which meters there are is asked elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.csv_files import BadCsv, open_csv
from core.i18n import N_
from core.kernel.digits import is_account_number, normalise
from core.readings.errors import BadFile
from core.readings.model import CLAIMED, MEASURED, TOTAL, BadLine
from core.readings.rules import MOMENTS

LINES_MAX = 500_000
_WHO = ("meter", "account")
_HOW_MUCH = ("kwh", "wh")
_REGISTER_MAX_WH = 10**15


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line that can be read. `meter` or `account` names the meter; `at` without a zone is local to its place."""

    number: int
    meter: str
    account: str
    at: datetime
    wh: int
    register: str
    quality: int

    def moment(self, zone: str) -> datetime:
        """When it was read, aware, for a meter in this time zone."""
        return self.at if self.at.tzinfo is not None else self.at.replace(tzinfo=ZoneInfo(zone))


def lines(content: str | bytes) -> Iterator[FileLine | BadLine]:
    """The lines of a file, numbered as an editor shows them. Raises BadFile when its columns are not known.

    Columns: `meter` or `account`; `at` (a day means its end); `kwh` or `wh`; if wanted `register` and `quality`.
    """
    try:
        file = open_csv(content.encode() if isinstance(content, str) else content)
        columns = [name.lower() for name in file.header]
        _check(columns)
        for count, record in enumerate(file.records(), start=1):
            if count > LINES_MAX:
                raise BadFile(N_("A file has {n} lines at most: cut it in two."), n=str(LINES_MAX))
            yield _line(record.number, columns, list(record.cells))
    except BadCsv as error:
        raise BadFile(error.text, **error.blanks) from error


def _check(columns: list[str]) -> None:
    strange = set(columns) - {*_WHO, *_HOW_MUCH, "at", "register", "quality"}
    if strange:
        raise BadFile(N_("There is no column “{name}” in a file of readings."), name=sorted(strange)[0][:40])
    if "at" not in columns or not set(_WHO) & set(columns) or len(set(_HOW_MUCH) & set(columns)) != 1:
        raise BadFile(N_("A file of readings has the columns meter or account, at, and kwh or wh."))
    if len(set(columns)) != len(columns):
        raise BadFile(N_("A column stands twice in the first line."))


def _line(number: int, columns: list[str], cells: list[str]) -> FileLine | BadLine:
    if len(cells) != len(columns):
        return BadLine(number, N_("{n} cells instead of {m}"), {"n": str(len(cells)), "m": str(len(columns))})
    row = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    meter, account = row.get("meter", "").upper(), normalise(row.get("account", ""))
    if bool(meter) == bool(account):
        return BadLine(number, N_("either a meter or an account"))
    if account and not is_account_number(account):
        return BadLine(number, N_("the account number is mistyped"))
    at = _moment(row["at"])
    if at is None:
        return BadLine(number, N_("at is no day (2026-11-30) and no moment (2026-11-30T17:00)"))
    wh = _energy(row)
    if wh is None:
        return BadLine(number, N_("the register is no number of kWh with three decimals at most"))
    quality = row.get("quality") or str(MEASURED)
    if quality not in [str(known) for known in CLAIMED]:
        return BadLine(number, N_("quality is one of {known}"), {"known": ", ".join(map(str, CLAIMED))})
    register = row.get("register") or TOTAL
    if len(register) > 12:
        return BadLine(number, N_("register is a code as 1.8.0"))
    return FileLine(number, meter, account, at, wh, register, int(quality))


def _moment(text: str) -> datetime | None:
    try:
        if len(text) == len("2026-11-30"):
            at = datetime.combine(date.fromisoformat(text) + timedelta(days=1), time())
        else:
            at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    # A day within what `Readings.take` believes of a clock, in whatever zone.
    return at if MOMENTS[0].year < at.year < MOMENTS[1].year else None


def _energy(row: Mapping[str, str]) -> int | None:
    """Whole Wh of either column; a decimal comma is what half the country writes."""
    text = row.get("wh", "") or row.get("kwh", "").replace(",", ".")
    whole, _, rest = text.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (rest and not (rest.isascii() and rest.isdigit())):
        return None
    if len(whole) > 15 or len(rest) > 3 or ("wh" in row and rest):
        return None
    wh = int(Decimal(text) * (1 if "wh" in row else 1000))
    return wh if wh < _REGISTER_MAX_WH else None
