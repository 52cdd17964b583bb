"""Rates as they are kept (JSON) and as they are counted with. Pure.

    {"contributions": [{"code": "cnss", "name": "CNSS", "payer": "employee", "percent": "5", "on": "salary"}, …],
     "tax": {"code": "ipr", "name": "IPR", "brackets": [{"upto": "162000", "percent": "3"}, …, {"percent": "40"}],
             "cap_percent": "30", "least": "2000", "relief_percent": "2", "relief_most": 9}}

Percents and amounts are texts, in whole units of the currency; nothing is ever a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from core.kernel.money import CURRENCIES, BadAmount, Money
from core.payroll.errors import PayrollRefused
from core.payroll.model import Bracket, Contribution, IncomeTax, Rates

_CODE = re.compile(r"[a-z][a-z0-9_]{1,23}")
_PERCENT = re.compile(r"\d{1,3}(\.\d{1,4})?")
_NAME_MAX, _LEVIES_MAX, _BRACKETS_MAX, _RELIEF_MOST = 60, 20, 12, 20

# What a new database computes with until an accountant has looked: the rates as they are generally told for the DR
# Congo (CNSS 5 % and 13 %, INPP 3 %, ONEM 0,2 %; IPR by the yearly brackets of 1,944, 21,6 and 43,2 million francs
# divided by twelve, capped at 30 %, 2 % less for each of nine dependants, 2 000 FC at least). Not confirmed by anybody:
# every page that uses them says so. INPP is 2 % or 1 % for larger employers.
FIRST_FROM = "2026-01"
FIRST_RATES: Mapping[str, Mapping[str, Any]] = {
    "CDF": {
        "contributions": [
            {"code": "cnss", "name": "CNSS", "payer": "employee", "percent": "5", "on": "salary"},
            {"code": "cnss_employer", "name": "CNSS", "payer": "employer", "percent": "13", "on": "salary"},
            {"code": "inpp", "name": "INPP", "payer": "employer", "percent": "3", "on": "salary"},
            {"code": "onem", "name": "ONEM", "payer": "employer", "percent": "0.2", "on": "salary"},
        ],
        "tax": {
            "code": "ipr",
            "name": "IPR",
            "brackets": [
                {"upto": "162000", "percent": "3"},
                {"upto": "1800000", "percent": "15"},
                {"upto": "3600000", "percent": "30"},
                {"percent": "40"},
            ],
            "cap_percent": "30",
            "least": "2000",
            "relief_percent": "2",
            "relief_most": 9,
        },
    }
}


def read_rates(body: Mapping[str, Any], currency: str) -> Rates:
    """The rates that a body describes. Raises PayrollRefused rates_invalid, with what is wrong."""
    if currency not in CURRENCIES:
        raise _wrong(f"unknown currency {currency}")
    if not isinstance(body, Mapping) or set(body) - {"contributions", "tax"}:
        raise _wrong("only contributions and tax are known")
    listed = body.get("contributions", [])
    if not isinstance(listed, list) or len(listed) > _LEVIES_MAX:
        raise _wrong("contributions is no list, or too long")
    contributions = tuple(_contribution(one, currency) for one in listed)
    told = body.get("tax")
    tax = _tax(told, currency) if told else None
    codes = [levy.code for levy in contributions] + ([tax.code] if tax else [])
    if len(set(codes)) < len(codes):
        raise _wrong("a code stands there twice")
    for on in ("salary", "commission"):
        own = [levy.percent for levy in contributions if levy.on == on and levy.payer == "employee"]
        if sum(own, Fraction(0)) > 100:
            raise _wrong("contributions take more than the pay")
    return Rates(currency, contributions, tax)


def _contribution(told: Any, currency: str) -> Contribution:
    if not isinstance(told, Mapping):
        raise _wrong("a contribution is no object")
    payer, on = told.get("payer"), told.get("on", "salary")
    if payer not in ("employee", "employer") or on not in ("salary", "commission"):
        raise _wrong("payer is employee or employer, on is salary or commission")
    ceiling = told.get("ceiling")
    whose: Literal["employee", "employer"] = "employee" if payer == "employee" else "employer"
    base: Literal["salary", "commission"] = "salary" if on == "salary" else "commission"
    return Contribution(
        code=_code(told),
        name=_name(told),
        payer=whose,
        percent=_percent(told.get("percent")),
        on=base,
        ceiling_minor=_amount(ceiling, currency) if ceiling not in (None, "") else None,
    )


def _tax(told: Any, currency: str) -> IncomeTax:
    if not isinstance(told, Mapping):
        raise _wrong("tax is no object")
    listed = told.get("brackets")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _BRACKETS_MAX:
        raise _wrong("tax has no brackets, or too many")
    brackets = tuple(_bracket(one, currency) for one in listed)
    bounds = [bracket.upto_minor for bracket in brackets]
    if bounds[-1] is not None or None in bounds[:-1]:
        raise _wrong("the last bracket, and only the last, has no end")
    ends = [bound for bound in bounds if bound is not None]
    if any(bound <= 0 for bound in ends) or sorted(set(ends)) != ends:
        raise _wrong("brackets must grow")
    most = told.get("relief_most", 0)
    relief = _percent(told.get("relief_percent", "0") or "0")
    if type(most) is not int or not 0 <= most <= _RELIEF_MOST or relief * most > 100:
        raise _wrong("relief is more than the tax, or for too many dependants")
    cap = told.get("cap_percent")
    return IncomeTax(
        code=_code(told),
        name=_name(told),
        brackets=brackets,
        cap_percent=_percent(cap) if cap not in (None, "") else None,
        least_minor=_amount(told.get("least") or "0", currency),
        relief_percent=relief,
        relief_most=most,
    )


def _bracket(told: Any, currency: str) -> Bracket:
    if not isinstance(told, Mapping):
        raise _wrong("a bracket is no object")
    upto = told.get("upto")
    return Bracket(_amount(upto, currency) if upto not in (None, "") else None, _percent(told.get("percent")))


def _code(told: Mapping[str, Any]) -> str:
    code = told.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise _wrong("a code is two to 24 small letters, digits and _")
    return code


def _name(told: Mapping[str, Any]) -> str:
    name = told.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > _NAME_MAX or not name.isprintable():
        raise _wrong("a levy has a name")
    return name.strip()


def _percent(told: Any) -> Fraction:
    if not isinstance(told, str) or not _PERCENT.fullmatch(told) or Fraction(told) > 100:
        raise _wrong("a percent is a text from 0 to 100, with four decimals at most")
    return Fraction(told)


def _amount(told: Any, currency: str) -> int:
    try:
        return Money.parse(told if isinstance(told, str) else "", currency).minor
    except BadAmount as error:
        raise _wrong(str(error)) from None


def _wrong(what: str) -> PayrollRefused:
    return PayrollRefused("rates_invalid", what)
