"""Daraja's bill number: addresses, payments that customers send from the M-Pesa menu, and what is told of them.

An STK payment to a short code with registered addresses is told here a second time, under the same receipt.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.ledger import OperatorLedger
from mwolo.sandbox.movements import NothingThere, WalkIn
from mwolo.sandbox.operators.daraja_rules import moment, payer
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, daraja_addresses, movements
from mwolo.sandbox.wire import clock_of

log = logging.getLogger(__name__)

WALLET = "mpesa_ke"
JSON = {"Content-Type": "application/json"}
# M-Pesa waits about so long for a validation, then does what the registration says.
VALIDATION_S = 8.0
MOST_CONFIRMATIONS = 3


class DarajaBill:
    """Validations and confirmations of one short code."""

    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        ledger: OperatorLedger,
        faults: Faults,
        errands: Errands,
        outbound: Outbound,
        now: Now,
    ) -> None:
        self._config = config
        self._store = store
        self._ledger = ledger
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._now = now
        ledger.on_walk_in(WALLET, self.walk_in)
        errands.on("mpesa_ke.confirm", self._confirm)
        errands.on("mpesa_ke.walk_in", self._walk_in_later)

    def register(self, version: str, fields: Mapping[str, Any]) -> None:
        """Keep the addresses; in this sandbox as often as one likes."""
        row = {
            "short_code": self._config.daraja_short_code,
            "version": version,
            "response_type": fields["ResponseType"],
            "validate_url": fields["ValidationURL"],
            "confirm_url": fields["ConfirmationURL"],
        }
        with self._store.begin() as db:
            new = upsert(daraja_addresses).values(row)
            db.execute(new.on_conflict_do_update(index_elements=["short_code"], set_=row))

    def addresses(self) -> Mapping[str, str] | None:
        """What is registered, else what the settings say is; None when nobody is to be told."""
        here = select(daraja_addresses).where(daraja_addresses.c.short_code == self._config.daraja_short_code)
        with self._store.read() as db:
            row = db.execute(here).mappings().first()
        if row is not None:
            return dict(row)
        if not self._config.daraja_confirm_url:
            return None
        return {
            "version": "v2",
            "response_type": "Completed",
            "validate_url": self._config.daraja_validate_url,
            "confirm_url": self._config.daraja_confirm_url,
        }

    def simulate(self, fields: Mapping[str, Any]) -> None:
        """Somebody pays by bill number a moment from now."""
        body = {
            "phone": f"+{fields['Msisdn']}",
            "minor": int(fields["Amount"]) * 100,
            "reference": str(fields.get("BillRefNumber") or ""),
        }
        with self._store.begin() as db:
            self._errands.add(db, "mpesa_ke.walk_in", body)

    def walk_in(self, one: WalkIn) -> Row:
        """Ask, take the money, tell. Raises NothingThere when the product or the purse says no."""
        receipt = secrets.token_hex(5).upper()
        self._validate(one, receipt)
        with self._store.begin() as db:
            row = self._ledger.movements.walk_in(db, one)
            here = movements.c.id == row["id"]
            db.execute(update(movements).where(here).values(provider_txn_id=receipt))
            row = db.execute(select(movements).where(here)).mappings().one()
            self._stage(db, _notice(row, one.reference), one.phone)
        return row

    def paid_by_push(self, db: Connection, entry: Row) -> None:
        """An STK payment, told as what it also is: money for the pay bill."""
        self._stage(db, _notice(entry, entry["asked_as"]["reference"]), entry["phone"])

    def _stage(self, db: Connection, notice: Mapping[str, Any], phone: str) -> None:
        """Confirmations: usually one, none or more by the faults whose `params.operation` is `confirm`."""
        if self._faults.take_within(db, WALLET, "lost_callback", phone, operation="confirm") is not None:
            return
        twice = self._faults.take_within(db, WALLET, "duplicate_callback", phone, operation="confirm")
        for _ in range(1 if twice is None else int(float(twice.get("copies", 2)))):
            self._errands.add(db, "mpesa_ke.confirm", notice)

    def _validate(self, one: WalkIn, receipt: str) -> None:
        """Ask the product whether this may be paid. Raises NothingThere when not."""
        where = self.addresses()
        if where is None or not where["validate_url"]:
            return
        asked = {
            "receipt": receipt,
            "at": self._now(),
            "minor": one.minor,
            "reference": one.reference,
            "phone": one.phone,
        }
        body = self._body(asked, where["version"], balance="")
        answer = self._outbound.post(where["validate_url"], body, JSON, timeout_s=VALIDATION_S)
        code = _result_code(answer.body) if answer.status == 200 else None
        self._ledger.note_request(WALLET, "validation", receipt, code or f"no answer ({answer.status})")
        if code is None and where["response_type"] == "Cancelled":
            raise NothingThere("The product did not answer the validation, so M-Pesa cancelled the payment.")
        if code not in (None, "0"):
            raise NothingThere(f"The product refused the payment: {code}.")

    def _confirm(self, notice: Mapping[str, Any], tries: int) -> float | None:
        where = self.addresses()
        if where is None:
            return None
        body = self._body(notice, where["version"], balance="30671.00")
        answer = self._outbound.post(where["confirm_url"], body, JSON)
        if answer.status == 200 or tries + 1 >= MOST_CONFIRMATIONS:
            return None
        log.warning("daraja confirmation not taken: %s %s", answer.status, answer.problem)
        return float(self._config.callback_retry_s * 2**tries)

    def _walk_in_later(self, body: Mapping[str, Any], _tries: int) -> None:
        try:
            self.walk_in(WalkIn(WALLET, body["phone"], body["minor"], "KES", body["reference"]))
        except NothingThere as refusal:
            self._ledger.note_request(WALLET, "walk_in", None, str(refusal))

    def _body(self, notice: Mapping[str, Any], version: str, *, balance: str) -> bytes:
        at = clock_of(self._faults, WALLET, notice["at"], notice["phone"])
        said = {
            "TransactionType": "Pay Bill",
            "TransID": notice["receipt"],
            "TransTime": moment(at),
            "TransAmount": f"{notice['minor'] // 100}.{notice['minor'] % 100:02d}",
            "BusinessShortCode": self._config.daraja_short_code,
            "BillRefNumber": notice["reference"],
            "InvoiceNumber": "",
            "OrgAccountBalance": balance,
            "ThirdPartyTransID": "",
            "MSISDN": payer(notice["phone"], version),
            "FirstName": "A",
            "MiddleName": "",
            "LastName": "",
        }
        return json.dumps(said).encode()


def _notice(row: Row, reference: str) -> dict[str, Any]:
    """What a confirmation needs of an entry or a movement."""
    return {
        "receipt": row["provider_txn_id"],
        "at": row["settled_at"],
        "minor": row["minor"],
        "phone": row["phone"],
        "reference": reference,
    }


def _result_code(body: bytes) -> str | None:
    """The ResultCode of an answer to a validation, as text or number; None when there is none to read."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    code = said.get("ResultCode") if isinstance(said, dict) else None
    return str(code) if isinstance(code, (str, int)) else None
