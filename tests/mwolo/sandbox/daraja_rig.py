"""A caller of the box's Daraja, as a program of its own would be."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from werkzeug.test import TestResponse

from mwolo.sandbox.operators.daraja_rules import moment
from tests.mwolo.sandbox.box_rig import Box, Letter

KENYA = "+254712345678"


class DarajaCaller:
    def __init__(self, box: Box, base: str = "/daraja") -> None:
        self.box = box
        self.base = base
        self.token = ""
        self.attempt = ""
        box.post("seed", {"phones": [{"phone": KENYA, "wallet_pin": "1234", "balance": 20000}]})

    def log_in(self, keys: str | None = None, **asked: str) -> TestResponse:
        told = keys or f"{self.box.config.daraja_consumer_key}:{self.box.config.daraja_consumer_secret}"
        basic = {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}
        query = {"grant_type": "client_credentials", **asked}
        reply = self.box.app.test_client().get(f"{self.base}/oauth/v1/generate", query_string=query, headers=basic)
        self.token = (reply.get_json(silent=True) or {}).get("access_token", self.token)
        return reply

    def push(self, phone: str = KENYA, **changes: Any) -> TestResponse:
        self.attempt = str(uuid.uuid4())
        msisdn = phone.removeprefix("+")
        body: dict[str, Any] = {
            **self.signed(),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": "250",
            "PartyA": msisdn,
            "PartyB": self.box.config.daraja_short_code,
            "PhoneNumber": msisdn,
            "CallBackURL": self.box.product.url(f"/hooks/daraja/callback/{self.attempt}"),
            "AccountReference": "1234567897HJ",
            "TransactionDesc": "Facture",
        }
        return self.post("stkpush/v1/processrequest", {**body, **changes})

    def pushed(self, phone: str = KENYA, **changes: Any) -> str:
        """The CheckoutRequestID of a push that was taken."""
        reply = self.push(phone, **changes)
        assert (reply.status_code, reply.json["ResponseCode"]) == (200, "0"), reply.text
        return str(reply.json["CheckoutRequestID"])

    def query(self, checkout: str) -> TestResponse:
        return self.post("stkpushquery/v1/query", {**self.signed(), "CheckoutRequestID": checkout})

    def register(self, version: str = "v2", **changes: Any) -> TestResponse:
        body = {
            "ShortCode": self.box.config.daraja_short_code,
            "ResponseType": "Completed",
            "ConfirmationURL": self.box.product.url("/hooks/daraja/confirm"),
            "ValidationURL": self.box.product.url("/hooks/daraja/validate"),
        }
        return self.post(f"c2b/{version}/registerurl", {**body, **changes})

    def simulate(self, **changes: Any) -> TestResponse:
        body = {
            "ShortCode": self.box.config.daraja_short_code,
            "CommandID": "CustomerPayBillOnline",
            "Amount": "300",
            "Msisdn": KENYA[1:],
            "BillRefNumber": "1234567897",
        }
        return self.post("c2b/v2/simulate", {**body, **changes})

    def signed(self) -> dict[str, str]:
        at, config = moment(self.box.clock()), self.box.config
        plain = f"{config.daraja_short_code}{config.daraja_passkey}{at}"
        password = base64.b64encode(plain.encode()).decode()
        return {"BusinessShortCode": config.daraja_short_code, "Password": password, "Timestamp": at}

    def post(self, path: str, body: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.box.app.test_client().post(f"{self.base}/mpesa/{path}", json=body, headers=headers)

    # -- what reached the product

    def callbacks(self, attempt: str | None = None) -> list[dict[str, Any]]:
        letters = self.box.product.at(f"/hooks/daraja/callback/{attempt or self.attempt}")
        return [json.loads(letter.body)["Body"]["stkCallback"] for letter in letters]

    def notices(self, kind: str = "confirm") -> list[dict[str, Any]]:
        return [json.loads(letter.body) for letter in self.box.product.at(f"/hooks/daraja/{kind}")]


def items(callback: dict[str, Any]) -> dict[str, Any]:
    return {item["Name"]: item.get("Value") for item in callback["CallbackMetadata"]["Item"]}


def refusing(code: str | int) -> Any:
    """A product that answers every validation with this code, and takes everything else."""

    def answer(letter: Letter) -> tuple[int, str]:
        return 200, json.dumps({"ResultCode": code, "ResultDesc": "?"})

    return answer
