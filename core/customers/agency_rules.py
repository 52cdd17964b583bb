"""What an agency must be, checked before anything is written. Pure but for the telephone numbers' own library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.customers.opening import Week
from core.i18n import N_
from core.kernel.errors import CustomerError
from core.phone_numbers import parse_e164

PHONES_MAX = 4
NAME_MAX, CITY_MAX, ADDRESS_MAX, COMMUNE_MAX, REASON_MAX = 80, 60, 160, 60, 80
_CODE = re.compile(r"[A-Z0-9]{2,12}")
_DEGREES = re.compile(r"([+-]?)(\d{1,3})(?:[.,](\d{1,6}))?")
_MILLION = 1_000_000


class AgencyFault(CustomerError):
    """What the form says cannot be so. `field`: which one."""

    def __init__(self, field: str, text: str, **blanks: str) -> None:
        super().__init__(text, **blanks)
        self.field = field


@dataclass(frozen=True, slots=True)
class AgencyWanted:
    """An agency as somebody wants it. `place`: the code of a city, a territory or a commune; the time zone follows from
    it. `city`: empty where it is the place's own name. `week` None: hours are not known yet."""

    name: str
    place: str
    city: str
    commune: str
    address: str
    phones: Sequence[str]
    week: Week | None
    latitude: str = ""
    longitude: str = ""


def code_of(typed: str) -> str:
    """The code that stands in its invoice numbers. Raises AgencyFault."""
    code = typed.strip().upper()
    if not _CODE.fullmatch(code):
        raise AgencyFault("code", N_("A code has 2 to 12 capital letters and digits."))
    return code


def text_of(field: str, typed: str, most: int, *, needed: bool = True) -> str:
    """One line of text without control characters and double blanks. Raises AgencyFault."""
    text = " ".join("".join(c if c.isprintable() else " " for c in typed).split())
    if needed and not text:
        raise AgencyFault(field, N_("Name, place, address and one telephone number are needed."))
    if len(text) > most:
        raise AgencyFault(field, N_("This is too long: at most {most} characters."), most=str(most))
    return text


def phones_of(typed: Sequence[str]) -> list[str]:
    """The numbers in E.164, each once, the first is the main one. Raises AgencyFault."""
    numbers: list[str] = []
    for text in typed:
        if not text.strip():
            continue
        number = parse_e164(text.strip())
        if number is None:
            raise AgencyFault("phones", N_("{typed} is no telephone number."), typed=text.strip()[:20])
        if number not in numbers:
            numbers.append(number)
    if not numbers:
        raise AgencyFault("phones", N_("Name, place, address and one telephone number are needed."))
    if len(numbers) > PHONES_MAX:
        raise AgencyFault("phones", N_("At most four telephone numbers."))
    return numbers


def coordinates_of(latitude: str, longitude: str) -> tuple[int, int] | None:
    """Both in millionths of a degree, or None where neither is given. Raises AgencyFault."""
    if not latitude.strip() and not longitude.strip():
        return None
    return _degrees("latitude", latitude, 90), _degrees("longitude", longitude, 180)


def _degrees(field: str, typed: str, most: int) -> int:
    found = _DEGREES.fullmatch(typed.strip().replace("−", "-"))
    if found is not None:
        sign, whole, rest = found.groups()
        millionths = int(whole) * _MILLION + int((rest or "").ljust(6, "0"))
        if millionths <= most * _MILLION:
            return -millionths if sign == "-" else millionths
    raise AgencyFault(field, N_("Coordinates are two numbers in degrees, as -4.325 and 15.3222."))


def degrees_text(millionths: int | None) -> str:
    """`-4.325`; nothing for None."""
    if millionths is None:
        return ""
    whole, rest = divmod(abs(millionths), _MILLION)
    text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if millionths < 0 else text
