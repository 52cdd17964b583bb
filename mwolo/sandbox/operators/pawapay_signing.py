"""How pawaPay signs its callbacks: RFC 9421 message signatures, ECDSA on P-256 with SHA-256.

The official samples make DER-encoded signatures, the standard says raw r and s (64 bytes); the box can do either.
"""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from datetime import UTC, datetime
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

KEY_ID = "HTTP_EC_P256_KEY:1"
CONTENT_TYPE = "application/json; charset=UTF-8"
LIFETIME_S = 60
_COVERED = (
    "@method",
    "@authority",
    "@path",
    "signature-date",
    "content-digest",
    "content-type",
    "content-length",
)


def signed_headers(
    key: ec.EllipticCurvePrivateKey,
    url: str,
    body: bytes,
    *,
    at: float,
    shape: Literal["der", "raw"] = "der",
) -> dict[str, str]:
    """The headers of one signed POST of `body` to `url`, signed at `at` (seconds since 1970)."""
    target = urllib.parse.urlsplit(url)
    digest = base64.b64encode(hashlib.sha512(body).digest()).decode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Content-Digest": f"sha-512=:{digest}:",
        "Signature-Date": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    values = {name.lower(): value for name, value in headers.items()}
    values |= {"@method": "POST", "@authority": target.netloc.lower(), "@path": target.path or "/"}
    covered = " ".join(f'"{name}"' for name in _COVERED)
    created = int(at)
    inputs = f'({covered});alg="ecdsa-p256-sha256";keyid="{KEY_ID}";created={created};expires={created + LIFETIME_S}'
    base = "".join(f'"{name}": {values[name]}\n' for name in _COVERED) + f'"@signature-params": {inputs}'
    signature = key.sign(base.encode(), ec.ECDSA(hashes.SHA256()))
    if shape == "raw":
        r, s = decode_dss_signature(signature)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return {
        **headers,
        "Signature-Input": f"sig-pp={inputs}",
        "Signature": f"sig-pp=:{base64.b64encode(signature).decode()}:",
        "Accept-Signature": f'sig-pp=({covered});alg="ecdsa-p256-sha256"',
        "Accept-Digest": "sha-256,sha-512",
    }
