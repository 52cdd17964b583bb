"""The public page: what anybody sees of a receipt, in every language, and how guessing is slowed down."""

from __future__ import annotations

from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient

from channels.verify import verify_blueprint
from core.i18n import LANGUAGES
from core.kernel.clock import FixedClock
from core.kernel.digits import with_check
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.services.documents import NotFound, Verified, VerifiedBill

GOOD, GONE, BUSY = with_check("204817365"), with_check("100000000"), with_check("500000000")
BILL, DROPPED = with_check("300000000"), with_check("400000000")


class Papers:
    def verify(self, typed: str) -> Verified | VerifiedBill | NotFound:
        if typed == BUSY:
            raise NotRecorded("busy")
        if typed in (BILL, DROPPED):
            amount, day = Money.units(28_500, "CDF"), date(2026, 3, 1)
            return VerifiedBill(amount, day, "*** *** 001 8", "2026-KIN-000417", cancelled=typed == DROPPED)
        if typed not in (GOOD, GONE):
            return NotFound(mistyped=len(typed) != 10)
        gone = date(2026, 3, 12) if typed == GONE else None
        return Verified(Money.units(30_000, "CDF"), date(2026, 3, 10), "*** *** 001 8", "R260310ABCDE", gone)


@pytest.fixture
def client(clock: FixedClock) -> FlaskClient:
    app = Flask("verify_under_test", static_folder=None)
    app.register_blueprint(verify_blueprint(Papers(), utility="Lampe <b>", clock=clock))
    return app.test_client()


def test_a_real_receipt(client: FlaskClient) -> None:
    answer = client.get(f"/verify/{GOOD}?lang=en")
    assert answer.status_code == 200
    for part in ("This receipt is real.", "30 000 FC", "10/03/2026", "*** *** 001 8", "R260310ABCDE"):
        assert part in answer.text
    assert len(answer.data) < 4_000, "a keypad phone loads it"
    assert "<script" not in answer.text
    assert "Lampe &lt;b&gt;" in answer.text


def test_a_bill_and_one_that_was_cancelled(client: FlaskClient) -> None:
    text = client.get(f"/verify/{BILL}?lang=en").text
    for part in ("This bill is genuine.", "28 500 FC", "01/03/2026", "*** *** 001 8", "2026-KIN-000417"):
        assert part in text
    assert "receipt number" not in text
    assert "This bill was cancelled. Do not pay it." in client.get(f"/verify/{DROPPED}?lang=en").text


def test_a_payment_taken_back(client: FlaskClient) -> None:
    text = client.get(f"/verify/{GONE}?lang=en").text
    assert "This payment was taken back." in text
    assert "This receipt is real." not in text
    assert "12/03/2026" in text


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (with_check("999999999"), 404, "There is no receipt with this code."),
        ("123", 404, "This is not a code of ours."),
        ("%3Cscript%3E", 404, "This is not a code of ours."),
        (BUSY, 503, "The system is busy."),
    ],
)
def test_what_is_not_a_receipt(client: FlaskClient, code: str, status: int, said: str) -> None:
    answer = client.get(f"/verify/{code}?lang=en")
    assert answer.status_code == status
    assert said in answer.text
    assert "<script" not in answer.text


def test_the_form_leads_to_the_code_however_it_is_typed(client: FlaskClient) -> None:
    assert client.get("/verify/?lang=en").status_code == 200
    typed = f"{GOOD[:3]} {GOOD[3:6]}-{GOOD[6:]}"
    answer = client.get("/verify/", query_string={"code": typed, "lang": "en"})
    assert answer.location == f"/verify/{GOOD}?lang=en"
    assert client.get("/verify/", query_string={"code": "//evil.test"}).location.startswith("/verify/")


def test_guessing_is_slowed_down_and_patience_helps(client: FlaskClient, clock: FixedClock) -> None:
    statuses = [client.get(f"/verify/{GOOD}").status_code for _ in range(30)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    clock.advance(minutes=1)
    assert client.get(f"/verify/{GOOD}").status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_offered(client: FlaskClient, language: str) -> None:
    answer = client.get(f"/verify/{GOOD}?lang={language}")
    assert f'<html lang="{language}">' in answer.text
    assert "30 000 FC" in answer.text
    assert '<html lang="en">' in client.get("/verify/", headers={"Accept-Language": "en-GB,en;q=0.9"}).text
    assert '<html lang="fr">' in client.get("/verify/?lang=xx").text


def test_the_headers(client: FlaskClient) -> None:
    headers = client.get(f"/verify/{GOOD}").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Robots-Tag"] == "noindex"
    assert headers["Cache-Control"] == "no-store"
    assert client.get("/verify/static/verify.css").status_code == 200
