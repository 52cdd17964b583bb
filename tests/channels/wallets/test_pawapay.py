"""pawaPay: what goes out on the wire, and callbacks that prove who sent them (RFC 9421)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cases_pawapay import TOKEN
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wallet_bench import ATTEMPT_ID, NOW, Bench, attempt, says, shape

from channels.wallets.http_signatures import NotAuthentic, check_digest
from channels.wallets.operators.pawapay import customer_message
from core.kernel.money import Money
from core.payments.ports import Failed, Hint, Paid, Pending, RawCallback

PATH = "/hooks/0123456789abcdef0123/secret/callback"
AUTHORITY = "pay.example.cd"
COVERED = ("@method", "@authority", "@path", "signature-date", "content-digest", "content-type", "content-length")

P256, OTHER_P256 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
KEYS: Mapping[str, PrivateKey] = {"KEY:OTHER": OTHER_P256, "KEY:1": P256, "KEY:384": P384, "KEY:RSA": RSA}


class KeyServer:
    """pawaPay's list of public keys: PEM for the one, bare base64 for the other."""

    def __init__(self, ids: tuple[str, ...] = tuple(KEYS)) -> None:
        self.ids = ids
        self.asked = 0
        self.down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v2/public-key/http"
        self.asked += 1
        if self.down:
            return httpx.Response(503)
        rows = [{"id": key_id, "key": self._text(key_id)} for key_id in self.ids]
        return httpx.Response(200, json=[{"id": "KEY:BROKEN", "key": "%%%"}, {"odd": 1}, *rows])

    def _text(self, key_id: str) -> str:
        public = KEYS[key_id].public_key()
        if key_id == "KEY:1":
            return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(base: bytes, key: PrivateKey, algorithm: str, form: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm == "rsa-pss-sha512":
            return key.sign(base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
        return key.sign(base, padding.PKCS1v15(), hashes.SHA256())
    size, digest = (48, hashes.SHA384()) if algorithm == "ecdsa-p384-sha384" else (32, hashes.SHA256())
    der = key.sign(base, ec.ECDSA(digest))
    if form == "der":
        return der
    return b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(der))


def signed(
    *,
    key_id: str = "KEY:1",
    key: PrivateKey | None = None,
    algorithm: str | None = "ecdsa-p256-sha256",
    form: str = "der",
    at: datetime = NOW,
    covered: tuple[str, ...] = COVERED,
    digest: str = "sha-512",
    authority: str = AUTHORITY,
    expires: datetime | None = None,
    body: bytes | None = None,
) -> RawCallback:
    """A callback as pawaPay signs it."""
    body = body if body is not None else json.dumps(shape("pawapay_completed")).encode()
    made = hashlib.new(digest.replace("-", ""), body).digest()
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "content-length": str(len(body)),
        "content-digest": f"{digest}=:{base64.b64encode(made).decode()}:",
        "signature-date": at.isoformat().replace("+00:00", "Z"),
        "accept-signature": 'sig-pp=();alg="ecdsa-p256-sha256"',
    }
    known = {"@method": "POST", "@authority": authority, "@path": PATH, **headers}
    params = f"({' '.join(json.dumps(name) for name in covered)})"
    params += f';alg="{algorithm}"' if algorithm else ""
    params += f';keyid="{key_id}";created={int(at.timestamp())};expires={int((expires or at).timestamp()) + 60}'
    lines = [*(f'"{name}": {known[name]}' for name in covered), f'"@signature-params": {params}']
    signature = sign("\n".join(lines).encode(), key or KEYS[key_id], algorithm or "ecdsa-p256-sha256", form)
    headers["signature-input"] = f"sig-pp={params}"
    headers["signature"] = f"sig-pp=:{base64.b64encode(signature).decode()}:"
    return RawCallback("callback", body, headers, "POST", PATH, "10.0.0.7:8000", None, NOW)


def changed(raw: RawCallback, **fields: Any) -> RawCallback:
    return RawCallback(**{name: getattr(raw, name) for name in RawCallback.__dataclass_fields__} | fields)


def read(raw: RawCallback, server: KeyServer | None = None, bench: Bench | None = None) -> Hint:
    bench = bench or Bench("pawapay", server or KeyServer(), public_authority=AUTHORITY)
    hint = bench.wallet.read_callback(raw)
    assert isinstance(hint, Hint)
    assert hint.attempt_id == ATTEMPT_ID
    return hint


# -- the wire


def test_the_deposit_on_the_wire() -> None:
    bench = Bench("pawapay", says("pawapay_accepted"))
    bench.run("start", brand="airtel", payer_phone="+243970000001")
    (sent,) = bench.network.asked
    assert str(sent.url) == "https://api.sandbox.pawapay.io/v2/deposits"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert bench.network.bodies == [
        {
            "depositId": ATTEMPT_ID,
            "amount": "12500",
            "currency": "CDF",
            "payer": {"type": "MMO", "accountDetails": {"phoneNumber": "243970000001", "provider": "AIRTEL_COD"}},
            "clientReferenceId": "E0123456789ABCDEFGHJ",
            "customerMessage": "Facture d electricite",
        }
    ]


@pytest.mark.parametrize(
    ("brand", "provider"), [("mpesa", "VODACOM_MPESA_COD"), ("airtel", "AIRTEL_COD"), ("orange", "ORANGE_COD")]
)
def test_each_brand_has_its_provider(brand: str, provider: str) -> None:
    bench = Bench("pawapay", says("pawapay_accepted"))
    bench.run("start", brand=brand, amount=Money(550, "USD"))
    (body,) = bench.network.bodies
    assert body["payer"]["accountDetails"]["provider"] == provider
    assert body["amount"] == "5.50"


def test_a_brand_without_provider_is_not_sent() -> None:
    bench = Bench("pawapay", says("pawapay_accepted"))
    assert bench.run("start", brand="afrimoney") == Failed("configuration", "no_provider")
    assert bench.network.asked == []


def test_the_question_names_the_deposit() -> None:
    bench = Bench("pawapay", says("pawapay_not_found"))
    bench.wallet.query(attempt())
    assert bench.network.asked[0].url.path == f"/v2/deposits/{ATTEMPT_ID}"


@pytest.mark.parametrize("text", ["", "!", "né", "Facture n° 000123 du 1er mars 2026", "電気料金", "a" * 40])
def test_the_message_fits_the_prompt(text: str) -> None:
    message = customer_message(text, "1234567897")
    assert 4 <= len(message) <= 22
    assert all(c.isascii() and (c.isalnum() or c == " ") for c in message)


# -- signatures


@pytest.mark.parametrize("form", ["der", "raw"])
@pytest.mark.parametrize(
    ("key_id", "algorithm"),
    [("KEY:1", "ecdsa-p256-sha256"), ("KEY:1", None), ("KEY:OTHER", "ecdsa-p256-sha256"),
     ("KEY:384", "ecdsa-p384-sha384"), ("KEY:RSA", "rsa-v1_5-sha256"), ("KEY:RSA", "rsa-pss-sha512")],
)  # fmt: skip
@pytest.mark.parametrize("digest", ["sha-256", "sha-512"])
def test_a_signed_callback_is_authentic(key_id: str, algorithm: str | None, form: str, digest: str) -> None:
    hint = read(signed(key_id=key_id, algorithm=algorithm, form=form, digest=digest))
    assert hint == Hint(
        attempt_id=ATTEMPT_ID,
        claim=Paid("PP260302.0900.A12345", Money.units(12500, "CDF"), payer_phone="+243970000001"),
        authentic=True,
    )


def test_the_documented_digest() -> None:
    body = b'{"depositId":"0b9f0f4e-6b1d-4c0e-9f0a-2f9d6c1d2e3f"}'
    check_digest("sha-256=:n+S4GfrKwqvtCPf3uZiHpPhtMtXhFUbir/GTz8tcM7c=:", body)
    with pytest.raises(NotAuthentic):
        check_digest("sha-256=:n+S4GfrKwqvtCPf3uZiHpPhtMtXhFUbir/GTz8tcM7c=:", body + b" ")


def test_the_signature_of_the_standard() -> None:
    """RFC 9421 appendix B.2.4 (ecdsa-p256-sha256) with its key test-key-ecc-p256: raw r and s."""
    from channels.wallets.http_signatures import SignedRequest, check_signature, load_key, read_input, signature_base

    key = load_key(
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n"
        "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END PUBLIC KEY-----\n"
    )
    headers = {
        "content-type": "application/json",
        "content-digest": "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41Q"
        "JgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        "content-length": "23",
        "signature-input": 'sig-b24=("@status" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-ecc-p256"',
        "signature": "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx"
        "0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:",
    }
    request = SignedRequest("POST", "example.com", "/foo", headers, b'{"message": "good dog"}', NOW)
    found = read_input(headers, "sig-b24")
    assert found.parameters == {"created": "1618884473", "keyid": "test-key-ecc-p256"}
    with pytest.raises(NotAuthentic, match="@status"):
        signature_base(request, found)  # the example signs an answer; we receive requests only
    base = "\n".join(
        [
            '"@status": 200',
            *(f'"{name}": {headers[name]}' for name in ("content-type", "content-digest", "content-length")),
            f'"@signature-params": {found.raw}',
        ]
    )
    check_signature(key, "ecdsa-p256-sha256", found.signature, base.encode())
    check_digest(headers["content-digest"], request.body)


def test_a_failure_is_claimed_as_such() -> None:
    hint = read(signed(body=json.dumps({"data": shape("pawapay_failed"), "status": "FOUND"}).encode()))
    assert (hint.claim, hint.authentic) == (Failed("no_funds", "INSUFFICIENT_BALANCE"), True)


_GOOD = signed()
_OTHER_BODY = json.dumps(shape("pawapay_completed", amount="1")).encode()
_FORGED = {
    "unsigned": changed(_GOOD, headers={"content-type": "application/json"}),
    "another body": changed(_GOOD, body=_OTHER_BODY),
    "another body with its digest": changed(
        _GOOD,
        body=_OTHER_BODY,
        headers={**_GOOD.headers, "content-digest": signed(body=_OTHER_BODY).headers["content-digest"]},
    ),
    "another key": signed(key=OTHER_P256),
    "another path": changed(_GOOD, path="/hooks/elsewhere"),
    "another method": changed(_GOOD, method="PUT"),
    "another host": signed(authority="evil.example"),
    "key and algorithm do not fit": signed(key_id="KEY:1", key=RSA, algorithm="rsa-v1_5-sha256"),
    "too old": signed(at=NOW - timedelta(minutes=6)),
    "from the future": signed(at=NOW + timedelta(minutes=6)),
    "expired": signed(at=NOW - timedelta(minutes=4), expires=NOW - timedelta(minutes=10)),
    "digest not covered": signed(covered=tuple(name for name in COVERED if name != "content-digest")),
    "path not covered": signed(covered=tuple(name for name in COVERED if name != "@path")),
    "unknown key": changed(
        _GOOD, headers={**_GOOD.headers, "signature-input": _GOOD.headers["signature-input"].replace("KEY:1", "KEY:9")}
    ),
    "later date, same signature": changed(_GOOD, headers={**_GOOD.headers, "signature-date": "2026-03-02T09:01:00Z"}),
    "header gone": changed(_GOOD, headers={k: v for k, v in _GOOD.headers.items() if k != "content-type"}),
    "garbage signature": changed(_GOOD, headers={**_GOOD.headers, "signature": "sig-pp=:AAAA:"}),
    "not base64": changed(_GOOD, headers={**_GOOD.headers, "signature": "sig-pp=:%%%:"}),
    "garbage input": changed(_GOOD, headers={**_GOOD.headers, "signature-input": 'sig-pp=("@method'}),
    "weak digest only": changed(_GOOD, headers={**_GOOD.headers, "content-digest": "md5=:AAAA:"}),
}


@pytest.mark.parametrize("why", _FORGED)
def test_what_is_not_proven_is_only_a_hint(why: str) -> None:
    hint = read(_FORGED[why])
    assert hint.authentic is False
    assert hint.claim is not None


def test_the_public_host_is_what_is_signed_behind_a_proxy() -> None:
    arrived_there = changed(signed(), authority=AUTHORITY)
    assert read(arrived_there, bench=Bench("pawapay", KeyServer())).authentic
    assert not read(signed(), bench=Bench("pawapay", KeyServer())).authentic


def test_a_waiting_callback_is_judged_by_when_it_arrived() -> None:
    bench = Bench("pawapay", KeyServer(), public_authority=AUTHORITY)
    bench.clock.advance(hours=5)
    assert read(signed(), bench=bench).authentic


def test_keys_are_fetched_once_and_again_for_a_new_id() -> None:
    server = KeyServer(("KEY:OTHER",))
    bench = Bench("pawapay", server, public_authority=AUTHORITY)
    assert read(signed(key_id="KEY:OTHER"), bench=bench).authentic
    assert read(signed(key_id="KEY:OTHER"), bench=bench).authentic
    assert server.asked == 1
    server.ids = ("KEY:OTHER", "KEY:1")
    assert not read(signed(), bench=bench).authentic, "just fetched: made-up ids must not become a call each"
    assert server.asked == 1
    bench.clock.advance(seconds=61)
    assert read(signed(), bench=bench).authentic
    assert server.asked == 2
    bench.clock.advance(days=2)
    assert read(signed(at=NOW), bench=bench).authentic
    assert server.asked == 3, "a key that was withdrawn must not stay for ever"


def test_without_keys_it_is_a_hint_and_nothing_breaks() -> None:
    server = KeyServer()
    server.down = True
    hint = read(signed(), server)
    assert (hint.authentic, isinstance(hint.claim, Paid)) == (False, True)


def test_no_keys_are_fetched_for_what_is_wrong_anyway() -> None:
    server = KeyServer()
    for why in ("unsigned", "another body", "too old", "digest not covered"):
        read(_FORGED[why], server)
    assert server.asked == 0


def test_an_unfinished_deposit_claims_nothing() -> None:
    body = json.dumps(shape("pawapay_accepted", status="PROCESSING")).encode()
    assert read(signed(body=body)).claim == Pending()


def test_only_200_counts_as_delivered() -> None:
    ack = Bench("pawapay", KeyServer()).wallet.acknowledge(signed())
    assert (ack.status, ack.body) == (200, b"")


def test_dates_are_utc_when_they_do_not_say() -> None:
    raw = signed(at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    assert read(raw).authentic
