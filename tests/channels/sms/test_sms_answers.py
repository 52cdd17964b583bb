"""Texts from people and the one answer each gets: what is said, what is charged, what is never told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.notices.ports import InboundText
from core.notices.tables import InboundSmsRow, NoticeRow
from core.outbox import Leased, Retry
from tests import town
from tests.channels.sms.sms_desk import Desk
from workers.jobs.texts import handlers

STRANGER = "+243970000777"


@pytest.fixture
def desk(db: Database, clock: FixedClock, tmp_path: Path) -> Desk:
    return Desk(db, clock, tmp_path)


def only(answers: list[tuple[str, str]]) -> tuple[str, str]:
    assert len(answers) == 1
    return answers[0]


# -- balance


def test_the_balance_and_the_text_that_pays_it(desk: Desk) -> None:
    home = desk.home(12_500)
    kind, body = only(desk.text(home.phone, "Solde"))
    assert kind in ("sms.balance.due", "sms.balance.cut")
    assert "12 500 FC" in body
    assert grouped(home.account_number) in body
    assert "PAYER 12500" in body
    assert desk.handled() == ["balance"]


def test_nothing_due(desk: Desk) -> None:
    home = desk.home(0)
    assert only(desk.text(home.phone, "SOLDE"))[0] == "sms.balance.clear"


def test_the_answer_has_the_language_of_the_word_else_of_the_phone(desk: Desk) -> None:
    home = desk.home(language="sw")
    assert "LIPA 12500" in only(desk.text(home.phone, "SOLDE"))[1]
    assert "PAY 12500" in only(desk.text(home.phone, "balance"))[1]
    assert "PAYER 12500" in only(desk.text(desk.home().phone, "solde"))[1]


def test_several_accounts(desk: Desk) -> None:
    home = desk.home(12_500)
    second = desk.account(home, 3_000)
    kind, body = only(desk.text(home.phone, "SOLDE"))
    assert kind == "sms.balance.several"
    assert f"{grouped(home.account_number)}: 12 500 FC" in body
    assert f"{grouped(second)}: 3 000 FC" in body
    kind, body = only(desk.text(home.phone, f"SOLDE {second}"))
    assert "3 000 FC" in body
    assert "12 500" not in body
    assert f"PAYER 3000 {second}" in body


def test_many_accounts_still_fit(desk: Desk) -> None:
    home = desk.home(12_500)
    for _ in range(5):
        desk.account(home, 123_456_789)
    kind, body = only(desk.text(home.phone, "SOLDE"))
    assert (kind, "+3" in body, len(body) <= 160) == ("sms.balance.several", True, True)


def test_a_stranger_and_a_stale_link_see_no_amount(desk: Desk) -> None:
    home = desk.home(12_500)
    with desk.db.begin() as session:
        session.scalars(select(PhoneLinkRow)).one().fresh_until = town.BEGINNING
    for phone in (STRANGER, home.phone):
        for body in ("SOLDE", f"SOLDE {home.account_number}", "RECU"):
            kind, said = only(desk.text(phone, body))
            assert kind == "sms.not_linked"
            assert "FC" not in said
            assert "Mbuyi" not in said


# -- pay


def test_an_order_asks_the_own_wallet_once(desk: Desk) -> None:
    home = desk.home(12_500)
    kind, body = only(desk.text(home.phone, "payer 5.000 fc"))
    assert kind == "sms.pay.asked"
    assert "5 000 FC" in body
    assert "M-Pesa" in body
    assert grouped(home.account_number) in body
    [attempt] = desk.attempts()
    assert (attempt.payer_phone, attempt.asked_by_phone, attempt.brand) == (home.phone, home.phone, "mpesa")
    assert (attempt.charged_minor, attempt.origin, attempt.contract_id) == (500_000, "sms", home.contract.id)


def test_the_same_message_again_changes_nothing(desk: Desk) -> None:
    home = desk.home()
    numbers = {desk.take(home.phone, "PAYER 5000", reference="ref-1") for _ in range(3)}
    desk.run()
    desk.run()
    [number] = numbers
    desk.answering.answer(number)
    assert len(desk.attempts()) == len(desk.sent()) == 1


def test_a_repeat_with_a_new_id_is_the_same_order(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"
    desk.end_attempts("succeeded")
    desk.clock.advance(seconds=59)
    assert only(desk.text(home.phone, " payer  5000"))[0] == "sms.pay.again"
    assert len(desk.attempts()) == 1
    desk.clock.advance(seconds=61)
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"
    assert len(desk.attempts()) == 2


def test_repeats_of_repeats_are_the_same_order(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"
    desk.end_attempts("succeeded")
    for _ in range(4):
        desk.clock.advance(seconds=50)
        desk.text(home.phone, "SOLDE")
        assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.again"
    assert len(desk.attempts()) == 1


@pytest.mark.parametrize("ended", ["failed", "expired", "cancelled"])
def test_after_a_payment_that_came_to_nothing_the_same_words_are_a_new_order(desk: Desk, ended: str) -> None:
    home = desk.home()
    desk.text(home.phone, "PAYER 5000")
    desk.clock.advance(seconds=20)
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.again"
    desk.end_attempts(ended)
    desk.clock.advance(seconds=20)
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"
    desk.end_attempts("succeeded")
    desk.clock.advance(seconds=50)
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.again"
    assert len(desk.attempts()) == 2


def test_a_text_whose_own_payment_failed_before_its_answer_orders_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = desk.home()
    number = desk.take(home.phone, "PAYER 5000")
    with monkeypatch.context() as broken:
        broken.setattr("core.services.inbox.stage_notice", _killed)
        with pytest.raises(_Killed):
            desk.answering.answer(number)
    desk.end_attempts("failed")
    desk.answering.answer(number)
    assert len(desk.attempts()) == 1


def test_after_a_refusal_the_same_words_are_answered_for_themselves(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "PAYER 5000", delay_s=3600))[0] == "sms.pay.late"
    desk.clock.advance(seconds=20)
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"


def test_a_repeat_that_is_answered_first_is_the_same_order(desk: Desk) -> None:
    home = desk.home()
    first, second = desk.take(home.phone, "PAYER 5000"), desk.take(home.phone, "PAYER 5000")
    desk.answering.answer(second)
    desk.answering.answer(first)
    assert len(desk.attempts()) == 1
    assert sorted(kind for kind, _ in desk.sent()) == ["sms.pay.again", "sms.pay.asked"]


def test_another_amount_within_the_minute_is_another_order_and_is_refused(desk: Desk) -> None:
    home = desk.home()
    desk.text(home.phone, "PAYER 5000")
    assert only(desk.text(home.phone, "PAYER 6000"))[0] == "sms.pay.under_way"
    assert len(desk.attempts()) == 1


def test_a_crash_between_the_order_and_its_answer_loses_neither(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    home = desk.home()
    number = desk.take(home.phone, "PAYER 5000")
    with monkeypatch.context() as broken:
        broken.setattr("core.services.inbox.stage_notice", _killed)
        with pytest.raises(_Killed):
            desk.answering.answer(number)
    # Meanwhile the link went stale and hours passed: what was begun was begun all the same.
    with desk.db.begin() as session:
        session.scalars(select(PhoneLinkRow)).one().fresh_until = town.BEGINNING
    desk.clock.advance(hours=3)
    desk.answering.answer(number)
    assert len(desk.attempts()) == 1
    assert [kind for kind, _ in desk.sent()] == ["sms.pay.asked_for"]


class _Killed(BaseException):
    pass


def _killed(*_args: object, **_named: object) -> None:
    raise _Killed


def test_anybody_pays_for_any_account_and_sees_no_name(desk: Desk) -> None:
    home = desk.home(name="Marie Kabila")
    kind, body = only(desk.text(STRANGER, f"PAYER 5000 {grouped(home.account_number)}"))
    assert kind == "sms.pay.asked_for"
    assert "M*** K***" in body
    assert "Airtel Money" in body
    assert "12 500" not in body
    assert desk.attempts()[0].payer_phone == STRANGER
    with desk.db.read() as session:
        # It stands in the payer's own story, not in that of the customer.
        assert session.scalars(select(NoticeRow.contract_id)).all() == [None]


def test_with_several_accounts_the_answer_asks_which(desk: Desk) -> None:
    home = desk.home()
    second = desk.account(home, 3_000)
    kind, body = only(desk.text(home.phone, "PAYER 5000"))
    assert kind == "sms.pay.which"
    assert grouped(second) in body
    assert desk.attempts() == []
    assert only(desk.text(home.phone, f"PAYER 5000 {second}"))[0] == "sms.pay.asked"


def test_payer_alone_orders_nothing(desk: Desk) -> None:
    home, clear = desk.home(12_500), desk.home(0)
    kind, body = only(desk.text(home.phone, "PAYER"))
    assert (kind, "PAYER 12500" in body, "M-Pesa" in body) == ("sms.pay.how_due", True, True)
    assert only(desk.text(clear.phone, "PAYER"))[0] == "sms.pay.how_clear"
    kind, body = only(desk.text(STRANGER, f"PAYER {home.account_number}"))
    assert (kind, "12 500" in body) == ("sms.pay.how", False)
    assert only(desk.text(STRANGER, "PAYER"))[0] == "sms.pay.how"
    assert only(desk.text(STRANGER, "PAYER 5000"))[0] == "sms.pay.how"
    assert desk.attempts() == []
    desk.text(home.phone, "PAYER 12500")
    assert only(desk.text(home.phone, "PAYER"))[0] == "sms.pay.under_way"
    assert only(desk.text(home.phone, "SOLDE"))[0] == "sms.balance.under_way"


def test_orders_that_cannot_be_carried_out_charge_nothing(desk: Desk) -> None:
    home, dollars = desk.home(), desk.home(20, currency="USD")
    missing = town.account_number(999)
    wrong = missing[:-1] + str((int(missing[-1]) + 1) % 10)
    kenyan = "+254712345678"
    for phone, body, kind in (
        (home.phone, f"PAYER 5000 {missing}", "no_account"),
        (home.phone, f"PAYER 5000 {wrong}", "no_account"),
        (home.phone, "PAYER 12 34 5", "unclear"),
        (home.phone, "PAYER 5000 3000", "unclear"),
        (home.phone, "PAYER 5000 1234", "unclear"),
        (home.phone, "PAYER 50", "amount"),
        (home.phone, "PAYER 900000000", "amount"),
        (home.phone, "PAYER 5000,50", "amount"),
        (home.phone, "PAYER 20 USD", "currency"),
        (dollars.phone, "PAYER 20 USD", "no_wallet"),
        (kenyan, f"PAYER 5000 {home.account_number}", "no_wallet"),
    ):
        said, text = only(desk.text(phone, body))
        assert said == f"sms.pay.{kind}", body
        assert len(text) <= 160
    assert desk.attempts() == []


def test_a_closed_account_is_said_to_be_closed(desk: Desk) -> None:
    home = desk.home()
    with desk.db.begin() as session:
        session.merge(home.contract).state = "closed"
    assert only(desk.text(STRANGER, f"PAYER 5000 {home.account_number}"))[0] == "sms.pay.closed"


def test_an_order_that_lay_for_long_is_not_carried_out(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "PAYER 5000", delay_s=3_600))[0] == "sms.pay.late"
    waiting = desk.take(home.phone, "PAYER 6000")
    desk.clock.advance(minutes=31)
    desk.answering.answer(waiting)
    assert [kind for kind, _ in desk.sent()] == ["sms.pay.late"] * 2
    assert desk.attempts() == []
    # A balance is as true as ever.
    assert only(desk.text(home.phone, "SOLDE", delay_s=3_600))[0].startswith("sms.balance")


def test_nobody_can_be_flooded_with_prompts(desk: Desk) -> None:
    home = desk.home()
    for units in range(1_000, 1_010):
        assert only(desk.text(home.phone, f"PAYER {units}"))[0] == "sms.pay.asked"
        desk.end_attempts()
    assert only(desk.text(home.phone, "PAYER 2000"))[0] == "sms.pay.enough"
    assert len(desk.attempts()) == 10


# -- receipt, check, help


def test_the_last_receipt_and_its_check(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "RECU"))[0] == "sms.receipt.none"
    with desk.db.begin() as session:
        paid = town.payment(session, session.merge(home.contract), Money.units(5_000, "CDF"))
        number, code = paid.receipt_number, paid.verification_code
    kind, body = only(desk.text(home.phone, "Reçu"))
    assert kind == "sms.receipt"
    for part in (number, grouped(code), "5 000 FC", grouped(home.account_number)):
        assert part in body
    kind, body = only(desk.text(STRANGER, f"CODE {grouped(code)}"))
    assert (kind, grouped(home.account_number) in body) == ("sms.verify.real", False)
    assert only(desk.text(STRANGER, f"CODE {town.account_number(999)}"))[0] == "sms.verify.none"
    assert only(desk.text(STRANGER, "CODE"))[0] == "sms.verify.how"
    with desk.db.begin() as session:
        session.merge(paid).reversed_at = desk.clock.now()
    assert only(desk.text(STRANGER, f"CODE {code}"))[0] == "sms.verify.reversed"


def test_help_names_the_words_of_its_language(desk: Desk) -> None:
    assert "SOLDE" in only(desk.text(STRANGER, "Aide"))[1]
    assert "SALIO" in only(desk.text(STRANGER, "msaada"))[1]


# -- stop and start


def test_stop_stops_reminders_and_is_answered_all_the_same(desk: Desk) -> None:
    home = desk.home()
    for stop, start in (("STOP", "START"), ("Arrêt", "DEBUT"), ("tika", "banda"), ("ARET", "anza")):
        assert only(desk.text(home.phone, stop))[0] == "sms.stop"
        assert desk.opted_out(home.phone)
        assert only(desk.text(home.phone, "SOLDE"))[0].startswith("sms.balance"), "she asked"
        assert only(desk.text(home.phone, start))[0] == "sms.start"
        assert not desk.opted_out(home.phone)
    assert desk.cases() == []


def test_stop_counts_before_anybody_answers_and_is_not_repeated_by_the_answer(desk: Desk) -> None:
    home = desk.home()
    stop = desk.take(home.phone, "STOP")
    assert desk.opted_out(home.phone)
    desk.text(home.phone, "START")
    desk.answering.answer(stop)
    assert not desk.opted_out(home.phone), "START was the last word"


def test_an_angry_stop_is_read_by_a_person_too(desk: Desk) -> None:
    home = desk.home()
    assert only(desk.text(home.phone, "stop vos messages ma facture est fausse"))[0] == "sms.stop"
    assert desk.opted_out(home.phone)
    assert [case.body for case in desk.cases()] == ["stop vos messages ma facture est fausse"]


# -- what nobody understands


def test_an_unknown_text_is_filed_and_answered_once_a_day(desk: Desk) -> None:
    home = desk.home()
    kind, body = only(desk.text(home.phone, "le courant est coupé depuis hier"))
    assert kind == "sms.unknown.filed"
    [case] = desk.cases()
    assert grouped(case.number) in body
    assert (case.phone, case.source, case.contract_id) == (home.phone, "sms", home.contract.id)
    assert desk.text(home.phone, "vous m'entendez ?") == []
    assert [(one.number, one.reports) for one in desk.cases()] == [(case.number, 2)]
    desk.clock.advance(days=1, minutes=1)
    assert only(desk.text(home.phone, "toujours pas de courant"))[0] == "sms.unknown.filed"
    assert desk.handled() == ["unknown"] * 3


def test_nothing_to_read_is_no_case(desk: Desk) -> None:
    for n, body in enumerate(("", "  ", "😀👍", "?!", "Merci !", "ok merci", "Asante")):
        assert only(desk.text(town.phone_number(n), body))[0] == "sms.unknown"
    assert desk.cases() == []


def test_a_long_letter_in_another_alphabet_is_kept_whole(desk: Desk) -> None:
    letter = "Ndeko, lotiliki ezali te ɔ 😀 " * 30
    assert only(desk.text(STRANGER, letter))[0] == "sms.unknown.filed"
    assert desk.cases()[0].body == letter[:1_000]


def test_a_pin_is_nowhere_and_whoever_sent_it_is_told(desk: Desk) -> None:
    bodies = ("mon code pin est 4821", "PIN:4821", "PAYER 5000 pin 4821", "4821", "code 4 8 2 1", "CODE 482193")
    for body in bodies:
        assert only(desk.text(desk.home().phone, body))[0] == "sms.secret"
    assert desk.attempts() == []
    with desk.db.read() as session:
        kept = session.scalars(select(InboundSmsRow.body)).all()
    for text in (*kept, *(case.body for case in desk.cases()), *(body for _, body in desk.sent())):
        assert "4821" not in text.replace(" ", "")


# -- who is never answered


SENDERS = (
    "MWOLO",
    "M-PESA",
    "INFO",
    "123",
    "+123",
    "40404",
    "AIRTEL243",
    "+243",
    "+2438155500010000",
    "0",
    "*123#",
    "+243810000001;+2438",
    "+24312345678",
    "+243880000000",
)


def test_names_codes_and_machines_are_never_answered(desk: Desk) -> None:
    desk.home()
    for sender in SENDERS:
        for body in ("STOP", "PAYER 5000", "Votre facture de 5 000 FC"):
            assert desk.text(sender, body) == [], sender
        assert not desk.opted_out(sender)
    assert desk.attempts() == []
    assert desk.cases() == []
    assert set(desk.handled()) == {"no_phone"}


def test_our_own_number_and_other_codes_are_left_alone(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    own = "+243815551234"
    desk = Desk(db, clock, tmp_path, codes=("*123#", own))
    home = desk.home()
    assert desk.text(own, "SOLDE", to="123") == []
    assert desk.text(home.phone, "SOLDE", to="456") == []
    assert desk.text(home.phone, "SOLDE", to=own) != []
    assert desk.text(home.phone, "SOLDE", to="") != []
    assert desk.handled()[:2] == ["ourselves", "other_code"]


def test_a_number_from_abroad_is_answered_only_where_somebody_gave_it(desk: Desk) -> None:
    assert desk.text("+32470123456", "SOLDE") == []
    assert desk.text("+32470123456", "bonjour a tous") == []
    home = desk.home(phone="+32470999888")
    assert "12 500 FC" in only(desk.text(home.phone, "SOLDE"))[1]


def test_two_machines_cannot_talk_all_day(desk: Desk) -> None:
    home = desk.home()
    answers = sum(len(desk.text(home.phone, "SOLDE")) for _ in range(40))
    assert answers == 30
    assert len(desk.handled()) == 40


# -- the worker


def test_a_busy_database_is_asked_again(desk: Desk) -> None:
    class Busy:
        def answer(self, inbound_id: int) -> Retry:
            raise NotRecorded("busy")

    row = Leased(1, "sms.answer", "notices", "t", {"inbound_id": 7}, 1, desk.clock.real_now())
    outcome = handlers(Busy())["sms.answer"](row)
    assert isinstance(outcome, Retry)
    assert not outcome.counts


def test_both_databases_answer_once(any_db: Database, clock: FixedClock, tmp_path: Path) -> None:
    desk = Desk(any_db, clock, tmp_path)
    home = desk.home()
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.asked"
    assert only(desk.text(home.phone, "PAYER 5000"))[0] == "sms.pay.again"
    assert only(desk.text(home.phone, "tika"))[0] == "sms.stop"
    assert only(desk.text(home.phone, "il fait noir"))[0] == "sms.unknown.filed"
    assert desk.notices.take_inbound("at", InboundText("in-1", home.phone, "PAYER 5000")) is False
    assert len(desk.attempts()) == 1


def test_two_workers_at_once_answer_once(any_db: Database, clock: FixedClock, tmp_path: Path) -> None:
    desk = Desk(any_db, clock, tmp_path)
    home = desk.home()
    numbers = [desk.take(home.phone, body) for body in ("PAYER 5000", "PAYER 5000", "plus de courant", "STOP")]
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(desk.answering.answer, numbers * 4))
    assert len(desk.attempts()) == len(desk.cases()) == 1
    assert len(desk.sent()) == len(numbers)


def test_a_pin_beside_an_amount_is_kept_nowhere(desk: Desk) -> None:
    home = desk.home()
    for body in ("PAYER 5000 1234", "5000 1234", "je paye 5000, 1234"):
        desk.text(home.phone, body)
    with desk.db.read() as session:
        kept = list(session.scalars(select(InboundSmsRow.body)))
    assert kept == ["PAYER 5000 ****", "5000 ****", "je paye 5000, ****"]
    assert not any("1234" in text for _, text in desk.sent())
    assert desk.attempts() == []
