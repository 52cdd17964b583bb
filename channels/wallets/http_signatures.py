"""Signed HTTP requests that come in (RFC 9421) and the digest of their bodies (RFC 9530).

Pure: the keys come from outside. A request is authentic only when the digest of the raw body is right, the signature
covers what makes the request this request, and it was made a moment ago.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

DEFAULT_ALGORITHM = "ecdsa-p256-sha256"
_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "sha-256": lambda raw: hashlib.sha256(raw).digest(),
    "sha-512": lambda raw: hashlib.sha512(raw).digest(),
}
# What a signature must cover, or it could be cut out of one request and pasted onto another.
_MUST_COVER = frozenset({"@method", "@authority", "@path", "content-digest"})

_MEMBER = re.compile(r'\s*([a-z*][a-z0-9_.*-]*)=((?:[^,"]|"(?:[^"\\]|\\.)*")*)(?:,|$)')
_INPUT = re.compile(r'\(\s*((?:"[^"]*"\s*)*)\)((?:;.*)?)', re.DOTALL)
_PARAMETER = re.compile(r';\s*([a-z*][a-z0-9_.*-]*)=(?:"((?:[^"\\]|\\.)*)"|(-?\d{1,15}))')


class NotAuthentic(Exception):
    """The request does not prove who sent it; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature speaks about, as the sender saw it. `headers` has lower-case names."""

    method: str
    authority: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """One member of Signature-Input. `raw` is its text as it came: the last line of the base repeats it."""

    components: tuple[str, ...]
    parameters: Mapping[str, str]
    raw: str
    signature: bytes


def verify(request: SignedRequest, key_of: Callable[[str], PublicKey | None], *, label: str, window_s: int) -> None:
    """Return when the request is authentic, raise NotAuthentic when it is not.

    `key_of` finds a key by its id. `window_s`: how old, or how far ahead, its times may be when it arrived.
    """
    check_digest(request.headers.get("content-digest"), request.body)
    signed = read_input(request.headers, label)
    missing = _MUST_COVER - set(signed.components)
    if missing:
        raise NotAuthentic(f"not covered: {sorted(missing)}")
    _check_times(request, signed, timedelta(seconds=window_s))
    base = signature_base(request, signed)
    key_id = signed.parameters.get("keyid")
    if key_id is None:
        raise NotAuthentic("no keyid")
    key = key_of(key_id)
    if key is None:
        raise NotAuthentic("unknown keyid")
    check_signature(key, signed.parameters.get("alg", DEFAULT_ALGORITHM), signed.signature, base)


def check_digest(header: str | None, body: bytes) -> None:
    """Every digest that we can compute must be right, and there must be one. Over the bytes as they came."""
    known = {name: value for name, value in _members(header or "").items() if name in _DIGESTS}
    if not known:
        raise NotAuthentic("no digest that we know")
    for name, value in known.items():
        if not hmac.compare_digest(_binary(value), _DIGESTS[name](body)):
            raise NotAuthentic(f"{name} of the body is another one")


def read_input(headers: Mapping[str, str], label: str) -> SignatureInput:
    """The signature under `label`, or the only one there is."""
    inputs, signatures = _members(headers.get("signature-input", "")), _members(headers.get("signature", ""))
    if label not in inputs and len(inputs) == 1:
        label = next(iter(inputs))
    if label not in inputs or label not in signatures:
        raise NotAuthentic("no signature")
    raw = inputs[label]
    whole = _INPUT.fullmatch(raw)
    if whole is None:
        raise NotAuthentic("Signature-Input cannot be read")
    components = tuple(re.findall(r'"([^"]*)"', whole[1]))
    found = list(_PARAMETER.finditer(whole[2]))
    if len(set(components)) != len(components) or "".join(m[0] for m in found) != whole[2]:
        raise NotAuthentic("Signature-Input cannot be read")
    parameters = {m[1]: m[2] if m[2] is not None else m[3] for m in found}
    return SignatureInput(components, parameters, raw, _binary(signatures[label]))


def signature_base(request: SignedRequest, signed: SignatureInput) -> bytes:
    """The text that was signed, rebuilt line by line (RFC 9421, 2.5)."""
    derived = {"@method": request.method.upper(), "@authority": request.authority.lower(), "@path": request.path or "/"}
    lines = []
    for name in signed.components:
        value = derived.get(name) if name.startswith("@") else request.headers.get(name)
        if value is None:
            raise NotAuthentic(f"signed over {name!r}, which is not there")
        lines.append(f'"{name}": {value.strip()}')
    lines.append(f'"@signature-params": {signed.raw}')
    return "\n".join(lines).encode("utf-8", "replace")


def check_signature(key: PublicKey, algorithm: str, signature: bytes, base: bytes) -> None:
    """ECDSA is taken both as RFC 9421 wants it (r and s, raw) and as DER, which the senders' own samples produce."""
    try:
        match algorithm, key:
            case "ecdsa-p256-sha256", ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
                _check_ecdsa(key, signature, base, 32, hashes.SHA256())
            case "ecdsa-p384-sha384", ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
                _check_ecdsa(key, signature, base, 48, hashes.SHA384())
            case "rsa-v1_5-sha256", rsa.RSAPublicKey():
                key.verify(signature, base, padding.PKCS1v15(), hashes.SHA256())
            case "rsa-pss-sha512", rsa.RSAPublicKey():
                key.verify(signature, base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
            case _:
                raise NotAuthentic(f"algorithm {algorithm!r} does not go with this key")
    except InvalidSignature:
        raise NotAuthentic("wrong signature") from None


def load_key(text: str) -> PublicKey:
    """A public key from PEM, or from the base64 text of its DER. Raises ValueError."""
    if "-----BEGIN" in text:
        key = load_pem_public_key(text.encode())
    else:
        key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        raise ValueError("neither an EC nor an RSA key")
    return key


def _check_ecdsa(
    key: ec.EllipticCurvePublicKey, signature: bytes, base: bytes, size: int, digest: hashes.HashAlgorithm
) -> None:
    forms = [signature]
    if len(signature) == 2 * size:
        halves = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        forms.insert(0, encode_dss_signature(*halves))
    for number, form in enumerate(forms, start=1):
        try:
            key.verify(form, base, ec.ECDSA(digest))
        except InvalidSignature:
            if number == len(forms):
                raise
        else:
            return


def _check_times(request: SignedRequest, signed: SignatureInput, window: timedelta) -> None:
    """Against the moment of arrival, not of verification: a callback may wait in the inbox."""
    told = []
    if "created" in signed.parameters:
        told.append(_at(int(signed.parameters["created"])))
    if "signature-date" in signed.components and "signature-date" in request.headers:
        told.append(_date(request.headers["signature-date"]))
    if not told:
        raise NotAuthentic("no time is signed")
    if any(abs(request.received_at - at) > window for at in told):
        raise NotAuthentic("signed too long ago, or in the future")
    if "expires" in signed.parameters and request.received_at > _at(int(signed.parameters["expires"])) + window:
        raise NotAuthentic("expired")


def _at(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotAuthentic("a time that does not exist") from None


def _date(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotAuthentic("Signature-Date cannot be read") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _members(header: str) -> dict[str, str]:
    """The members of a structured-field dictionary (RFC 8941), each value as raw text; {} when it is none."""
    members: dict[str, str] = {}
    place = 0
    while place < len(header):
        found = _MEMBER.match(header, place)
        if found is None or found.end() == place:
            return {}
        members[found[1]] = found[2].strip()
        place = found.end()
    return members


def _binary(value: str) -> bytes:
    """`:base64:` of a structured field."""
    if len(value) < 2 or not (value.startswith(":") and value.endswith(":")):
        raise NotAuthentic("a binary value cannot be read")
    try:
        return base64.b64decode(value[1:-1], validate=True)
    except (binascii.Error, ValueError):
        raise NotAuthentic("a binary value cannot be read") from None
