"""The queue's part of payroll: a decided run is closed, its papers are made, the e-mail takes one along."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core.db import Database
from core.documents.store import FolderStore
from core.kernel.clock import FixedClock
from core.notices.ports import OutboundEmail, Receipt
from core.notices.tables import NoticeRow
from core.outbox import Dead, Done, Leased, OutboxRow
from core.payroll.papers import payslip_facts
from core.services.documents import Documents
from core.services.emails import Emails
from tests.core.payroll.payday import Payday
from workers.jobs import documents as document_jobs
from workers.jobs import email as email_jobs
from workers.jobs import payroll as payroll_jobs


class Postman:
    """A mail server that takes everything."""

    name = "postman"

    def __init__(self) -> None:
        self.taken: list[OutboundEmail] = []

    def send(self, email: OutboundEmail) -> Receipt:
        self.taken.append(email)
        return Receipt(gateway=self.name, reference="1")


def leased(kind: str, body: dict[str, Any], clock: FixedClock) -> Leased:
    return Leased(1, kind, "bulk", "token", body, 1, clock.real_now() + timedelta(minutes=5))


def test_a_decided_run_is_carried_out_by_the_queue(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    payday, postman = Payday(db, clock), Postman()
    payday.employee(language="fr")
    run_id = payday.decided()
    documents = Documents(
        db, clock, FolderStore(tmp_path), verify_base_url="https://mwolo.test", utility="Lampe", payslips=payslip_facts
    )
    handlers = {
        **payroll_jobs.handlers(payday.payroll),
        **document_jobs.handlers(documents),
        **email_jobs.handlers(Emails(db, clock, postman, documents.paper, utility="Lampe")),
    }
    draft = documents.payslip_pdf("1")
    assert draft is not None
    assert isinstance(handlers["payroll.close"](leased("payroll.close", {}, clock)), Dead)
    row = leased("payroll.close", {"run_id": run_id}, clock)
    assert handlers["payroll.close"](row) == Done("1 slips")
    assert handlers["payroll.close"](row) == Done("0 slips")
    with db.read() as session:
        waiting = session.scalars(select(OutboxRow).where(OutboxRow.state == "pending")).all()
        staged = {one.kind: one.body for one in waiting if one.kind != "payroll.close"}
    assert set(staged) == {"document.payslip", "email.send"}
    for kind, body in staged.items():
        outcome = handlers[kind](leased(kind, body, clock))
        assert isinstance(outcome, Done), outcome
    [letter] = postman.taken
    [paper] = letter.attachments
    assert (letter.to, paper.name) == ("ilunga@exemple.cd", "payslip-p2026-000001.pdf")
    assert paper.content == documents.payslip_pdf("1") != draft
    with db.read() as session:
        assert session.scalars(select(NoticeRow.state)).all() == ["sent"]
