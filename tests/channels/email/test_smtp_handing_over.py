"""Our side of SMTP, judged by a mail server nobody here wrote; and the door for what comes back."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask
from sqlalchemy import select

from channels.email.smtp import Smtp, SmtpConfig
from channels.email.views import MAX_BODY_BYTES, email_blueprint
from core.db import Database
from core.i18n import LANGUAGES
from core.kernel.clock import WEST, FixedClock
from core.kernel.errors import NotRecorded, PartnerDown, PartnerRefused
from core.notices.emails import EMAILS
from core.notices.errors import BadRecipient, NotTaken, RouteRefused
from core.notices.mailing import stage_email
from core.notices.ports import Attachment, OutboundEmail, Receipt
from core.notices.tables import NoticeRow
from core.outbox import Done
from core.services.emails import Emails

PDF = b"%PDF-1.4\n" + bytes(range(256)) * 40 + b"\n.\r\n.hidden\n"
EMAIL = OutboundEmail(
    to="marie@example.cd",
    subject="Votre facture d'électricité 02/2026, compte 100 000 001 8 – déjà",
    text="Bonjour Marie,\n\n.une ligne qui commence par un point\n\nFacture : 28 500 FC é\n",
    html="<p>Bonjour</p>",
    reference="0f8c3c52-6c8f-4a70-9a64-000000000001",
    attachments=(Attachment("invoice-2026-000417.pdf", PDF),),
    unwanted=True,
)


class Mailbox:
    """What the server of a library has taken on. `replies`: what it says instead, by command."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, list[str], bytes]] = []
        self.replies: dict[str, str] = {}

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        reply = self.replies.get("RCPT", "250 OK")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append((envelope.mail_from, list(envelope.rcpt_tos), bytes(envelope.content)))
        return self.replies.get("DATA", "250 2.0.0 queued as 77")


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


def smtp(port: int, **more: Any) -> Smtp:
    return Smtp(SmtpConfig("127.0.0.1", "Lampe Électrique <bills@mwolo.cd>", port, "none", timeout_s=5.0, **more))


def test_the_letter_arrives_as_it_was_written(server: int, mailbox: Mailbox) -> None:
    receipt = smtp(server, bounces_to="bounces@mwolo.cd").send(EMAIL)
    assert receipt.reference == "2.0.0 queued as 77"
    [(sender, recipients, raw)] = mailbox.letters
    assert (sender, recipients) == ("bounces@mwolo.cd", ["marie@example.cd"])
    letter = cast(EmailMessage, message_from_bytes(raw, policy=default))
    assert letter["Subject"] == EMAIL.subject
    assert letter["From"].addresses[0].display_name == "Lampe Électrique"
    assert letter["Message-ID"] == f"<{EMAIL.reference}@mwolo.cd>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["List-Unsubscribe"] == "<mailto:bounces@mwolo.cd?subject=STOP>"
    plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == EMAIL.text
    assert "<p>Bonjour</p>" in html.get_content()
    [pdf] = letter.iter_attachments()
    assert (pdf.get_filename(), pdf.get_content_type()) == ("invoice-2026-000417.pdf", "application/pdf")
    assert pdf.get_content() == PDF, "byte for byte"
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    raw.decode("ascii")


@pytest.mark.parametrize(
    ("command", "reply", "error", "code"),
    [
        ("RCPT", "550 5.1.1 no such user", BadRecipient, "5.1.1"),
        ("RCPT", "550 no such user", BadRecipient, "550"),
        ("RCPT", "552 5.2.2 mailbox full", PartnerRefused, "5.2.2"),
        ("RCPT", "451 4.7.1 greylisted", NotTaken, "4.7.1"),
        ("RCPT", "550 5.7.1 relaying denied", PartnerRefused, "5.7.1"),
        ("MAIL", "553 5.1.8 who are you", RouteRefused, "5.1.8"),
        ("MAIL", "421 4.3.2 closing", NotTaken, "4.3.2"),
        ("DATA", "554 5.7.1 looks like spam", PartnerRefused, "5.7.1"),
        ("DATA", "451 4.3.0 disk is full", NotTaken, "4.3.0"),
    ],
)
def test_each_refusal(
    server: int, mailbox: Mailbox, command: str, reply: str, error: type[PartnerRefused], code: str
) -> None:
    mailbox.replies[command] = reply
    with pytest.raises(error) as refusal:
        smtp(server).send(EMAIL)
    assert type(refusal.value) is error
    assert refusal.value.code == code


@pytest.mark.parametrize("to", ["a..b@example.cd", ".a@example.cd", "a@b@c.cd", "é@example.cd", "a b@example.cd"])
def test_a_letter_that_cannot_be_written_is_refused_and_leaves_no_doubt(server: int, mailbox: Mailbox, to: str) -> None:
    """Kept from before such addresses were refused: the worker died of it, and the e-mail counted as one in doubt."""
    with pytest.raises(PartnerRefused) as refused:
        smtp(server).send(replace(EMAIL, to=to))
    assert not isinstance(refused.value, PartnerDown)
    assert mailbox.letters == []


def test_nobody_there_has_certainly_sent_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with pytest.raises(PartnerDown) as down:
        smtp(port).send(EMAIL)
    assert not down.value.sent


def _cut_after(replies: list[bytes], *, take_letter: bool) -> int:
    """A server that says these and hangs up; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as line, line.makefile("rb") as heard:
            line.sendall(b"220 hello\r\n")
            for reply in replies:
                heard.readline()
                line.sendall(reply)
            while take_letter and heard.readline() not in (b".\r\n", b""):
                pass

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def test_a_line_cut_before_the_letter_has_sent_nothing_and_after_it_nobody_knows() -> None:
    ok = [b"250 x\r\n", b"250 x\r\n", b"250 x\r\n"]
    with pytest.raises(PartnerDown) as before:
        smtp(_cut_after(ok[:2], take_letter=False)).send(EMAIL)
    with pytest.raises(PartnerDown) as after:
        smtp(_cut_after([*ok, b"354 go\r\n"], take_letter=True)).send(EMAIL)
    assert (before.value.sent, after.value.sent) == (False, True)


def test_a_server_that_cannot_encrypt_gets_no_password(server: int) -> None:
    careful = Smtp(SmtpConfig("127.0.0.1", "a@b.cd", server, "starttls", user="u", password="p", timeout_s=5.0))
    with pytest.raises(RouteRefused):
        careful.send(EMAIL)


@pytest.mark.parametrize("wrong", [{"sender": "nobody"}, {"password": "p", "security": "none"}])
def test_wrong_settings_are_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SmtpConfig(**{"host": "h", "sender": "a@b.cd", **wrong})


class Intake:
    def __init__(self) -> None:
        self.took: list[bytes] = []
        self.error: Exception | None = None

    def take_mail(self, raw: bytes) -> str:
        if self.error:
            raise self.error
        self.took.append(raw)
        return "bounce"


def test_the_door_for_what_comes_back() -> None:
    intake, counted = Intake(), list[str]()
    app = Flask("email_under_test")
    app.register_blueprint(email_blueprint(intake, ("old", "new"), count=counted.append))
    client = app.test_client()
    assert client.post("/email/new/inbound", data=b"raw\r\n\x00").status_code == 200
    assert client.post("/email/wrong/inbound", data=b"x").status_code == 404
    assert client.post("/email/old/inbound", data=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    intake.error = NotRecorded("busy")
    assert client.post("/email/old/inbound", data=b"x").status_code == 503
    intake.error = KeyError("a bug")
    assert client.post("/email/old/inbound", data=b"x").status_code == 200
    assert intake.took == [b"raw\r\n\x00"]
    assert counted == ["bounce", "refused", "too_large", "not_recorded", "nothing"]
    with pytest.raises(ValueError):
        email_blueprint(intake, ())


def _certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret


def test_a_password_goes_over_an_encrypted_line_to_whom_it_is_meant_for(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, secret = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)

    def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, auth_required=True,
        authenticator=knows,
    )  # fmt: skip
    controller.start()
    try:

        def sent_with(password: str) -> Receipt:
            config = SmtpConfig("127.0.0.1", "a@b.cd", port, "starttls", user="u", password=password, timeout_s=5.0)
            return Smtp(config).send(EMAIL)

        with pytest.raises(PartnerDown) as stranger:
            sent_with("right")
        assert not stranger.value.sent, "a certificate that nobody vouches for gets neither password nor letter"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(RouteRefused) as wrong:
            sent_with("wrong")
        assert (wrong.value.code, wrong.value.pause_s) == ("5.7.8", 600)
        assert mailbox.letters == []
        assert sent_with("right").reference == "2.0.0 queued as 77"
        assert len(mailbox.letters) == 1
    finally:
        controller.stop()


BLANKS = {"amount": "28 500 FC", "account": "100 000 001 8", "period": "02/2026", "receipt": "R260310ABCDE",
          "verification": "204 817 365 5", "cut_date": "24/03/2026"}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_letter_in_every_language(
    db: Database, clock: FixedClock, server: int, mailbox: Mailbox, language: str
) -> None:
    """All kinds, staged and sent as the product does, and read as a mail program would."""
    emails = Emails(
        db, clock, smtp(server), lambda kind, _: Attachment(f"{kind}-2026-000417.pdf", PDF), utility="Lampe Électrique"
    )
    staged: list[int] = []
    with db.begin() as session:
        for kind in EMAILS:
            notice_id = stage_email(
                session, clock=clock, kind=kind, key=kind, recipient="Marie@Example.cd", name="Marie Mbuyi",
                language=language, blanks=BLANKS, zone=WEST, paper="1",
            )  # fmt: skip
            assert notice_id is not None
            staged.append(notice_id)
        wanted = {row.kind: row for row in session.scalars(select(NoticeRow))}
    assert {type(emails.send(notice_id)) for notice_id in staged} == {Done}
    references = set()
    for kind, (_, recipients, raw) in zip(EMAILS, mailbox.letters, strict=True):
        letter = cast(EmailMessage, message_from_bytes(raw, policy=default))
        assert recipients == ["marie@example.cd"]
        assert letter["Subject"] == wanted[kind].subject
        assert letter["Content-Language"] == language
        assert abs(letter["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=5)
        references.add(letter["Message-ID"])
        assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
        paper = EMAILS[kind].paper
        order = [part.get_content_type() for part in letter.walk() if not part.is_multipart()]
        assert order == ["text/plain", "text/html", *(["application/pdf"] if paper else [])]
        assert letter.get_content_type() == ("multipart/mixed" if paper else "multipart/alternative")
        assert [part.get_filename() for part in letter.iter_attachments()] == (
            [f"{paper}-2026-000417.pdf"] if paper else []
        )
        plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
        assert plain is not None
        assert html is not None
        assert "Marie Mbuyi" in plain.get_content()
        assert f'lang="{language}"' in html.get_content()
        assert "28 500 FC" in plain.get_content() or kind == "supply.on"
    assert len(references) == len(EMAILS)
