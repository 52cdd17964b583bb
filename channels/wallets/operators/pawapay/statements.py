"""pawaPay's reports: asked for per wallet, written by them in their time, fetched as CSV.

Published columns: Creation Date (UTC), MSISDN, Transaction ID (ours), Amount, Currency, Country, MNO, Type. Others are
read where they have one of the names below. Source: pawaPay's pages on statements, dashboard and API v2.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from core.kernel.errors import PartnerDown, PartnerRefused
from core.kernel.money import BadAmount, Money
from core.partner_http import PartnerHttp, Reply, text_at
from core.payments.answers import LineKind
from core.payments.ports import StatementLine

COUNTRY = "COD"
# Theirs: longer ranges are refused.
LONGEST = timedelta(days=31)
LOOK_EVERY_S = 2.0
LONGEST_REPORT_BYTES = 64 * 1024 * 1024

_AT = ("creation date", "date", "created", "created at")
_OWN_ID = ("transaction id",)
_THEIR_ID = (
    "financial transaction id",
    "provider transaction id",
    "mmo transaction id",
    "correspondent transaction id",
)
_ORIGINAL = ("original transaction id", "original transaction", "deposit id")
_STATE = ("status", "transaction status")
_PAYER = ("msisdn", "phone number")
_FEE = ("fee", "fees", "transaction fee")
# Tried in this order: a DEPOSIT_FEE is a fee, a REFUND_REVERSAL a reversal.
_KINDS: Sequence[tuple[str, LineKind]] = (
    ("fee", "fee"),
    ("commission", "fee"),
    ("revers", "reversal"),
    ("refund", "refund"),
    ("deposit", "payment"),
    ("settle", "payout"),
    ("withdraw", "payout"),
    ("payout", "payout"),
)


class Reports:
    """Fetches reports. `patience_s`: how long one may take to be written."""

    def __init__(
        self,
        http: PartnerHttp,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        patience_s: float,
        callback_url: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._http = http
        self._base = base_url
        self._headers = headers
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._callback_url = callback_url
        self._sleep = sleep

    def lines(self, start: datetime, end: datetime) -> list[StatementLine]:
        """All lines of [start, end). Raises PartnerError, also when a report is not ready in time."""
        found: list[StatementLine] = []
        alike: Counter[str] = Counter()
        for wallet in self._wallets():
            for begin, until in _windows(start, end):
                text = self._download(self._written(self._ask(wallet, begin, until)))
                found += [line for line in read_report(text, alike) if begin <= line.at < until]
        return found

    def _wallets(self) -> list[dict[str, str]]:
        reply = self._answered(
            self._http.get_json(f"{self._base}/v2/wallet-balances", headers=self._headers, timeout_s=self._timeout_s)
        )
        rows = reply.json.get("balances") if isinstance(reply.json, dict) else reply.json
        wallets = []
        for row in rows if isinstance(rows, list) else []:
            country, currency, provider = (text_at(row, name) for name in ("country", "currency", "provider"))
            if country == COUNTRY and currency is not None:
                wallet = {"country": country, "currency": currency}
                wallets.append(wallet | ({"provider": provider} if provider else {}))
        return wallets

    def _ask(self, wallet: Mapping[str, str], start: datetime, end: datetime) -> str:
        body = {"wallet": wallet, "startDate": _moment(start), "endDate": _moment(end), "compressed": False}
        if self._callback_url:
            body["callbackUrl"] = self._callback_url
        reply = self._answered(
            self._http.post_json(f"{self._base}/v2/statements", body, headers=self._headers, timeout_s=self._timeout_s)
        )
        report = reply.text_at("statementId")
        if reply.text_at("status") != "ACCEPTED" or report is None:
            code = reply.text_at("failureReason.failureCode") or reply.text_at("status") or "no_status"
            raise PartnerRefused(self._http.partner, code, "no report")
        return report

    def _written(self, report: str) -> str:
        """Wait for a report. Returns the address it lies at."""
        waited = 0.0
        while True:
            reply = self._answered(
                self._http.get_json(
                    f"{self._base}/v2/statements/{report}", headers=self._headers, timeout_s=self._timeout_s
                )
            )
            status, url = reply.text_at("data.status"), reply.text_at("data.downloadUrl")
            if status == "COMPLETED" and url is not None:
                return self._trusted(url)
            if status == "FAILED":
                code = reply.text_at("data.failureReason.failureCode") or "FAILED"
                raise PartnerDown(self._http.partner, code, "the report failed")
            if waited >= self._patience_s:
                raise PartnerDown(self._http.partner, "report_not_ready")
            self._sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S

    def _trusted(self, url: str) -> str:
        """The file lies with a store of theirs, whose name is not known beforehand: encrypted at least."""
        if urlsplit(url).scheme != "https" and not url.startswith(f"{self._base}/"):
            raise PartnerRefused(self._http.partner, "report_address", "not encrypted")
        return url

    def _download(self, url: str) -> str:
        # Without our token: the address is its own key, and its host need not be pawaPay's.
        reply = self._http.get_text(url, timeout_s=self._timeout_s, max_answer_bytes=LONGEST_REPORT_BYTES)
        return self._answered(reply).text

    def _answered(self, reply: Reply) -> Reply:
        if reply.ok:
            return reply
        code = reply.text_at("failureReason.failureCode") or f"http_{reply.status}"
        raise PartnerRefused(self._http.partner, code)


def read_report(text: str, alike: Counter[str] | None = None) -> list[StatementLine]:
    """The lines of a report. `alike` counts rows without an id over several reports of one fetch: two that are alike
    are two. Raises PartnerError for a report whose columns or cells cannot be read: half of it would look like money
    that is missing."""
    alike = Counter() if alike is None else alike
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    found = []
    for number, raw in enumerate(rows, 2):
        cells = {str(name).strip().lower(): (value or "").strip() for name, value in raw.items() if name}
        if _cell(cells, _STATE).upper() not in ("", "COMPLETED"):
            continue
        try:
            found.append(_line(cells, {str(name): str(value or "") for name, value in raw.items() if name}, alike))
        except ValueError as error:
            raise PartnerDown("pawapay", "unreadable", f"line {number} of the report: {error}") from error
    return found


def _line(cells: Mapping[str, str], raw: Mapping[str, str], alike: Counter[str]) -> StatementLine:
    currency, own_id = cells.get("currency", ""), _cell(cells, _OWN_ID)
    kind, word = _kind(cells.get("type", "")), cells.get("type", "")
    amount = _amount(cells.get("amount", ""), currency)
    at = datetime.fromisoformat(_cell(cells, _AT))
    fee = _cell(cells, _FEE)
    return StatementLine(
        row_key=f"{word}:{own_id or _cell(cells, _THEIR_ID) or _row_id(cells, alike)}"[:80],
        kind=kind,
        amount=amount,
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        provider_txn_id=_cell(cells, _THEIR_ID) or None,
        own_ids=(own_id,) if own_id else (),
        original_txn_id=_cell(cells, _ORIGINAL) or None,
        payer=_cell(cells, _PAYER) or None,
        fee=_amount(fee, currency) if fee else None,
        raw=raw,
    )


def _row_id(cells: Mapping[str, str], alike: Counter[str]) -> str:
    """What a row without any id is known by in every report: its cells, and which of several alike it is."""
    digest = hashlib.sha256("\x1f".join(f"{name}={cells[name]}" for name in sorted(cells)).encode()).hexdigest()[:32]
    alike[digest] += 1
    return f"{digest}:{alike[digest]}"


def _amount(text: str, currency: str) -> Money:
    try:
        return Money.parse(text.replace(",", "").removeprefix("-").removeprefix("+"), currency)
    except BadAmount as error:
        raise ValueError(str(error)) from error


def _kind(word: str) -> LineKind:
    return next((kind for part, kind in _KINDS if part in word.lower()), "other")


def _cell(cells: Mapping[str, str], names: Sequence[str]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _windows(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        until = min(start + LONGEST, end)
        yield start, until
        start = until


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
