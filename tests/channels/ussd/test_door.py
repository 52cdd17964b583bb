"""What the door does with what aggregators, and others, send."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import redis
from sqlalchemy import select

from channels.ussd.gateway import EndNotice, Malformed, Turn
from channels.ussd.gateways.africastalking import AfricasTalkingUssd
from channels.ussd.journal import drain
from channels.ussd.registry import GATEWAYS
from channels.ussd.sessions import JOURNAL, RedisOpenSessions, SessionStore
from channels.ussd.views import MAX_BODY_BYTES, ussd_blueprint
from core.db import Database
from core.services.turns import Turns
from core.turns.tables import SessionEndRow, TurnRow
from tests.channels.ussd.ussd_world import PATH_SECRET, FakePayments, Site, populate

FORM = "application/x-www-form-urlencoded"
PATH = f"/ussd/africastalking/{PATH_SECRET}"
GOOD = {
    "sessionId": "ATUid_1",
    "phoneNumber": "+243815550001",
    "networkCode": "63001",
    "serviceCode": "*123#",
    "text": "",
}
END = {
    **{k: v for k, v in GOOD.items() if k != "text"},
    "date": "2026-03-10 08:00:00",
    "status": "Incomplete",
    "cost": "0.00",
    "durationInMillis": "12345",
    "hopsCount": "3",
    "input": "1*1234",
    "lastAppResponse": "CON 12 500 FC",
}


@pytest.mark.parametrize("secret", ["wrong", "older-secre", PATH_SECRET + "x", "%00", "é"])
def test_a_wrong_secret_or_aggregator_is_not_found(site: Site, secret: str) -> None:
    web = site.app.test_client()
    for path in (f"/ussd/africastalking/{secret}", f"/ussd/nobody/{PATH_SECRET}", f"/ussd/africastalking/{secret}/end"):
        answer = web.post(path, data=GOOD)
        assert answer.status_code == 404
        assert answer.data == b""
    assert site.counts["secret"] == 3


def test_every_valid_secret_opens(site: Site, db: Database) -> None:
    populate(db, 1)
    web = site.app.test_client()
    answers = {web.post(f"/ussd/africastalking/{s}", data=GOOD).data for s in (PATH_SECRET, "older-secret")}
    assert len(answers) == 1


BAD_BODIES = {
    "empty": b"",
    "no form": b"hello",
    "json": b'{"sessionId": "1"}',
    "not ascii": "sessionId=é".encode(),
    "bad utf-8": b"sessionId=%ff%fe&phoneNumber=%2B243815550001&serviceCode=*123%23&text=",
    "no session": urlencode({**GOOD, "sessionId": ""}).encode(),
    "long session": urlencode({**GOOD, "sessionId": "x" * 81}).encode(),
    "plus not encoded": urlencode(GOOD).replace("%2B", "+").encode(),
    "letters in the number": urlencode({**GOOD, "phoneNumber": "+24381555OOO1"}).encode(),
    "no service code": urlencode({**GOOD, "serviceCode": "123"}).encode(),
    "odd network": urlencode({**GOOD, "networkCode": "6/3"}).encode(),
    "no text": urlencode({k: v for k, v in GOOD.items() if k != "text"}).encode(),
    "long text": urlencode({**GOOD, "text": "1" * 2001}).encode(),
    "text twice": urlencode([*GOOD.items(), ("text", "1")]).encode(),
    "many fields": urlencode([(f"f{n}", "1") for n in range(40)]).encode(),
    "too large": b"a=" + b"x" * MAX_BODY_BYTES,
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_what_nobody_can_read_ends_the_session_with_a_sentence(site: Site, name: str) -> None:
    answer = site.app.test_client().post(PATH, data=BAD_BODIES[name], content_type=FORM)
    assert answer.status_code == 200
    assert answer.data.startswith(b"END ")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert sum(n for outcome, n in site.counts.items() if outcome.startswith("malformed:")) == 1


def test_other_content_types_are_not_read(site: Site) -> None:
    for kind in ("application/json", "multipart/form-data", "", "text/plain"):
        answer = site.app.test_client().post(PATH, data=urlencode(GOOD), content_type=kind)
        assert answer.data.startswith(b"END ")
    assert site.counts["malformed:content_type"] == 4


def test_a_bug_ends_the_session_with_a_sentence(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(site.customers, "snapshot", broken)
    answer = site.app.test_client().post(PATH, data=GOOD)
    assert (answer.status_code, answer.data[:4]) == (200, b"END ")
    assert site.counts["bug"] == 1


def test_the_end_notification_leaves_pins_and_balances_at_the_door() -> None:
    notice = AfricasTalkingUssd().read_end(urlencode(END).encode(), FORM)
    assert notice == EndNotice(
        "africastalking", "ATUid_1", "+243815550001", "*123#", "63001", "left", duration_ms=12345, hops=3
    )
    assert "1234*" not in repr(notice)
    assert "12 500" not in repr(notice)
    bare = {
        k: v for k, v in END.items() if k not in ("input", "cost", "durationInMillis", "hopsCount", "lastAppResponse")
    }
    assert isinstance(AfricasTalkingUssd().read_end(urlencode(bare).encode(), FORM), EndNotice)


def test_a_transcript_does_not_show_in_a_log() -> None:
    turn = AfricasTalkingUssd().read(urlencode({**GOOD, "text": "9*4321"}).encode(), FORM)
    assert isinstance(turn, Turn)
    assert "4321" not in repr(turn)


@pytest.mark.parametrize("body", [b"", b"status=Success", urlencode({**END, "status": "Maybe"}).encode()])
def test_an_unreadable_end_is_counted_and_answered(site: Site, body: bytes) -> None:
    answer = site.app.test_client().post(PATH + "/end", data=body, content_type=FORM)
    assert (answer.status_code, answer.data) == (200, b"")
    assert site.counts["end_malformed"] == 1


def test_a_phone_is_open_until_its_session_ends(site: Site, db: Database, client: redis.Redis) -> None:
    from tests.channels.ussd.ussd_world import SECRET

    phone = populate(db, 1)[0].phone
    sessions = RedisOpenSessions(SessionStore(client, SECRET), client)
    web = site.app.test_client()
    assert not sessions.has_open(phone)
    web.post(PATH, data={**GOOD, "phoneNumber": phone})
    assert sessions.has_open(phone)
    # A late notification about an older session does not close the newer one.
    web.post(PATH + "/end", data={**END, "phoneNumber": phone, "sessionId": "ATUid_0"})
    assert sessions.has_open(phone)
    for _ in range(2):
        assert web.post(PATH + "/end", data={**END, "phoneNumber": phone}).status_code == 200
    assert not sessions.has_open(phone)
    for text in ("", "1", "1*1", "1*1*1"):
        web.post(PATH, data={**GOOD, "phoneNumber": phone, "sessionId": "ATUid_2", "text": text})
    assert not sessions.has_open(phone), "END frees the phone for the operator's prompt"


def test_the_journal_hears_of_the_end_and_of_nothing_typed(site: Site, db: Database, client: redis.Redis) -> None:
    phone = populate(db, 1)[0].phone
    web = site.app.test_client()
    web.post(PATH, data={**GOOD, "phoneNumber": phone})
    for _ in range(2):
        web.post(PATH + "/end", data={**END, "phoneNumber": phone, "errorMessage": "Request timed out 1234"})
    waiting = client.lrange(JOURNAL, 0, -1)
    assert len(waiting) == 3
    assert not any(b"1234*" in one or b"*1234" in one or b"timed out" in one for one in waiting[1:])
    drain(client, Turns(db))
    with db.read() as session:
        (row,) = session.scalars(select(SessionEndRow))
        assert (row.state, row.network, row.status, row.reason, row.how) == (
            "home",
            "63001",
            "left",
            "timeout",
            "timed_out",
        )
        assert (row.duration_ms, row.hops) == (12345, 3)
        (turn,) = session.scalars(select(TurnRow))
        assert (turn.network, turn.language) == ("63001", "fr")


@pytest.mark.parametrize(
    ("error", "reason"),
    [("", ""), ("Request timed out", "timeout"), ("Aborted by user", "cancelled"), ("Bad prefix", "other")],
)
def test_what_the_network_says_of_an_end_becomes_one_of_our_words(error: str, reason: str) -> None:
    notice = AfricasTalkingUssd().read_end(urlencode({**END, "errorMessage": error}).encode(), FORM)
    assert isinstance(notice, EndNotice)
    assert notice.reason == reason


def test_without_redis_the_door_says_try_again(db: Database, payments: FakePayments, clock: object) -> None:
    from channels.ussd.sessions import connect
    from core.kernel.clock import FixedClock

    assert isinstance(clock, FixedClock)
    gone = connect("redis://127.0.0.1:1/0")
    site = Site(db, gone, payments, clock)
    answer = site.app.test_client().post(PATH, data=GOOD)
    assert (answer.status_code, answer.data[:4]) == (200, b"END ")
    assert site.counts["redis_down"] == 1
    assert site.app.test_client().post(PATH + "/end", data=END).status_code == 200
    assert not RedisOpenSessions(SessionStore(gone, b"x"), gone).has_open(GOOD["phoneNumber"])


def test_a_door_without_a_secret_is_not_built(site: Site) -> None:
    with pytest.raises(ValueError, match="secret"):
        ussd_blueprint(None, None, {"africastalking": AfricasTalkingUssd()}, {"africastalking": [""]})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_every_gateway_keeps_the_contract(name: str) -> None:
    gateway = GATEWAYS[name]()
    assert gateway.name == name
    assert gateway.accumulates, "turns are told apart by the whole transcript"
    assert isinstance(gateway.read(b"", FORM), Malformed)
    assert isinstance(gateway.read_end(b"", FORM), Malformed)
    assert gateway.render("a", ended=False) != gateway.render("a", ended=True)
