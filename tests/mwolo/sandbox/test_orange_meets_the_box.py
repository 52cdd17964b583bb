"""Our adapters, and a SOAP client nobody here wrote (zeep), against Orange's doubles over real sockets."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
import zeep
from flask import Flask
from lxml import etree

from channels.wallets import soap
from channels.wallets.operators.orange import OrangeB2bWallet, OrangeConfig, OrangeSoapWallet
from channels.wallets.operators.orange.soap import prompt_text
from channels.wallets.registry import build
from channels.wallets.sessions import InProcessStore
from channels.wallets.views import hooks_blueprint
from core.kernel.clock import SystemClock
from core.kernel.ids import own_reference
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    RefundHint,
    Unknown,
    Wallet,
    WalletAttempt,
    WalletRefund,
)
from mwolo.sandbox.operators.orange_rules import B2B_NOT_TAKEN_CODES, FAILED_CODES, NOT_TAKEN_CODES
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import ORANGE, Box, until

AMOUNT = Money.units(5000, "CDF")
STATUS_PATH = "/transactions/{id}"


class Town:
    """A box on a port, the product's callback door on another, and both of Orange's APIs between them."""

    def __init__(self, open_box: Callable[..., Box], **settings: Any) -> None:
        self.kept: list[RawCallback] = []
        self.wallets: dict[str, Wallet] = {}
        self._servers: list[Any] = []
        door = Flask("door")
        door.register_blueprint(hooks_blueprint(self, self.wallets, ["secret"], clock=SystemClock()))
        self.door = self._serve(door)
        self.box = open_box(orange_callback_url=f"{self.door}/hooks/b2b/secret/callback", **settings)
        self.operators = self._serve(self.box.app)
        self.wallets["soap"] = self.soap()
        self.wallets["b2b"] = self.b2b()

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        self.kept.append(raw)

    def soap(self, **changed: Any) -> OrangeSoapWallet:
        wallet = self._wallet({"base_url": f"{self.operators}/orange-om"} | changed)
        assert isinstance(wallet, OrangeSoapWallet)
        return wallet

    def b2b(self, **changed: Any) -> OrangeB2bWallet:
        where = {"api": "b2b", "base_url": f"{self.operators}/orange-b2b", "b2b_status_path": STATUS_PATH}
        wallet = self._wallet(where | changed)
        assert isinstance(wallet, OrangeB2bWallet)
        return wallet

    def attempt(self, **changed: Any) -> WalletAttempt:
        attempt_id = str(uuid.uuid4())
        usual = WalletAttempt(
            attempt_id=attempt_id,
            own_ref=own_reference(),
            brand="orange",
            payer_phone=ORANGE,
            amount=AMOUNT,
            account_number="1234567897",
            description="Electricite 1234567897",
            callback_url=f"{self.door}/hooks/soap/secret/callback/{attempt_id}",
        )
        return replace(usual, **changed)

    def hint(self, api: str, number: int = 0) -> Hint | RefundHint:
        raw = until(lambda: self.kept[number:], f"callback {number}")[0]
        hint = self.wallets[api].read_callback(raw)
        assert isinstance(hint, Hint | RefundHint), hint
        return hint

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _wallet(self, changed: dict[str, Any]) -> Wallet:
        known = self.box.config
        usual = {
            "bearer_token": known.orange_token,
            "partner_id": known.orange_partner_id,
            "merchant_cdf": known.orange_merchant_cdf,
            "merchant_usd": known.orange_merchant_usd,
            "client_id": known.orange_client_id,
            "client_secret": known.orange_client_secret,
            "b2b_pos_id": known.orange_pos_id,
            "status_failed_codes": FAILED_CODES,
            "start_not_taken_codes": NOT_TAKEN_CODES,
            "b2b_not_taken_codes": B2B_NOT_TAKEN_CODES,
            "b2b_not_found_codes": "61",
        }
        store = changed.pop("session_store", None)
        config = OrangeConfig(**{**usual, **changed})
        return build("orange", config, http=PartnerHttp("orange"), clock=SystemClock(), session_store=store)

    def _serve(self, app: Flask) -> str:
        self._servers.append(threaded_server(app))
        threading.Thread(target=self._servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._servers[-1].port}"


@pytest.fixture
def open_town(open_box: Callable[..., Box]) -> Iterator[Callable[..., Town]]:
    opened: list[Town] = []

    def open_one(**settings: Any) -> Town:
        opened.append(Town(open_box, **settings))
        return opened[-1]

    yield open_one
    for town in opened:
        town.close()


@pytest.fixture
def town(open_town: Callable[..., Town]) -> Town:
    return open_town()


def refund_of(one: WalletAttempt, amount: Money) -> WalletRefund:
    return WalletRefund(
        refund_id=str(uuid.uuid4()),
        own_ref=own_reference(),
        attempt_id=one.attempt_id,
        provider_txn_id=None,
        brand="orange",
        payer_phone=one.payer_phone,
        amount=amount,
        original=one.amount,
    )


# -- our SOAP client


def test_soap_pays_with_our_own_words_in_the_prompt(town: Town) -> None:
    wallet, one = town.soap(), town.attempt()
    assert wallet.query(one) == NotFound()
    taken = wallet.start(one)
    assert isinstance(taken, Accepted)
    assert taken.provider_ref
    assert wallet.query(one) == Pending()
    assert town.box.prompt(ORANGE)["text"] == prompt_text(one)
    assert town.box.answers(ORANGE) == "paid"
    assert wallet.query(one) == Paid()
    hint = town.hint("soap")
    assert hint == Hint(own_ref=one.own_ref, claim=Paid(None, AMOUNT, payer_phone=ORANGE), authentic=False)
    assert town.kept[0].attempt == one.attempt_id
    assert wallet.start(one) == Unknown("704"), "a repeated id is refused, which is no word on the money"
    assert town.box.balance(ORANGE) == "15000"
    assert len(town.kept) == 1


@pytest.mark.parametrize(
    ("fault", "pins", "reason"),
    [
        (None, [None], "cancelled"),
        (None, ["0000"] * 3, "wrong_pin"),
        ("no_funds", ["1234"], "no_funds"),
        ("refused", [], "configuration"),
    ],
)
def test_soap_failures_are_told_by_listed_codes(
    town: Town, fault: str | None, pins: list[str | None], reason: str
) -> None:
    wallet, one = town.soap(), town.attempt()
    if fault is not None:
        town.box.fault("orange", fault)
    started = wallet.start(one)
    assert isinstance(started, Unknown if fault == "refused" else Accepted)
    for pin in pins:
        town.box.answers(ORANGE, pin)
    answer = wallet.query(one)
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.final) == (reason, False)
    hint = town.hint("soap")
    assert isinstance(hint, Hint)
    assert isinstance(hint.claim, Failed)
    # A gateway whose codes nobody has listed decides nothing.
    unlisted = town.soap(status_failed_codes="")
    assert unlisted.query(one) == Unknown(answer.code)


def test_soap_faults(town: Town) -> None:
    wallet, box = town.soap(), town.box
    for fault, expected in (
        ("error_before_accept", Unknown("500 fault_Server")),
        ("overloaded", NotAccepted("60026", 30)),
        ("throttled", NotAccepted("429", 10)),
        ("expired_token", NotAccepted("http_401", 15)),
    ):
        one = town.attempt()
        box.fault("orange", fault)
        assert wallet.start(one) == expected, fault
        assert wallet.query(one) == NotFound(), fault
    for fault, expected in (("error_after_accept", Unknown("500 fault_Server")), ("lost_answer", Unknown("cut"))):
        one = town.attempt()
        box.fault("orange", fault)
        assert wallet.start(one) == expected, fault
        assert wallet.query(one) == Pending(), fault
        assert box.answers(ORANGE) == "paid"
        assert wallet.query(one) == Paid()


def test_soap_callbacks_that_lie(town: Town) -> None:
    wallet, one = town.soap(), town.attempt()
    town.box.fault("orange", "forged_callback")
    wallet.start(one)
    hint = town.hint("soap")
    assert isinstance(hint, Hint)
    assert isinstance(hint.claim, Paid)
    assert hint.authentic is False
    assert wallet.query(one) == Pending(), "nobody paid"


@pytest.mark.parametrize("api", ["soap", "b2b"])
def test_callbacks_doubled_early_invented_and_late(open_town: Callable[..., Town], api: str) -> None:
    town = open_town(prompt_lifetime_s=0.3)
    wallet: Any = town.soap() if api == "soap" else town.b2b()
    box = town.box
    box.fault("orange", "duplicate_callback")
    wallet.start(town.attempt())
    box.answers(ORANGE)
    assert town.hint(api, 0) == town.hint(api, 1)
    box.fault("orange", "callback_before_answer")
    first = town.attempt(callback_url=town.attempt().callback_url)
    assert isinstance(wallet.start(first), Accepted), "nobody answers the prompt, and the news comes first"
    assert len(town.kept) == 3
    box.fault("orange", "unknown_reference")
    stranger = town.attempt()
    wallet.start(stranger)
    box.answers(ORANGE)
    box.fault("orange", "lost_callback")
    box.fault("orange", "late_success", expire_after=0.05, seconds=0.05)
    late = town.attempt()
    wallet.start(late)
    assert until(lambda: isinstance(wallet.query(late), Paid))
    box.fault("orange", "never_final")
    never = town.attempt()
    wallet.start(never)
    assert isinstance(wallet.query(never), Pending)
    named = [getattr(town.hint(api, number), "own_ref" if api == "soap" else "attempt_id") for number in (3, 4)]
    ours = stranger.own_ref if api == "soap" else stranger.attempt_id
    assert len({ours, *named}) == 2, "one about us, one about nobody"


def test_what_the_operator_takes_back_is_in_its_books(town: Town) -> None:
    wallet, one = town.soap(), town.attempt()
    town.box.fault("orange", "reversed", seconds=0.01)
    wallet.start(one)
    town.box.answers(ORANGE)
    (back,) = until(lambda: town.box.get("wallets/orange/ledger")["reversals"])
    assert back["amount"] == "5000"
    assert town.box.entry("orange", one.own_ref)["reversed"] is True
    assert wallet.query(one) == Paid(), "its status call does not say so: the report does"


def test_soap_wrong_amount_and_currency_stand_in_the_callback(town: Town) -> None:
    wallet = town.soap()
    for number, (fault, params, amount) in enumerate((
        ("wrong_amount", {"amount": 4000}, Money.units(4000, "CDF")),
        ("wrong_currency", {"currency": "USD", "amount": 2.5}, Money(250, "USD")),
    )):  # fmt: skip
        one = town.attempt()
        town.box.fault("orange", fault, **params)
        wallet.start(one)
        town.box.answers(ORANGE)
        hint = town.hint("soap", number)
        assert isinstance(hint, Hint)
        assert hint.claim == Paid(None, amount, payer_phone=ORANGE)


def test_soap_gives_money_back(town: Town) -> None:
    wallet, one = town.soap(), town.attempt()
    wallet.start(one)
    town.box.answers(ORANGE)
    part, rest, more = (refund_of(one, Money.units(units, "CDF")) for units in (1000, 4000, 500))
    assert wallet.query_refund(part) == Unknown("refund_not_found")
    assert isinstance(wallet.refund(part), Paid)
    assert wallet.query_refund(part) == Paid()
    assert wallet.refund(part) == Unknown("704")
    town.box.fault("orange", "lost_answer", operation="refund")
    assert wallet.refund(rest) == Unknown("cut")
    assert wallet.query_refund(rest) == Paid()
    assert isinstance(wallet.refund(more), Unknown), "nothing is left of the payment"
    assert town.box.balance(ORANGE) == "20000"


@pytest.mark.parametrize("api", ["soap", "b2b"])
def test_a_refund_in_bad_weather(town: Town, api: str) -> None:
    wallet: Any = town.soap() if api == "soap" else town.b2b()
    one = town.attempt()
    wallet.start(one)
    town.box.answers(ORANGE)
    back = refund_of(one, AMOUNT)
    for fault in ("throttled", "overloaded", "error_before_accept", "expired_token"):
        town.box.fault("orange", fault, operation="refund")
        assert isinstance(wallet.refund(back), NotAccepted | Unknown | Failed)
        assert wallet.query_refund(back) == (Unknown("refund_not_found") if api == "soap" else NotFound())
    town.box.fault("orange", "error_after_accept", operation="refund")
    town.box.fault("orange", "slow", operation="query", seconds=0.01)
    assert isinstance(wallet.refund(back), Unknown)
    assert until(lambda: isinstance(wallet.query_refund(back), Paid))
    assert town.box.balance(ORANGE) == "20000"


def test_soap_check(town: Town) -> None:
    assert [one.ok for one in town.soap().check()] == [None, True, True, None], "http on this machine"
    wrong = town.soap(bearer_token="another", partner_id="1").check()
    assert [one.ok for one in wrong] == [None, False, False, None]


# -- our B2B client


def test_b2b_pays_and_is_asked(town: Town) -> None:
    wallet, one = town.b2b(), town.attempt()
    assert wallet.query(one) == NotFound()
    assert isinstance(wallet.start(one), Accepted)
    assert isinstance(wallet.query(one), Pending)
    town.box.answers(ORANGE)
    txn_id = town.box.entry("orange", one.attempt_id)["provider_txn_id"]
    assert wallet.query(one) == Paid(txn_id, AMOUNT)
    assert town.hint("b2b") == Hint(attempt_id=one.attempt_id, claim=Paid(txn_id, AMOUNT))
    assert wallet.start(one) == Unknown("http_409_70")
    believer = town.b2b(b2b_status_path="", b2b_believe_callback=True)
    assert believer.query(one) == Unknown("no_status_call")
    hint = believer.read_callback(town.kept[0])
    assert isinstance(hint, Hint)
    assert hint.authentic


def test_b2b_faults(town: Town) -> None:
    wallet, box = town.b2b(), town.box
    for fault, expected in (
        ("error_before_accept", Unknown("500")),
        ("overloaded", NotAccepted("5", 30)),
        ("throttled", NotAccepted("429", 10)),
        ("expired_token", NotAccepted("token_refused", 1)),
    ):
        one = town.attempt()
        box.fault("orange", fault, **({"operation": "start"} if fault == "expired_token" else {}))
        assert wallet.start(one) == expected, fault
        assert wallet.query(one) == NotFound(), fault
    for fault, expected in (("error_after_accept", Unknown("500")), ("lost_answer", Unknown("cut"))):
        one = town.attempt()
        box.fault("orange", fault)
        assert wallet.start(one) == expected, fault
        box.answers(ORANGE, None)
        assert wallet.query(one) == Failed("other", "60021", final=False)


def test_b2b_refund_and_its_callback(town: Town) -> None:
    wallet, one = town.b2b(), town.attempt()
    wallet.start(one)
    town.box.answers(ORANGE)
    assert isinstance(town.hint("b2b"), Hint)
    back = refund_of(one, Money.units(2000, "CDF"))
    assert isinstance(wallet.refund(back), Accepted)
    assert town.hint("b2b", 1) == RefundHint(back.refund_id)
    assert isinstance(wallet.query_refund(back), Paid)
    assert town.box.balance(ORANGE) == "17000"


def test_b2b_workers_share_a_token_as_long_as_it_lives(open_town: Callable[..., Town]) -> None:
    town, shared = open_town(), InProcessStore()
    first, second = town.b2b(session_store=shared), town.b2b(session_store=shared)
    assert first.query(town.attempt()) == second.query(town.attempt()) == NotFound()
    (session,) = shared.load()
    assert session.lifetime_s == 7200
    town.box.clock.ahead = 7300
    assert second.query(town.attempt()) == Unknown("token_refused")
    assert second.query(town.attempt()) == NotFound()
    wrong = town.b2b(client_secret="another")
    assert wrong.start(town.attempt()) == Failed("configuration", "41")
    assert [one.ok for one in wrong.check()] == [False]
    assert [one.ok for one in first.check()] == [True, True, None]


# -- a SOAP client nobody here wrote: it reads the service's description and goes by it alone


class Judge:
    """zeep at the box's gateway. Its address is all it is told."""

    def __init__(self, town: Town) -> None:
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {town.box.config.orange_token}"
        self._transport = zeep.Transport(session=session)
        address = f"{town.operators}/orange-om/apigatewayom/apigwomService"
        self.client = self.of(f"{address}?wsdl")
        self.callbacks = self.of(
            f"{town.operators}/orange-om/callback.wsdl?address={town.door}/hooks/soap/secret/callback"
        )

    def of(self, wsdl: str) -> Any:
        return zeep.Client(wsdl, transport=self._transport, settings=zeep.Settings(strict=True))

    def reads(self, client: Any, namespace: str, envelope: str, element: str) -> Any:
        """An envelope of ours, judged by the schema in the description: every element known, in its place."""
        body = etree.fromstring(envelope.encode())[-1]
        assert len(body) == 1
        return client.get_element(f"{{{namespace}}}{element}").parse(body[0], client.wsdl.types)


@pytest.fixture
def judge(town: Town) -> Judge:
    return Judge(town)


def test_a_stranger_collects_asks_and_gives_back(town: Town, judge: Judge) -> None:
    own_id, service = "0001646238236", judge.client.service
    money = {"subsmsisdn": "0" + ORANGE[-9:], "PartnId": "449", "mermsisdn": "0890033477", "currency": "CDF"}
    taken = service.doS2M(
        **money, transid=own_id, amount="100", callbackurl="", message_s2m="Pâtisserie <Lionel> & fils, code PIN :"
    )
    assert (taken.partnId, taken.resultCode, taken.transId) == ("449", "0", own_id)
    assert len(taken.systemId) == 12
    assert town.box.prompt(ORANGE)["text"] == "Pâtisserie <Lionel> & fils, code PIN :"
    assert service.doCheckTrans(PartnId="449", mermsisdn="0890033477", transid=own_id).resultCode == "0"
    town.box.answers(ORANGE)
    assert service.doCheckTrans(PartnId="449", mermsisdn="0890033477", transid=own_id).resultCode == "200"
    assert service.doM2S(**money, transid="566666662", amount="40").resultCode == "200"
    held = service.TcheckBal(subsmsisdn="0890033477", currency="CDF", PartnId="449", transid="4555566")
    assert (held.balance, held.resultCode) == ("60", "200")
    assert service.doS2M(**money, transid=own_id, amount="100").resultCode == "704"
    assert service.doS2M(**{**money, "PartnId": "1"}, transid="2", amount="100").resultCode == "701"


def test_a_stranger_meets_faults(town: Town, judge: Judge) -> None:
    town.box.fault("orange", "error_before_accept")
    with pytest.raises(zeep.exceptions.Fault, match="NullPointerException"):
        judge.client.service.doS2M(subsmsisdn="0" + ORANGE[-9:], PartnId="449", transid="1", amount="1")
    with pytest.raises(zeep.exceptions.Fault, match="Cannot find dispatch method"):
        judge.callbacks.create_service(
            "{http://servicecb.ws.com/}wscallbackPortBinding",
            f"{town.operators}/orange-om/apigatewayom/apigwomService",
        ).doCallback(transid="1")


def test_a_stranger_reads_what_we_send(town: Town, judge: Judge) -> None:
    """Our request, word for word as it goes out, against the description."""
    sent: list[str] = []
    wallet, one = town.soap(), town.attempt()
    post = wallet._http.post_text

    def listen(url: str, body: str, **options: Any) -> Any:
        sent.append(body)
        return post(url, body, **options)

    wallet._http.post_text = listen  # type: ignore[method-assign]
    wallet.start(one)
    town.box.answers(ORANGE)
    wallet.query(one)
    wallet.refund(refund_of(one, AMOUNT))
    wallet.check()
    names = ["doS2M", "doCheckTrans", "doM2S", "TcheckBal", "TcheckBal"]
    read = [
        judge.reads(judge.client, "http://services.ws1.com/", body, name)
        for name, body in zip(names, sent, strict=True)
    ]
    assert read[0].message_s2m == prompt_text(one)
    assert read[0].callbackurl == one.callback_url
    assert [one.transid for one in read[:2]] == [one.own_ref] * 2


def test_a_stranger_calls_us_back_and_reads_our_answer(town: Town, judge: Judge) -> None:
    answer = judge.callbacks.service.doCallback(
        subsmsisdn="0" + ORANGE[-9:],
        PartnId="449",
        mermsisdn="0890033477",
        transid="E0123456789ABCDEFGHJ",
        currency="USD",
        amount="25.50",
        ResultCode="0",
        ResultDesc="success & more",
    )
    assert (answer.partnId, answer.resultCode, answer.resultDesc) == ("449", "0", "success")
    hint = town.hint("soap")
    assert hint == Hint(own_ref="E0123456789ABCDEFGHJ", claim=Paid(None, Money(2550, "USD"), payer_phone=ORANGE))
    assert soap.read(town.kept[0].body).text("ResultDesc") == "success & more"
