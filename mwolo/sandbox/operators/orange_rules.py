"""The words of Orange's SOAP merchant gateway: operations, result codes, envelopes, the service's description.

Of the codes, 0, 200, 704 and 00084 have been seen in the real one, 60019 in a sister system; the others are the box's
own, for nobody outside Orange knows how a refused PIN is spelt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SERVICES = "http://services.ws1.com/"
CALLBACKS = "http://servicecb.ws.com/"
XML = "text/xml; charset=utf-8"

IN_PROGRESS = "0"
DONE = "200"
WRONG_ID = "704"
TEXTS: Mapping[str, str] = {
    IN_PROGRESS: "Paiement En Cours de traitement !",
    DONE: "Votre Transaction a reussie",
    "00084": "Aucun frais de service defini.",
    "701": "PartnId INCORRECT",
    "702": "Mermsisdn INCORRECT",
    "703": "Subsmsisdn INCORRECT",
    WRONG_ID: "TransId INCORRECT",
    "705": "Montant INCORRECT",
    "706": "Devise INCORRECTE",
    "60019": "Solde insuffisant",
    "60021": "Transaction annulee par le client",
    "60022": "Code PIN errone",
    "60023": "Delai de confirmation depasse",
    "60024": "Le client a une autre session en cours",
    "60025": "Le client n a pas de compte Orange Money",
    "60026": "Plateforme surchargee, rien n a ete pris en compte",
}
# How an entry ended, in the ledger's words → the code told. A code stands for itself.
_ENDINGS: Mapping[str, str] = {
    "no_funds": "60019",
    "declined": "60021",
    "wrong_pin": "60022",
    "expired": "60023",
    "busy": "60024",
    "payer_unknown": "60025",
    "unknown_payment": "60025",
    "reversed": "705",
    "too_much": "705",
}
OVERLOADED = "60026"
# The product's settings for these codes: MWOLO_ORANGE_START_NOT_TAKEN_CODES, MWOLO_ORANGE_STATUS_FAILED_CODES.
NOT_TAKEN_CODES = OVERLOADED
# The same of the B2B API: MWOLO_ORANGE_B2B_NOT_TAKEN_CODES.
B2B_NOT_TAKEN_CODES = "5"
FAILED_CODES = (
    "00084=configuration,60019=no_funds,60021=cancelled,60022=wrong_pin,60023=prompt_expired,60024=busy,"
    "60025=payer_unknown"
)

_RETURN = ("partnId", "resultCode", "resultDesc", "systemId", "transId")
# operation → its fields, those of its answer. doM2M and doS2S exist and no utility needs them.
OPERATIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "doS2M": (
        ("subsmsisdn", "PartnId", "mermsisdn", "transid", "currency", "amount", "callbackurl", "message_s2m"),
        _RETURN,
    ),
    "doM2S": (("subsmsisdn", "PartnId", "mermsisdn", "transid", "currency", "amount"), _RETURN),
    "doCheckTrans": (("PartnId", "mermsisdn", "transid"), _RETURN),
    "TcheckBal": (
        ("subsmsisdn", "currency", "PartnId", "transid"),
        ("balance", "partnId", "resultCode", "resultDesc", "transId"),
    ),
}
CALLBACK_OPERATIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "doCallback": (
        ("subsmsisdn", "PartnId", "mermsisdn", "transid", "currency", "amount", "ResultCode", "ResultDesc"),
        ("partnId", "resultCode", "resultDesc"),
    ),
}


def ending_code(reason: str | None) -> str:
    return _ENDINGS.get(reason or "", reason or "60021")


def payment_problem(fields: Mapping[str, str]) -> str | None:
    """The code for the first thing wrong with the money and the people in a doS2M or doM2S, or None."""
    if not re.fullmatch(r"0\d{9}", fields.get("subsmsisdn", "")):
        return "703"
    if not re.fullmatch(r"[0-9A-Za-z]{1,30}", fields.get("transid", "")):
        return WRONG_ID
    currency, amount = fields.get("currency", ""), fields.get("amount", "")
    if currency not in ("CDF", "USD"):
        return "706"
    shape = r"[1-9]\d{0,11}" if currency == "CDF" else r"\d{1,9}(\.\d{1,2})?"
    return None if re.fullmatch(shape, amount) and float(amount) > 0 else "705"


def answer_envelope(operation: str, fields: Mapping[str, str]) -> str:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><S:Envelope xmlns:S=\"{SOAP}\"><S:Body>"
        f'<ns2:{operation}Response xmlns:ns2="{SERVICES}"><return>{inner}</return></ns2:{operation}Response>'
        "</S:Body></S:Envelope>"
    )


def fault_envelope(code: str, text: str) -> str:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><S:Envelope xmlns:S=\"{SOAP}\"><S:Body><S:Fault>"
        f"<faultcode>S:{code}</faultcode><faultstring>{escape(text)}</faultstring></S:Fault></S:Body></S:Envelope>"
    )


def callback_envelope(fields: Mapping[str, str]) -> str:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return (
        f'<soapenv:Envelope xmlns:soapenv="{SOAP}" xmlns:ser="{CALLBACKS}"><soapenv:Header/><soapenv:Body>'
        f"<ser:doCallback>{inner}</ser:doCallback></soapenv:Body></soapenv:Envelope>"
    )


def wsdl(
    name: str, namespace: str, operations: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]], address: str
) -> str:
    """The description of a service of this family: document/literal, wrapped, fields without namespace."""
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?><definitions xmlns="http://schemas.xmlsoap.org/wsdl/" '
        f'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:tns="{namespace}" '
        f'xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{namespace}" name="{name}">',
        f'<types><xs:schema targetNamespace="{namespace}" elementFormDefault="unqualified">',
        *(_elements(operation, asked, told) for operation, (asked, told) in operations.items()),
        "</xs:schema></types>",
    ]
    for operation in operations:
        for message in (operation, f"{operation}Response"):
            parts.append(f'<message name="{message}"><part name="parameters" element="tns:{message}"/></message>')
    parts.append(f'<portType name="{name}">')
    for operation in operations:
        parts.append(
            f'<operation name="{operation}"><input message="tns:{operation}"/>'
            f'<output message="tns:{operation}Response"/></operation>'
        )
    parts.append(f'</portType><binding name="{name}PortBinding" type="tns:{name}">')
    parts.append('<soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>')
    for operation in operations:
        parts.append(
            f'<operation name="{operation}"><soap:operation soapAction=""/><input><soap:body use="literal"/></input>'
            '<output><soap:body use="literal"/></output></operation>'
        )
    parts.append(
        f'</binding><service name="{name}"><port name="{name}Port" binding="tns:{name}PortBinding">'
        f"<soap:address location={quoteattr(address)}/></port></service></definitions>"
    )
    return "".join(parts)


def _elements(operation: str, asked: tuple[str, ...], told: tuple[str, ...]) -> str:
    def fields(names: tuple[str, ...]) -> str:
        return "".join(f'<xs:element name="{name}" type="xs:string" minOccurs="0"/>' for name in names)

    return (
        f'<xs:element name="{operation}"><xs:complexType><xs:sequence>{fields(asked)}</xs:sequence></xs:complexType>'
        f'</xs:element><xs:element name="{operation}Response"><xs:complexType><xs:sequence>'
        f'<xs:element name="return" minOccurs="0"><xs:complexType><xs:sequence>{fields(told)}</xs:sequence>'
        "</xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element>"
    )
