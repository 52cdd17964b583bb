"""The world's mail: a server that takes e-mails on by SMTP, mailboxes, and reports of what did not arrive.

One recipient's letter at a time, as a real server's front door answers it; no relaying, no queue, no encryption.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Mapping
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP as WIRE
from email.policy import default
from email.utils import formatdate, make_msgid
from html import escape
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import insert, select, update

from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import Faults
from mwolo.sandbox.outbound import Outbound
from mwolo.sandbox.store import Now, Row, Store, iso, letters
from mwolo.sandbox.wire import pause, slow_seconds

TARGET = "email"
# `operation` of a fault's params: the one address it is for.
FAULTS = ("mail_refused", "mail_later", "mail_slow", "mail_lost_answer", "mail_bounced")
HOST = "127.0.0.1"
MOST_BYTES = 10 * 1024 * 1024
_LONGEST_LINE = 4096
_ADDRESS = re.compile(r"<([^<>\s]*)>")
MOST_TRIES = 10


class MailNetwork:
    """Takes letters on, shows the mailboxes, and has the sender told what did not arrive."""

    def __init__(
        self, config: SandboxConfig, store: Store, faults: Faults, errands: Errands, outbound: Outbound, now: Now
    ) -> None:
        self._config = config
        self._store = store
        self._faults = faults
        self._errands = errands
        self._outbound = outbound
        self._now = now
        self._server: _Server | None = None
        faults.plays(TARGET, FAULTS)
        errands.on("mail.bounce", self._send_back)

    def serve(self, port: int = 0) -> int:
        """Listen on a port of this machine (0: any free one); returns it. Raises OSError when it is taken."""
        self._server = _Server(self, port)
        threading.Thread(target=self._server.serve_forever, name="sandbox-smtp", daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    # -- what the front door asks

    def answer_recipient(self, address: str) -> str:
        """The reply to RCPT."""
        refused = self._take("mail_refused", address)
        if refused is not None:
            return f"{refused.get('code', '550 5.1.1')} <{address}>: no such mailbox here"
        later = self._take("mail_later", address)
        if later is not None:
            return f"{later.get('code', '451 4.7.1')} <{address}>: greylisted, try again later"
        return "250 2.1.5 Ok"

    def keep(self, sender: str, recipient: str, raw: bytes) -> str | None:
        """Take a letter on: the reply to its end. None: the line is to be cut without one."""
        bounce = self._take("mail_bounced", recipient)
        with self._store.begin() as db:
            row = {
                "at": self._now(),
                "sender": sender,
                "recipient": recipient.lower(),
                "raw": raw,
                "status": "arrived" if bounce is None else "bounced",
            }
            letter_id = db.execute(insert(letters).values(row)).inserted_primary_key
            assert letter_id is not None
            if bounce is not None:
                said = {"status": str(bounce.get("status", "5.1.1")), "why": str(bounce.get("why", "unknown user"))}
                self._errands.add(db, "mail.bounce", {"id": letter_id[0], **said}, delay_s=0.2)
        slow = self._take("mail_slow", recipient)
        if slow is not None:
            pause(self._store.bell, slow_seconds(slow))
        if self._take("mail_lost_answer", recipient) is not None:
            return None
        return f"250 2.0.0 Ok: queued as {letter_id[0]:08X}"

    def _take(self, fault: str, address: str) -> dict[str, Any] | None:
        return self._faults.take(TARGET, fault, operation=address.lower())

    def _send_back(self, body: Mapping[str, Any], tries: int) -> float | None:
        """Hand a report of non-delivery to the sender's own server, which hands it to the product."""
        with self._store.read() as db:
            row = db.execute(select(letters).where(letters.c.id == body["id"])).mappings().one()
        report = report_of(row["raw"], row["sender"], row["recipient"], str(body["status"]), str(body["why"]))
        answer = self._outbound.post(self._config.email_inbound_url, report, {"Content-Type": "message/rfc822"})
        if answer.status == 200 or tries + 1 >= MOST_TRIES or not self._config.email_inbound_url:
            return None
        return float(self._config.callback_retry_s * 2**tries)

    # -- the mailboxes

    def listed(self, to: str | None, after: int) -> list[dict[str, Any]]:
        """Letters after an id, oldest first: those in a mailbox, or everything that was taken on."""
        query = select(letters).where(letters.c.id > after).order_by(letters.c.id)
        if to is not None:
            query = query.where(letters.c.recipient == to.strip().lower(), letters.c.status == "arrived")
        with self._store.read() as db:
            return [_shown(row) for row in db.execute(query).mappings()]

    def letter(self, letter_id: int) -> Row | None:
        with self._store.read() as db:
            return db.execute(select(letters).where(letters.c.id == letter_id)).mappings().first()

    def answer(self, letter_id: int, subject: str) -> bool:
        """The reader of a letter answers it; False when there is no such letter."""
        row = self.letter(letter_id)
        if row is None:
            return False
        reply = EmailMessage(policy=WIRE)
        reply["From"], reply["To"], reply["Subject"] = row["recipient"], row["sender"], subject[:200]
        reply["Date"], reply["Message-ID"] = formatdate(), make_msgid(domain="mail.sandbox")
        reply.set_content("")
        self._outbound.post(self._config.email_inbound_url, reply.as_bytes(), {"Content-Type": "message/rfc822"})
        with self._store.begin() as db:
            db.execute(update(letters).where(letters.c.id == letter_id).values(status="arrived"))
        return True

    def blueprint(self) -> Blueprint:
        pages = Blueprint("sandbox_mail", __name__, url_prefix="/sandbox")

        @pages.get("/api/mail")
        def mailbox() -> Response:
            after = request.args.get("after", "0")
            return jsonify(self.listed(request.args.get("to"), int(after) if after.isdecimal() else 0))

        @pages.get("/api/mail/<int:letter_id>/attachments/<int:place>")
        def attachment(letter_id: int, place: int) -> Response:
            row = self.letter(letter_id)
            parts = _attachments(row["raw"]) if row is not None else []
            if place >= len(parts):
                return Response("no such attachment", 404, content_type="text/plain")
            return Response(parts[place][1], content_type="application/pdf")

        @pages.get("/api/mail/<int:letter_id>/raw")
        def raw(letter_id: int) -> Response:
            row = self.letter(letter_id)
            if row is None:
                return Response("no such letter", 404, content_type="text/plain")
            return Response(row["raw"], content_type="text/plain; charset=utf-8")

        @pages.post("/api/mail/<int:letter_id>/answer")
        def answer(letter_id: int) -> Response:
            said = request.get_json(force=True, silent=True) or {}
            found = self.answer(letter_id, str(said.get("subject", "STOP")))
            return jsonify({}) if found else Response("no such letter", 404, content_type="text/plain")

        @pages.get("/mail")
        def page() -> Response:
            to = request.args.get("to", "").strip()
            return Response(_page(to, self.listed(to or None, 0)), content_type="text/html; charset=utf-8")

        return pages


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, network: MailNetwork, port: int) -> None:
        self.network = network
        super().__init__((HOST, port), _Session)


class _Session(socketserver.StreamRequestHandler):
    """One connection, spoken to as RFC 5321 says."""

    timeout = 60

    def handle(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._say("220 mail.sandbox ESMTP")
        while True:
            line = self.rfile.readline(_LONGEST_LINE)
            if not line:
                return
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if not self._turn(verb.upper(), rest):
                return

    def _turn(self, verb: str, rest: str) -> bool:
        """Answer one command; False ends the connection."""
        match verb:
            case "EHLO":
                self._say(f"250-mail.sandbox\r\n250-SIZE {MOST_BYTES}\r\n250 ENHANCEDSTATUSCODES")
            case "HELO" | "NOOP":
                self._say("250 2.0.0 Ok")
            case "RSET":
                self._sender, self._recipients = None, []
                self._say("250 2.0.0 Ok")
            case "MAIL":
                self._sender, self._recipients = _in_brackets(rest), []
                self._say("250 2.1.0 Ok")
            case "RCPT" if self._sender is not None:
                self._recipient(_in_brackets(rest))
            case "DATA" if self._recipients:
                return self._letter()
            case "QUIT":
                self._say("221 2.0.0 Bye")
                return False
            case "RCPT" | "DATA":
                self._say("503 5.5.1 Not now")
            case _:
                self._say("502 5.5.2 Not known here")
        return True

    def _recipient(self, address: str) -> None:
        reply = self._network.answer_recipient(address)
        if reply.startswith("2"):
            self._recipients.append(address)
        self._say(reply)

    def _letter(self) -> bool:
        self._say("354 End data with <CR><LF>.<CR><LF>")
        lines: list[bytes] = []
        size = 0
        while True:
            line = self.rfile.readline()
            if not line:
                return False
            if line in (b".\r\n", b".\n"):
                break
            size += len(line)
            if size <= MOST_BYTES:
                lines.append(line[1:] if line.startswith(b".") else line)
        if size > MOST_BYTES:
            self._say("552 5.3.4 Too large")
            return True
        for address in self._recipients:
            reply = self._network.keep(self._sender or "", address, b"".join(lines))
        self._sender, self._recipients = None, []
        if reply is None:
            return False
        self._say(reply)
        return True

    @property
    def _network(self) -> MailNetwork:
        return cast(_Server, self.server).network

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode("utf-8", "replace") + b"\r\n")


def report_of(raw: bytes, sender: str, recipient: str, status: str, why: str) -> bytes:
    """A report of non-delivery as RFC 3464 wants it: words, fields, and the headers of the letter."""
    letter = message_from_bytes(raw, policy=default)
    boundary = "mwolo-sandbox-report"
    headers = raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("utf-8", "replace")
    parts = (
        f"Content-Type: text/plain; charset=utf-8\n\nYour message {letter['Subject']} could not be delivered.\n",
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mail.sandbox\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; 550 {status} {why}\n",
        f"Content-Type: text/rfc822-headers\n\n{headers}\n",
    )
    body = "".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n"
    head = (
        f"From: Mail Delivery System <mailer-daemon@mail.sandbox>\nTo: {sender}\nSubject: Undelivered mail\n"
        f"Date: {formatdate()}\nMessage-ID: {make_msgid(domain='mail.sandbox')}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\n\n'
    )
    return (head + body).replace("\n", "\r\n").encode()


def _page(to: str, shown: list[dict[str, Any]]) -> str:
    """The mailboxes as a page: newest first, as a reader would open them."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Mail</title><style>body{font:15px/1.5 sans-serif;max-width:46rem;margin:1rem auto;padding:0 1rem}"
        "article{border:1px solid #ccc;border-radius:6px;padding:.6rem 1rem;margin:1rem 0}h2{font-size:1rem;margin:0}"
        "pre{white-space:pre-wrap;font:inherit}small{color:#555}</style></head><body><h1>Mail</h1>"
        f'<form><input name="to" type="email" placeholder="address" value="{escape(to)}"> <button>Open</button></form>'
    )
    letters_ = "".join(
        f"<article><h2>{escape(one['subject'])}</h2><small>{escape(one['at'])} · {escape(one['from'])} → "
        f"{escape(one['to'])} · {escape(one['status'])}</small><pre>{escape(one['text'])}</pre>"
        + " ".join(
            f'<a href="/sandbox/api/mail/{one["id"]}/attachments/{place}">{escape(part["name"])}</a>'
            for place, part in enumerate(one["attachments"])
        )
        + "</article>"
        for one in reversed(shown)
    )
    return head + (letters_ or "<p>Nothing here.</p>") + "</body></html>"


def _in_brackets(rest: str) -> str:
    found = _ADDRESS.search(rest)
    return found.group(1) if found else ""


def _attachments(raw: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of each."""
    letter = message_from_bytes(raw, policy=default)
    return [(part.get_filename() or "", part.get_content()) for part in letter.iter_attachments()]


def _shown(row: Row) -> dict[str, Any]:
    letter = message_from_bytes(row["raw"], policy=default)
    return {
        "id": row["id"],
        "at": iso(row["at"]),
        "from": str(letter.get("From", "")),
        "to": row["recipient"],
        "envelope_from": row["sender"],
        "message_id": str(letter.get("Message-ID", "")),
        "subject": str(letter.get("Subject", "")),
        "text": _content(letter.get_body(("plain",))),
        "html": _content(letter.get_body(("html",))),
        "attachments": [{"name": name, "bytes": len(content)} for name, content in _attachments(row["raw"])],
        "status": row["status"],
    }


def _content(part: MIMEPart | None) -> str:
    return str(part.get_content()) if part is not None else ""
