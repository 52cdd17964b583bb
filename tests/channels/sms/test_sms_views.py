"""The door for SMS callbacks: who may come in, what is read, when "again" is said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from channels.sms.gateways.africastalking import AfricasTalkingSms, AfricasTalkingSmsConfig
from channels.sms.views import MAX_BODY_BYTES, Intake, sms_blueprint
from core.customers.tables import PhoneRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.notices.ports import DeliveryReport, InboundText
from core.notices.tables import DeliveryReportRow, InboundSmsRow
from core.partner_http import PartnerHttp
from core.services.notices import Notices

SECRET, OLD = "a" * 32, "b" * 32
DELIVERY = {"id": "ATXid_1", "status": "Success", "phoneNumber": "+243815550001", "networkCode": "63001"}


class Broken:
    """A store that does not take anything."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def take_delivery(self, gateway: str, report: DeliveryReport) -> None:
        raise self._error

    def take_inbound(self, gateway: str, text: InboundText) -> bool:
        raise self._error

    def take_opt_out(self, phone: str, *, gateway: str) -> None:
        raise self._error


def door(intake: Intake, counted: list[str] | None = None) -> FlaskClient:
    gateway = AfricasTalkingSms(AfricasTalkingSmsConfig("mwolo", "k"), PartnerHttp("africastalking"))
    app = Flask(__name__)
    count = (counted if counted is not None else []).append
    app.register_blueprint(
        sms_blueprint(intake, {"africastalking": gateway}, {"africastalking": (SECRET, OLD)}, count=count)
    )
    return app.test_client()


@pytest.fixture
def client(db: Database, clock: FixedClock) -> FlaskClient:
    return door(Notices(db, clock, []))


def post(client: FlaskClient, kind: str, form: Mapping[str, str], secret: str = SECRET) -> int:
    return client.post(f"/sms/africastalking/{secret}/{kind}", data=dict(form)).status_code


def kept(db: Database) -> list[tuple[str, str, str | None, str, str]]:
    with db.read() as session:
        rows = session.scalars(select(DeliveryReportRow).order_by(DeliveryReportRow.id)).all()
    return [(row.gateway_ref, row.status, row.meaning, row.reason, row.phone) for row in rows]


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("Sent", "sent"),
        ("Submitted", "sent"),
        ("Buffered", "sent"),
        ("Success", "delivered"),
        ("Delivered", "delivered"),
        ("Rejected", "failed"),
        ("Failed", "failed"),
        ("AbsentSubscriber", "failed"),
        ("Expired", "failed"),
        ("SomethingNew", None),
    ],
)
def test_every_status_is_kept_and_answered(client: FlaskClient, db: Database, status: str, meaning: str | None) -> None:
    assert post(client, "delivery", {**DELIVERY, "status": status}) == 200
    assert kept(db) == [("ATXid_1", status, meaning, "", "+243815550001")]


def test_a_report_that_comes_again_is_one_report(client: FlaskClient, db: Database) -> None:
    assert [post(client, "delivery", DELIVERY) for _ in range(3)] == [200, 200, 200]
    assert len(kept(db)) == 1


@pytest.mark.parametrize("reason", ["UserInBlackList", "UserInBlacklist"])
def test_a_blacklist_in_a_report_is_an_opt_out(client: FlaskClient, db: Database, reason: str) -> None:
    post(client, "delivery", {**DELIVERY, "status": "Rejected", "failureReason": reason})
    with db.read() as session:
        assert session.scalars(select(PhoneRow.phone)).all() == ["+243815550001"]


def test_opting_out(client: FlaskClient, db: Database) -> None:
    assert post(client, "optout", {"senderId": "MWOLO", "phoneNumber": "+243815550001"}) == 200
    assert post(client, "optout", {"senderId": "MWOLO", "phoneNumber": " 243815550001"}) == 200
    with db.read() as session:
        known = session.scalars(select(PhoneRow)).one()
    assert (known.phone, known.opted_out_at is not None) == ("+243815550001", True)


def test_a_text_from_somebody_is_kept_once(client: FlaskClient, db: Database) -> None:
    form = {"id": "in-1", "from": "+243815550001", "to": "384", "text": "SOLDE \u0000", "date": "2017-05-03 06:04:45"}
    assert [post(client, "inbound", form) for _ in range(2)] == [200, 200]
    with db.read() as session:
        row = session.scalars(select(InboundSmsRow)).one()
    assert (row.body, row.handled, row.phone) == ("SOLDE", "", "+243815550001")


def test_a_rotated_secret_still_opens(client: FlaskClient) -> None:
    assert post(client, "delivery", DELIVERY, OLD) == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/sms/africastalking/{'c' * 32}/delivery",
        f"/sms/africastalking/{SECRET}x/delivery",
        f"/sms/africastalking/{SECRET}/elsewhere",
        f"/sms/nobody/{SECRET}/delivery",
        "/sms/africastalking/%ff%00/delivery",
        "/sms/africastalking//delivery",
    ],
)
def test_who_does_not_know_the_address_finds_nothing(client: FlaskClient, db: Database, path: str) -> None:
    assert client.post(path, data=DELIVERY).status_code == 404
    assert kept(db) == []


@pytest.mark.parametrize("kind", ["delivery", "inbound", "optout"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"id=&status=", "application/x-www-form-urlencoded"),
        (b"\xff\xfe%%%=&&&", "application/x-www-form-urlencoded"),
        (b"[1, 2", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"phoneNumber=abc&from=", "application/x-www-form-urlencoded"),
    ],
)
def test_nonsense_is_counted_and_does_not_come_back(
    db: Database, clock: FixedClock, kind: str, body: bytes, content_type: str
) -> None:
    counted: list[str] = []
    client = door(Notices(db, clock, []), counted)
    answer = client.post(f"/sms/africastalking/{SECRET}/{kind}", data=body, content_type=content_type)
    assert (answer.status_code, counted) == (200, ["malformed"])


def test_too_much_is_not_read(client: FlaskClient, db: Database) -> None:
    assert post(client, "inbound", {"id": "1", "from": "+243815550001", "text": "x" * MAX_BODY_BYTES}) == 413


@pytest.mark.parametrize("error", [NotRecorded("busy"), RuntimeError("a bug")])
def test_what_was_not_stored_must_come_again(error: Exception) -> None:
    counted: list[str] = []
    client = door(Broken(error), counted)
    assert post(client, "delivery", DELIVERY) == 503
    assert post(client, "inbound", {"id": "1", "from": "+243815550001", "text": "x"}) == 503
    assert post(client, "optout", {"phoneNumber": "+243815550001"}) == 503
    assert counted == ["not_recorded"] * 3


def test_a_door_without_a_lock_is_not_built(db: Database, clock: FixedClock) -> None:
    gateway = AfricasTalkingSms(AfricasTalkingSmsConfig("mwolo", "k"), PartnerHttp("africastalking"))
    for secrets in ({}, {"africastalking": ()}, {"africastalking": ("",)}):
        with pytest.raises(ValueError, match="secret"):
            sms_blueprint(Notices(db, clock, []), {"africastalking": gateway}, secrets)
