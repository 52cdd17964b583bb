"""Hands e-mails to a mail server by SMTP (RFC 5321), one connection each. What may come back: `core.notices.errors`.

Everything up to the last dot of the letter can be taken back: a failure before it has certainly sent nothing. After it,
only the server's answer tells, and without one nobody knows.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import localtime, parseaddr
from typing import Literal

from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused
from core.notices.bounces import enhanced, is_dead
from core.notices.errors import BadRecipient, NotTaken, RouteRefused
from core.notices.ports import OutboundEmail, Receipt

# A wrong password is not mended within a minute, and asking on locks the account.
_PAUSE_S = 600
# Greylisting asks for some minutes; most servers mean five.
_AGAIN_S = 300


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """`sender`: `Name <address>`, what the reader sees. `bounces_to`: where reports of non-delivery go; '' the sender.

    Raises ValueError for a sender that is no address, or a password over an open line.
    """

    host: str
    sender: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    bounces_to: str = ""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if "@" not in parseaddr(self.sender)[1]:
            raise ValueError(f"{self.sender!r} is no sender: write it as Name <address>")
        if self.password and self.security == "none":
            raise ValueError("a password needs starttls or tls")

    @property
    def envelope(self) -> str:
        return self.bounces_to or parseaddr(self.sender)[1]


class Smtp:
    """A mail server that takes our e-mails on. Safe to share between threads: it keeps no connection."""

    name = "smtp"

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config

    def send(self, email: OutboundEmail) -> Receipt:
        """Hand one e-mail over. A receipt means "taken on", never "read"."""
        try:
            letter = self._letter(email)
        except (ValueError, MessageError) as error:
            # Not our server's affair: a letter that cannot be written has certainly not left.
            raise PartnerRefused(self.name, type(error).__name__, str(error)[:120]) from error
        try:
            server = self._connect()
        except smtplib.SMTPResponseException as error:
            raise self._at_the_door(error.smtp_code, _words(error.smtp_error)) from error
        except smtplib.SMTPServerDisconnected as error:
            raise PartnerDown(self.name, type(error).__name__, str(error)[:120], sent=False) from error
        except smtplib.SMTPException as error:
            # No STARTTLS, no way to log in that both know: a person must look.
            raise RouteRefused(self.name, type(error).__name__, str(error)[:120], pause_s=_PAUSE_S) from error
        except OSError as error:
            raise PartnerDown(self.name, type(error).__name__, str(error)[:120], sent=False) from error
        try:
            return self._hand_over(server, email.to, letter)
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        config = self._config
        context = ssl.create_default_context()
        if config.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(config.host, config.port, timeout=config.timeout_s, context=context)
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)
        try:
            server.ehlo_or_helo_if_needed()
            if config.security == "starttls":
                server.starttls(context=context)
                server.ehlo()
            if config.user:
                server.login(config.user, config.password)
        except BaseException:
            server.close()
            raise
        return server

    def _hand_over(self, server: smtplib.SMTP, to: str, letter: bytes) -> Receipt:
        sent = False
        try:
            size = [f"size={len(letter)}"] if server.has_extn("size") else []
            self._heard(server.mail(self._config.envelope, size), RouteRefused)
            self._heard(server.rcpt(to), PartnerRefused, to_one=True)
            server.putcmd("data")
            self._heard(server.getreply(), PartnerRefused, wanted=3)
            sent = True
            server.send(_on_the_wire(letter))
            code, words = server.getreply()
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise PartnerDown(self.name, type(error).__name__, str(error)[:120], sent=sent) from error
        self._heard((code, words), PartnerRefused)
        return Receipt(self.name, _words(words)[:80] or None)

    def _heard(
        self, reply: tuple[int, bytes], refusal: type[PartnerRefused], *, wanted: int = 2, to_one: bool = False
    ) -> None:
        """Raise what a refusal means: 4xx not now, 5xx never."""
        code, words = reply[0], _words(reply[1])
        if code // 100 == wanted:
            return
        known = enhanced(words, str(code))
        if code == 421 or code // 100 == 4:
            raise NotTaken(self.name, known, words, after_s=_AGAIN_S)
        if code // 100 != 5:
            raise PartnerDown(self.name, str(code), words)
        if to_one and is_dead(known):
            raise BadRecipient(self.name, known, words)
        raise refusal(self.name, known, words)

    def _at_the_door(self, code: int, words: str) -> PartnerError:
        """No before a letter was spoken of: busy, or it does not take us for who we are."""
        if code // 100 == 4:
            return NotTaken(self.name, enhanced(words, str(code)), words, after_s=_AGAIN_S)
        if code // 100 == 5:
            return RouteRefused(self.name, enhanced(words, str(code)), words, pause_s=_PAUSE_S)
        return PartnerDown(self.name, str(code), words, sent=False)

    def _letter(self, email: OutboundEmail) -> bytes:
        config, mail = self._config, EmailMessage(policy=WIRE)
        name, address = parseaddr(config.sender)
        mail["From"] = Address(name, addr_spec=address)
        mail["To"] = Address(addr_spec=email.to)
        mail["Subject"] = email.subject
        mail["Date"] = localtime()
        mail["Message-ID"] = f"<{email.reference}@{address.rpartition('@')[2]}>"
        # Nobody's holiday answer is wanted.
        mail["Auto-Submitted"] = "auto-generated"
        if email.unwanted:
            mail["List-Unsubscribe"] = f"<mailto:{config.envelope}?subject=STOP>"
        mail.set_content(email.text, cte="quoted-printable")
        mail.add_alternative(email.html, subtype="html", cte="quoted-printable")
        for attached in email.attachments:
            mail.add_attachment(attached.content, maintype="application", subtype="pdf", filename=attached.name)
        # Last: a header of this name would otherwise go down into the first part.
        mail["Content-Language"] = email.language
        return mail.as_bytes()


def _words(said: bytes | str) -> str:
    return " ".join((said.decode("utf-8", "replace") if isinstance(said, bytes) else said).split())[:120]


def _on_the_wire(letter: bytes) -> bytes:
    """Lines that begin with a dot get a second one; a dot alone ends it (RFC 5321, section 4.5.2)."""
    lines = letter.replace(b"\r\n", b"\n").split(b"\n")
    stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    return (stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n") + b".\r\n"
