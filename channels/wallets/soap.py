"""SOAP 1.1 messages of one operation with plain fields: written with every value escaped, read with a parser that
refuses what an attacker would put in.

The parser is the standard library's expat, on purpose: SOAP forbids a document type, so the first sign of one ends
the reading, and with it every entity bomb and every reference to a file or an address. Depth and number of elements
are bounded too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
CONTENT_TYPE = "text/xml; charset=utf-8"

_MOST_DEPTH = 16
_MOST_ELEMENTS = 200
_MOST_CHARACTERS = 256 * 1024
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


class Unreadable(ValueError):
    """No SOAP message, or one that no honest partner sends. The text says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """`operation`: local name of the element in the body, `Fault` for a fault. `fields`: local name → text of every
    leaf below it, trimmed; an empty one is left out, as if it had not been sent."""

    operation: str
    namespace: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        return self.fields.get(name)


def write(namespace: str, operation: str, fields: Mapping[str, str], *, wrapped_in: str | None = None) -> str:
    """An envelope with one operation. `wrapped_in`: answers of this family put their fields into `return`.

    Characters that XML cannot carry become a question mark: a name in the books must not spoil a payment.
    """
    inner = "".join(f"<{name}>{escape(_legal(value))}</{name}>" for name, value in fields.items())
    if wrapped_in is not None:
        inner = f"<{wrapped_in}>{inner}</{wrapped_in}>"
    return (
        f'{_DECLARATION}<soapenv:Envelope xmlns:soapenv="{SOAP_11}" xmlns:ser="{namespace}"><soapenv:Header/>'
        f"<soapenv:Body><ser:{operation}>{inner}</ser:{operation}></soapenv:Body></soapenv:Envelope>"
    )


def read(body: bytes | str) -> Message:
    """The one operation in an envelope. Raises Unreadable."""
    if len(body) > _MOST_CHARACTERS:
        raise Unreadable("too long")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    try:
        parser.Parse(body.lstrip(), True)
    except expat.ExpatError as error:
        raise Unreadable(f"not XML: {expat.ErrorString(error.code)}") from None
    except (UnicodeError, LookupError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("not XML: encoding") from None
    return reader.message()


class _Reader:
    """Follows the parser through one envelope."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._texts: list[str] = []
        self._leaf: list[bool] = []
        self._elements = 0
        self._operations: list[str] = []
        self._fields: dict[str, str] = {}

    def doctype(self, *_args: object) -> None:
        raise Unreadable("a document type, which SOAP forbids")

    def start(self, name: str, _attributes: object) -> None:
        self._elements += 1
        if self._elements > _MOST_ELEMENTS or len(self._path) >= _MOST_DEPTH:
            raise Unreadable("too many elements")
        if self._leaf:
            self._leaf[-1] = False
        self._path.append(name)
        self._texts.append("")
        self._leaf.append(True)
        if len(self._path) == 1 and name not in (f"{SOAP_11} Envelope", f"{SOAP_12} Envelope"):
            raise Unreadable("no SOAP envelope")
        if len(self._path) == 3 and self._in_body():
            self._operations.append(name)

    def text(self, data: str) -> None:
        self._texts[-1] += data

    def end(self, _name: str) -> None:
        leaf, text = self._leaf.pop(), self._texts.pop().replace("\x00", "").strip()
        if leaf and text and len(self._path) > 3 and self._in_body():
            name = self._path[-1].rpartition(" ")[2]
            if self._fields.setdefault(name, text) != text:
                # Two values for one name: whoever reads must not be the one who chooses.
                raise Unreadable("a field with two values")
        self._path.pop()

    def message(self) -> Message:
        if len(self._operations) != 1:
            raise Unreadable("no operation, or several")
        namespace, _, operation = self._operations[0].rpartition(" ")
        return Message(operation, namespace, self._fields)

    def _in_body(self) -> bool:
        return self._path[1] in (f"{SOAP_11} Body", f"{SOAP_12} Body")


def _legal(text: str) -> str:
    """XML 1.0 has no control characters but these three, and no lone surrogates."""
    return "".join(c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") else "?"
                   for c in text)  # fmt: skip
