"""The operators' key pairs: made at the first start, kept in the box's database."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from sqlalchemy import insert, select

from mwolo.sandbox.store import Store, keys

_PEM = serialization.Encoding.PEM
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


class OperatorKeys:
    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def vodacom(self) -> rsa.RSAPrivateKey:
        """Decrypts bearers. 2048 bits: the real one has 4096, which takes seconds to make and changes nothing here."""
        pem = self._kept("vodacom", lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))
        key = _read(pem)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    @cached_property
    def pawapay(self) -> ec.EllipticCurvePrivateKey:
        """Signs callbacks."""
        pem = self._kept("pawapay", lambda: ec.generate_private_key(ec.SECP256R1()))
        key = _read(pem)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    @cached_property
    def airtel(self) -> rsa.RSAPrivateKey:
        """Opens what merchants sign with. As short as the real one: 1024 bits just hold an AES key and its start."""
        pem = self._kept("airtel", lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505
        key = _read(pem)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def airtel_public(self) -> str:
        """As `GET /v1/rsa/encryption-keys` gives it: DER in base64, on one line."""
        der = self.airtel.public_key().public_bytes(serialization.Encoding.DER, _PUBLIC)
        return base64.b64encode(der).decode()

    def vodacom_public(self) -> str:
        """As the portal shows it: DER in base64, on one line."""
        der = self.vodacom.public_key().public_bytes(serialization.Encoding.DER, _PUBLIC)
        return base64.b64encode(der).decode()

    def pawapay_public(self) -> str:
        """As `GET /v2/public-key/http` gives it: PEM."""
        return self.pawapay.public_key().public_bytes(_PEM, _PUBLIC).decode()

    def _kept(self, name: str, make: Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]) -> bytes:
        with self._store.begin() as db:
            pem = db.scalar(select(keys.c.pem).where(keys.c.name == name))
            if pem is None:
                plain = serialization.NoEncryption()
                pem = make().private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)
                db.execute(insert(keys).values(name=name, pem=pem))
            return bytes(pem)


@lru_cache(maxsize=8)
def _read(pem: bytes) -> PrivateKeyTypes:
    """Checking that a long RSA key is one takes longer than any use of it here."""
    return serialization.load_pem_private_key(pem, None)
