"""The callback door: who gets in, what is kept, what the operator hears."""

from __future__ import annotations

import io
from collections.abc import Callable
from ipaddress import ip_network

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from wallet_bench import NOW, Bench, shape

from channels.wallets.registry import slug_of, slugs
from channels.wallets.views import MAX_BODY_BYTES, hooks_blueprint
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.payments.ports import Ack, BillPayment, BillRefusal, Malformed, RawCallback

SLUG = slug_of("vodacom", "key")


class Inbox:
    def __init__(self) -> None:
        self.kept: list[tuple[str, RawCallback, str]] = []
        self.fails: Callable[[], Exception] | None = None

    def refuse_bill(self, wallet: str, bill: BillPayment) -> BillRefusal | None:
        if self.fails is not None:
            raise self.fails()
        return None if bill.reference == "1234567897" else "unknown_account"

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        if self.fails is not None:
            raise self.fails()
        self.kept.append((wallet, raw, source))


class Door:
    def __init__(self, **options: object) -> None:
        self.inbox, self.counted = Inbox(), list[str]()
        wallets = {name: Bench(name, httpx.Response(200)).wallet for name in ("vodacom", "pawapay")}
        app = Flask("door")
        app.register_blueprint(
            hooks_blueprint(
                self.inbox,
                slugs(wallets, "key"),
                ["old-secret", "new-secret"],
                clock=FixedClock(NOW),
                count=self.counted.append,
                **options,  # type: ignore[arg-type]
            )
        )
        self.client: FlaskClient = app.test_client()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
def test_a_callback_is_kept_as_it_came_and_acknowledged(door: Door, secret: str) -> None:
    body = b'{"input_ThirdPartyConversationID": "abc",  "input_OriginalConversationID": "def"}\n'
    answer = door.client.post(
        f"/hooks/{SLUG}/{secret}/callback/attempt-1",
        data=body,
        headers={"Content-Digest": "sha-256=:x:", "Cookie": "a=b", "Authorization": "Bearer x", "Host": "pay.example"},
        content_type="application/json; charset=utf-8",
    )
    assert answer.status_code == 200
    assert answer.get_json()["output_ThirdPartyConversationID"] == "abc"
    ((wallet, raw, source),) = door.inbox.kept
    assert (wallet, source, raw.body, raw.attempt, raw.kind) == ("vodacom", "127.0.0.1", body, "attempt-1", "callback")
    assert (raw.method, raw.path) == ("POST", f"/hooks/{SLUG}/{secret}/callback/attempt-1")
    assert (raw.authority, raw.received_at) == ("pay.example", NOW)
    assert raw.headers["content-digest"] == "sha-256=:x:"
    assert raw.headers["content-type"] == "application/json; charset=utf-8"
    assert not {"cookie", "authorization"} & set(raw.headers)
    assert door.counted == ["stored"]


@pytest.mark.parametrize("kind", ["callback", "confirm", "result", "timeout"])
def test_every_kind_gets_in(door: Door, kind: str) -> None:
    assert door.client.post(f"/hooks/{SLUG}/new-secret/{kind}", json=shape("vodacom_callback")).status_code == 200


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        (f"/hooks/{SLUG}/wrong/callback", "secret"),
        (f"/hooks/{SLUG}/new-secret2/callback", "secret"),
        (f"/hooks/{SLUG}/sécret/callback", "secret"),
        ("/hooks/vodacom/new-secret/callback", "slug"),
        ("/hooks/nobody/wrong/callback", "secret"),
        (f"/hooks/{SLUG}/new-secret/refund", "kind"),
        (f"/hooks/{SLUG}/new-secret/callback/a%20b", "attempt"),
        (f"/hooks/{SLUG}/new-secret/callback/{'a' * 65}", "attempt"),
    ],
)
def test_who_does_not_get_in_learns_nothing(door: Door, path: str, counted: str) -> None:
    answer = door.client.post(path, json={})
    assert (answer.status_code, answer.data) == (404, b"")
    assert door.counted == [counted]
    assert door.inbox.kept == []


class Biller:
    """A wallet that payers can come to by themselves."""

    name = "biller"

    def read_validation(self, raw: RawCallback) -> BillPayment | Malformed:
        if raw.body == b"broken":
            return Malformed("not ours")
        return BillPayment("T1", Money.units(500, "KES"), raw.body.decode())

    def answer_validation(self, raw: RawCallback, refusal: BillRefusal | None) -> Ack:
        return Ack((refusal or "come").encode(), "text/plain")


@pytest.mark.parametrize(
    ("body", "fails", "answer"),
    [
        (b"1234567897", None, b"come"),
        (b"somebody", None, b"unknown_account"),
        (b"broken", None, b"other"),
        (b"somebody", NotRecorded, b"come"),
    ],
)
def test_who_pays_by_bill_number_is_answered_at_once_and_sent_away_only_when_sure(
    body: bytes, fails: Callable[[], Exception] | None, answer: bytes
) -> None:
    inbox, counted = Inbox(), list[str]()
    inbox.fails = fails
    app = Flask("door")
    app.register_blueprint(
        hooks_blueprint(inbox, {"s": Biller()}, ["secret"], clock=FixedClock(NOW), count=counted.append)  # type: ignore[dict-item]
    )
    said = app.test_client().post("/hooks/s/secret/validate", data=body)
    assert (said.status_code, said.data) == (200, answer)
    assert inbox.kept == []
    assert counted == ["validated"]


def test_a_wallet_without_bill_numbers_has_no_such_door(door: Door) -> None:
    assert door.client.post(f"/hooks/{SLUG}/new-secret/validate", json={}).status_code == 404
    assert door.counted == ["kind"]


def test_only_post(door: Door) -> None:
    assert door.client.get(f"/hooks/{SLUG}/new-secret/callback").status_code == 405


def test_a_body_too_long_is_not_kept(door: Door) -> None:
    path = f"/hooks/{SLUG}/new-secret/callback"
    assert door.client.post(path, data=b"x" * MAX_BODY_BYTES).status_code == 200
    assert door.client.post(path, data=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    unannounced = door.client.post(
        path,
        input_stream=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1)),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert unannounced.status_code == 413
    assert door.counted == ["stored", "too_large", "too_large"]
    assert len(door.inbox.kept) == 1


@pytest.mark.parametrize("error", [lambda: NotRecorded("busy"), lambda: RuntimeError("a bug, with a secret-ish text")])
def test_what_was_not_recorded_is_sent_again(door: Door, error: Callable[[], Exception]) -> None:
    door.inbox.fails = error
    answer = door.client.post(f"/hooks/{SLUG}/new-secret/callback", json={})
    assert (answer.status_code, answer.data, answer.headers["Retry-After"]) == (503, b"", "5")
    assert door.counted == ["not_recorded"]


def test_what_nobody_can_read_is_kept_and_answered(door: Door) -> None:
    answer = door.client.post(f"/hooks/{SLUG}/new-secret/callback", data=b"\xff\x00<xml/>")
    assert answer.status_code == 200
    assert door.inbox.kept[0][1].body == b"\xff\x00<xml/>"


def test_a_form_body_is_kept_too(door: Door) -> None:
    door.client.post(f"/hooks/{SLUG}/new-secret/callback", data={"a": "b"})
    assert door.inbox.kept[0][1].body == b"a=b"


def test_a_wallet_may_be_held_to_its_addresses() -> None:
    door = Door(sources={"vodacom": [ip_network("196.11.0.0/16")]})
    path = f"/hooks/{SLUG}/new-secret/callback"
    assert door.client.post(path, json={}).status_code == 404
    assert door.client.post(path, json={}, environ_base={"REMOTE_ADDR": "196.11.3.4"}).status_code == 200
    assert door.client.post(path, json={}, environ_base={"REMOTE_ADDR": "nonsense"}).status_code == 404
    free = f"/hooks/{slug_of('pawapay', 'key')}/new-secret/callback"
    assert door.client.post(free, json={}).status_code == 200
    assert door.counted == ["source", "stored", "source", "stored"]


def test_a_bug_in_the_acknowledgement_does_not_make_it_come_again(door: Door) -> None:
    class Broken:
        name = "broken"

        def acknowledge(self, raw: RawCallback) -> None:
            raise RuntimeError("a bug")

    app = Flask("broken")
    blueprint = hooks_blueprint(door.inbox, {"s": Broken()}, ["t"], clock=FixedClock(NOW))  # type: ignore[dict-item]
    app.register_blueprint(blueprint)
    assert app.test_client().post("/hooks/s/t/callback", json={}).status_code == 200
    assert len(door.inbox.kept) == 1


@pytest.mark.parametrize("secrets", [[], [""], ["good", ""]])
def test_a_door_without_a_secret_does_not_open(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        hooks_blueprint(Inbox(), {}, secrets, clock=FixedClock(NOW))
