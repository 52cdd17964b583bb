"""A box to test: its API, callers of its operators, and a product that takes what the box sends."""

from __future__ import annotations

import atexit
import base64
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key
from flask import Flask, Response, request
from werkzeug.test import TestResponse

from mwolo.sandbox.app import create_app, sandbox_of
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.operators.keys import OperatorKeys
from mwolo.sandbox.serve import threaded_server
from mwolo.sandbox.store import Store

MPESA, AIRTEL, ORANGE = "+243810000001", "+243970000002", "+243890000003"
# Long enough for the slowest machine; reached only when something is broken.
PATIENCE_S = 120.0


def until(found: Callable[[], Any], what: str = "") -> Any:
    """Wait until `found()` is truthy and return what it found."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(0.005)
    raise AssertionError(f"not within {PATIENCE_S} s: {what or found}")


class HandClock:
    """Seconds that pass when told to, on top of the real ones."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Letter:
    """One request that reached the product."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    authority: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Product:
    """Stands where Mwolo stands. `answer` says what each request gets: (status, text)."""

    letters: list[Letter] = field(default_factory=list)
    answer: Callable[[Letter], tuple[int, str]] = lambda letter: (200, "")

    def __post_init__(self) -> None:
        app = Flask("product")

        @app.post("/<path:path>")
        def take(path: str) -> Response:
            letter = Letter(f"/{path}", dict(request.headers.items()), request.get_data(), request.host)
            status, text = self.answer(letter)
            self.letters.append(letter)
            return Response(text, status, content_type="text/plain")

        self._server = threaded_server(app)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.port}{path}"

    def at(self, path: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@cache
def _new_box() -> Path:
    """The folder of a box that was never started, with its tables and keys, for as long as this process lives."""
    folder = tempfile.TemporaryDirectory(prefix="mwolo-box-")
    atexit.register(folder.cleanup)
    store = Store(Path(folder.name) / "box")
    made = OperatorKeys(store)
    assert all((made.vodacom, made.airtel, made.pawapay))
    store.close()
    return store.path.parent


class Box:
    """One running box with three phones, and short words for what tests do to it."""

    def __init__(self, data_dir: Path, product: Product, **settings: Any) -> None:
        self.product = product
        self.clock = HandClock()
        base = SandboxConfig(
            data_dir=data_dir,
            ussd_url=product.url("/ussd"),
            ussd_end_url=product.url("/ussd/end"),
            sms_delivery_url=product.url("/sms/delivery"),
            sms_inbound_url=product.url("/sms/inbound"),
            email_inbound_url=product.url("/email/s/inbound"),
            vodacom_callback_url=product.url("/hooks/vodacom"),
            pawapay_callback_url=product.url("/hooks/pawapay"),
            session_warmup_s=0.0,
            callback_retry_s=0.01,
            delivery_delay_s=0.0,
        )
        self.config = replace(base, **settings)
        self.meters = settings.get("meters")
        if self.config.data_dir == data_dir and not data_dir.exists():
            # Every table, and the operators' key pairs: making them takes longer than most tests.
            shutil.copytree(_new_box(), data_dir)
        self.app = create_app(self.config, now=self.clock)
        self.callers = ThreadPoolExecutor(8)
        phones = [{"phone": one, "wallet_pin": "1234", "balance": 20000} for one in (MPESA, AIRTEL, ORANGE)]
        self.post("seed", {"phones": phones})

    def close(self) -> None:
        sandbox_of(self.app).close()
        self.callers.shutdown(wait=True)

    def get(self, path: str) -> Any:
        reply = self.app.test_client().get(f"/sandbox/api/{path}")
        assert reply.status_code == 200, reply.text
        return reply.json

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        reply = self.app.test_client().post(f"/sandbox/api/{path}", json=body)
        assert reply.status_code == status, reply.text
        return reply.json

    def fault(self, target: str, fault: str, times: int = 1, phone: str | None = None, **params: Any) -> None:
        self.post("faults", {"target": target, "fault": fault, "times": times, "phone": phone, "params": params})

    def entry(self, wallet: str, own_id: str) -> dict[str, Any]:
        found = [one for one in self.get(f"wallets/{wallet}/ledger")["entries"] if one["own_id"] == own_id]
        assert len(found) == 1, found
        return found[0]

    def prompt(self, phone: str) -> dict[str, Any]:
        return until(lambda: self.get(f"prompts?phone={phone}"), f"a prompt on {phone}")[0]

    def answers(self, phone: str, pin: str | None = "1234") -> str:
        """Wait for the prompt and answer it; a PIN of None declines."""
        self.prompt(phone)
        body = {"decline": True} if pin is None else {"pin": pin}
        return self.post(f"prompts/{phone}", body)["outcome"]

    def balance(self, phone: str) -> str:
        return next(row["balance"] for row in self.get("phones") if row["phone"] == phone)

    def later(self, call: Callable[[], TestResponse]) -> Future[TestResponse]:
        return self.callers.submit(call)


class PawapayCaller:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.headers = {"Authorization": f"Bearer {box.config.pawapay_token}"}

    def deposit(self, deposit_id: str | None = None, phone: str = AIRTEL, **changes: Any) -> TestResponse:
        provider = {AIRTEL: "AIRTEL_COD", ORANGE: "ORANGE_COD"}.get(phone, "VODACOM_MPESA_COD")
        body: dict[str, Any] = {
            "depositId": deposit_id or str(uuid.uuid4()),
            "amount": "12500",
            "currency": "CDF",
            "payer": {"type": "MMO", "accountDetails": {"phoneNumber": phone[1:], "provider": provider}},
            "clientReferenceId": "E0000000000000000001",
            "customerMessage": "Facture 000123",
        }
        body = {name: value for name, value in {**body, **changes}.items() if value is not None}
        return self.box.app.test_client().post("/pawapay/v2/deposits", json=body, headers=self.headers)

    def status(self, deposit_id: str) -> dict[str, Any]:
        return self.get(f"deposits/{deposit_id}").json

    def get(self, path: str) -> TestResponse:
        return self.box.app.test_client().get(f"/pawapay/v2/{path}", headers=self.headers)

    def post(self, path: str, body: Any = None) -> TestResponse:
        return self.box.app.test_client().post(f"/pawapay/v2/{path}", json=body, headers=self.headers)


class VodacomCaller:
    BASE = "/vodacom/sandbox/ipg/v2/vodacomDRC"

    def __init__(self, box: Box) -> None:
        self.box = box
        text = box.app.test_client().get("/sandbox/api/wallets/vodacom/public-key").text
        self.key = load_der_public_key(base64.b64decode(text))
        self.session = ""

    def bearer(self, credential: str) -> dict[str, str]:
        sealed = self.key.encrypt(credential.encode(), padding.PKCS1v15())
        return {"Authorization": f"Bearer {base64.b64encode(sealed).decode()}", "Origin": "*"}

    def log_in(self, api_key: str | None = None) -> TestResponse:
        headers = self.bearer(api_key or self.box.config.vodacom_api_key)
        reply = self.box.app.test_client().get(f"{self.BASE}/getSession/", headers=headers)
        self.session = (reply.json or {}).get("output_SessionID", self.session)
        return reply

    def pay(self, own_id: str, phone: str = MPESA, **changes: Any) -> TestResponse:
        body: dict[str, Any] = {
            "input_Amount": "12500",
            "input_Country": "DRC",
            "input_Currency": "CDF",
            "input_CustomerMSISDN": phone[1:],
            "input_ServiceProviderCode": "000000",
            "input_ThirdPartyConversationID": own_id,
            "input_TransactionReference": "E0000000000000000001",
            "input_PurchasedItemsDesc": "Facture 000123",
        }
        body = {name: value for name, value in {**body, **changes}.items() if value is not None}
        url = f"{self.BASE}/c2bPayment/singleStage/"
        return self.box.app.test_client().post(url, json=body, headers=self.bearer(self.session))

    def query(self, reference: str) -> TestResponse:
        asked = {
            "input_QueryReference": reference,
            "input_ServiceProviderCode": "000000",
            "input_ThirdPartyConversationID": uuid.uuid4().hex,
            "input_Country": "DRC",
        }
        url = f"{self.BASE}/queryTransactionStatus/"
        return self.box.app.test_client().get(url, query_string=asked, headers=self.bearer(self.session))
