"""The phone page in a real browser: dial, pay, read the SMS, see the light.

One test plays the story against the box itself, with a made-up menu behind it. The others use a small stand-in that
speaks the box's API and can be told to misbehave: they say what the page does, not what the menu says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request, send_from_directory
from werkzeug.serving import BaseWSGIServer, make_server

import mwolo.sandbox
from core.kernel.digits import grouped
from core.prepaid.ports import Device
from meters.registry import TOKEN_MAKERS
from mwolo.sandbox.app import create_app, sandbox_of
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.ledger import Ask
from tests.realparts import chromium_binary, exercised, wait_until

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api")

PAGE = Path(mwolo.sandbox.__file__).parent / "page"
MARIE, PAUL = "+243810000001", "+243970000002"
PIN = "7391"
HOME = "Marie K.\nA payer: 12 500 FC\n1 Payer tout\n2 Autre montant"
CONFIRM = "Payer 12 500 FC avec M-Pesa?\n1 Oui\n2 Non"
END = "Merci. M-Pesa vous demande votre PIN dans un instant."
ASKS = "Payer 12500.00 CDF a MWOLO? Entrez votre PIN"
RECEIPT = "Recu 4711: 12 500 FC. <b>Merci</b>."


@dataclass
class Box:
    """The state behind the stand-in. A test looks at it and changes it as the outside world would."""

    transcript: list[str] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    clock_moves: list[dict[str, Any]] = field(default_factory=list)
    supply: str = "off"
    balance: str = "50000"
    hung_up: int = 0
    answers_clock: threading.Event = field(default_factory=threading.Event)

    def phones(self) -> list[dict[str, Any]]:
        common = {"language": "fr", "wallet_pin": PIN, "currency": "CDF", "kind": "customer", "account": "1042207315"}
        mpesa = {"brand": "mpesa", "brand_name": "M-Pesa", "balance": self.balance, "meter": "M1"}
        airtel = {"brand": "airtel", "brand_name": "Airtel Money", "balance": "700", "meter": None}
        return [
            {"phone": MARIE, "name": "Marie Kabongo", **common, **mpesa},
            {"phone": PAUL, "name": "Paul Ilunga", **common, **airtel},
        ]

    def dial(self, code: str) -> dict[str, Any]:
        self.transcript = [code]
        if code != "*123#":
            return {"session": None, "text": "", "ended": True, "error": "Code inconnu du réseau."}
        return {"session": "s1", "text": HOME, "ended": False, "error": None}

    def reply(self, typed: str) -> dict[str, Any]:
        self.transcript.append(typed)
        if len(self.transcript) == 2:
            return {"session": "s1", "text": CONFIRM, "ended": False, "error": None}
        self.prompts = [
            {"id": "p1", "wallet": "vodacom", "brand": "mpesa", "brand_name": "M-Pesa", "amount": "12500",
             "currency": "CDF", "text": ASKS, "at": "2026-03-10T08:00:00Z", "expires_at": "2026-03-10T08:02:00Z"}
        ]  # fmt: skip
        return {"session": "s1", "text": END, "ended": True, "error": None}

    def answer_prompt(self, answer: dict[str, Any]) -> str:
        if not answer.get("decline") and answer["pin"] != PIN:
            return "wrong_pin"
        self.prompts = []
        if answer.get("decline"):
            return "declined"
        self.balance, self.supply = "37500", "on"
        self.texts.append(
            {"id": len(self.texts) + 1, "at": "2026-03-10T08:01:00Z", "from": "MWOLO", "to": MARIE, "text": RECEIPT}
        )
        return "paid"


def menu(box: Box) -> Flask:
    """What an aggregator calls: the same three screens, as `CON` and `END`."""
    app = Flask(__name__, static_folder=None)

    @app.post("/ussd")
    def turn() -> Response:
        typed = request.form["text"]
        said = f"CON {HOME}" if typed == "" else f"CON {CONFIRM}" if typed == "1" else f"END {END}"
        box.transcript = [request.form["phoneNumber"], *typed.split("*")]
        return Response(said, content_type="text/plain; charset=utf-8")

    app.add_url_rule("/ussd/end", "end", lambda: "", methods=["POST"])
    return app


def stand_in(box: Box) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    api = "/sandbox/api"

    @app.after_request
    def policy(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = "default-src 'self'"
        return answer

    app.add_url_rule("/sandbox/", "page", lambda: send_from_directory(PAGE, "phone.html"))
    app.add_url_rule("/sandbox/static/<path:name>", "static", lambda name: send_from_directory(PAGE / "static", name))
    config = {"short_code": "*123#", "web": "http://127.0.0.1:1", "admin": "", "max_screen_septets": 160}
    reads = {
        "/config": lambda: config,
        "/phones": box.phones,
        "/prompts": lambda: box.prompts if request.args["phone"] == MARIE else [],
        "/sms": lambda: [
            text
            for text in box.texts
            if text["to"] == request.args["phone"] and text["id"] > int(request.args["after"])
        ],
        "/keypads": list,
        "/meters": lambda: [{"id": "M1", "supply": box.supply, "online": True}],
        "/meters/M1": lambda: {"id": "M1", "supply": box.supply, "version": 4, "online": True, "history": []},
        "/clock": lambda: {"business": "2026-03-10T08:00:00Z", "offset_s": 0, "idle": True},
        "/faults": lambda: {**box.faults, "known": {"vodacom": ["slow", "lost_answer"], "meters": ["drop"]}},
    }
    for path, read in reads.items():
        app.add_url_rule(api + path, f"get {path}", lambda read=read: jsonify(read()))

    @app.post(f"{api}/ussd/<phone>/<step>")
    def ussd(phone: str, step: str) -> Response:
        if step == "hangup":
            box.hung_up += 1
            return jsonify({})
        return jsonify(box.dial(request.json["code"]) if step == "dial" else box.reply(request.json["input"]))

    @app.post(f"{api}/prompts/<phone>")
    def prompt(phone: str) -> Response:
        return jsonify({"outcome": box.answer_prompt(request.json)})

    @app.post(f"{api}/faults")
    def fault() -> Response:
        asked = request.json
        box.faults = {} if asked.get("clear") else {asked["target"]: [asked]}
        return jsonify({})

    @app.post(f"{api}/clock")
    def clock() -> Response:
        box.clock_moves.append(request.json)
        box.answers_clock.wait(30)
        return jsonify({"business": "2026-03-11T08:00:00Z", "runs": ["sweep"], "idle": True})

    return app


class Server:
    """An application on a port it keeps, so that it can go away and come back."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server: BaseWSGIServer = make_server("127.0.0.1", self.port, self.app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sandbox/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    binary = chromium_binary()
    if binary is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary)
        exercised("Chromium", browser.version)
        yield browser
        browser.close()


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def server(box: Box) -> Iterator[Server]:
    running = Server(stand_in(box))
    yield running
    box.answers_clock.set()
    running.stop()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """The page, open and ready. It may ask nobody but its own server, and its policy may stop nothing."""
    with opened(browser, server) as page:
        yield page


@contextmanager
def opened(browser: Any, server: Server) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: "Content Security Policy" in line.text and complaints.append(line.text))
    page.goto(server.url)
    showing(screen(page), "idle")
    yield page
    page.close()
    base = server.url.removesuffix("sandbox/")
    assert [url for url in asked if not url.startswith(base)] == []
    assert [url for url in asked if PIN in url.removeprefix(base)] == [], "a PIN in an address"
    assert complaints == []


def screen(page: Any, phone: int = 0) -> Any:
    return page.locator(".screen").nth(phone)


def showing(screen: Any, kind: str) -> None:
    sync_api.expect(screen).to_have_attribute("data-kind", kind)


def noted(page: Any, event: str) -> None:
    """The outcome itself leaves the little screen after a while; the diary keeps it."""
    sync_api.expect(page.locator(f"#diary .{event}")).to_have_count(1)


def text_is(screen: Any, text: str) -> None:
    """Word for word, line breaks included."""
    sync_api.expect(screen.locator(".ussd-text")).to_have_text(text, use_inner_text=True)


def pay_up_to_prompt(page: Any) -> None:
    page.keyboard.press("Enter")
    text_is(screen(page), HOME)
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    text_is(screen(page), CONFIRM)
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    showing(screen(page), "prompt")


def test_dial_pay_receipt_light(page: Any, box: Box) -> None:
    marie = screen(page)
    sync_api.expect(page.locator("body")).to_have_attribute("data-supply", "off")
    page.locator("[data-press=green]").first.click()
    text_is(marie, HOME)
    page.locator("[data-press='1']").first.click()
    sync_api.expect(marie.locator(".entry")).to_have_text("1")
    marie.get_by_role("button", name="Envoyer").click()
    text_is(marie, CONFIRM)
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    showing(marie, "prompt")
    sync_api.expect(marie.locator(".prompt-text")).to_have_text(ASKS)
    page.keyboard.type(PIN)
    sync_api.expect(marie.locator(".entry")).to_have_text("••••")
    page.keyboard.press("Enter")
    noted(page, "did_paid")
    assert box.transcript == ["*123#", "1", "1"]
    sync_api.expect(page.locator("body")).to_have_attribute("data-supply", "on")
    sync_api.expect(page.locator("#purse")).to_contain_text("500 CDF")
    sync_api.expect(marie.locator(".notice")).to_contain_text("1 nouveau message")
    marie.get_by_role("button", name="Lire").click()
    sync_api.expect(marie.locator(".sms-text")).to_have_text(RECEIPT)


def test_the_story_on_the_box_itself(browser: Any, box: Box, tmp_path: Path) -> None:
    product = Server(menu(box))
    address = f"http://127.0.0.1:{product.port}"
    config = SandboxConfig(data_dir=tmp_path, ussd_url=f"{address}/ussd", ussd_end_url=f"{address}/ussd/end")
    app = create_app(config)
    inside = sandbox_of(app)
    with closing(inside):
        visitor = app.test_client()
        meter = {"id": "M1", "key": "00" * 16, "supply": "off", "version": 1}
        assert visitor.post("/sandbox/api/seed", json={"phones": box.phones(), "meters": [meter]}).status_code == 200
        server = Server(app)
        with opened(browser, server) as page:
            play_the_story(page, box, inside, visitor)
        server.stop()
    product.stop()


def test_the_operators_books(browser: Any, box: Box, tmp_path: Path) -> None:
    app = create_app(SandboxConfig(data_dir=tmp_path))
    inside = sandbox_of(app)
    with closing(inside):
        app.test_client().post("/sandbox/api/seed", json={"phones": box.phones()})
        inside.box.ledger.ask(Ask("airtel", "A1", PAUL, "airtel", 500_00, "CDF", "MWOLO"))
        inside.box.ledger.answer(PAUL, pin=box.phones()[1]["wallet_pin"])
        server = Server(app)
        with opened(browser, server) as page:
            look_into_the_books(page)
            sow_with_a_sentence(page)
        server.stop()
        assert [row["kind"] for row in inside.box.ledger.movements.of("airtel")] == ["payment", "reversal", "walk_in"]


def test_a_token_is_typed_on_the_meter(browser: Any, box: Box, tmp_path: Path) -> None:
    """The digits of the SMS, on a meter without a radio: light, once."""
    key, code = "dac86b1a29ab82edc5fbbc41ec9530f6", 516_959_010
    made = TOKEN_MAKERS["openpaygo_token"].add(Device(1, False, bytes.fromhex(key), code), 6)
    app = create_app(SandboxConfig(data_dir=tmp_path))
    with closing(sandbox_of(app)):
        keypad = {"id": "M1", "key": key, "starting_code": code, "account": "1042207315"}
        app.test_client().post("/sandbox/api/seed", json={"phones": box.phones(), "keypads": [keypad]})
        server = Server(app)
        with opened(browser, server) as page:
            sync_api.expect(page.locator("body")).to_have_attribute("data-supply", "off")
            # Among two hundred names, who has such a meter.
            groups = page.locator("optgroup").evaluate_all("all => all.map(one => [one.label, one.children.length])")
            assert ["Prépayés, compteur à clavier", 1] in groups
            for outcome in ("Accepté : +6 jours.", "Ce code a déjà servi."):
                page.locator("#keypad-token").fill(grouped(made.token))
                page.locator("#keypad button").click()
                sync_api.expect(page.locator("#keypad-said")).to_have_text(outcome)
            sync_api.expect(page.locator("body")).to_have_attribute("data-supply", "on")
            sync_api.expect(page.locator("#meter-line")).to_have_text("Compteur M1 · 6 jours")
            noted(page, "did_token")
        server.stop()


def look_into_the_books(page: Any) -> None:
    """The line of a payment; its money taken back; the report of the day; money that comes by itself."""
    page.locator("#ledgers summary").click()
    page.locator("#ledger-wallet").select_option("airtel")
    first = page.locator("#ledger li").first
    sync_api.expect(first).to_contain_text("payé")
    first.get_by_role("button", name="Reprendre").click()
    sync_api.expect(page.locator("#ledger .taken")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Télécharger le relevé").click()
    assert download.value.suggested_filename.startswith("airtel-")
    assert Path(download.value.path()).read_text().count("Reversal") == 1
    page.locator("#stray-amount").fill("700")
    page.locator("#stray-reference").fill("O123")
    page.locator("#stray-form button").click()
    sync_api.expect(page.locator("#ledger .walk_in")).to_contain_text("O123")


def sow_with_a_sentence(page: Any) -> None:
    """The chosen fault says what it does; every one that an operator plays has a name and a sentence."""
    page.locator("#faults summary").click()
    page.locator("#fault-target").select_option("orange")
    page.locator("#fault-name").select_option("lost_answer")
    sync_api.expect(page.locator("#fault-why")).to_contain_text("encaisse deux fois")
    mute = page.evaluate(
        """async () => {
          const { sentenceOf } = await import(new URL("static/fault_words.js", document.baseURI));
          const { known } = await (await fetch(new URL("api/faults", document.baseURI))).json();
          const faults = [...new Set(Object.values(known).flat())];
          return faults.filter((fault) => !sentenceOf("fr", fault) || !sentenceOf("en", fault));
        }"""
    )
    assert mute == []


def play_the_story(page: Any, box: Box, inside: Any, visitor: Any) -> None:
    """Dial, be asked for the PIN, pay, read the receipt."""
    marie = screen(page)
    sync_api.expect(page.locator("body")).to_have_attribute("data-supply", "off")
    page.keyboard.press("Enter")
    text_is(marie, HOME)
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    text_is(marie, CONFIRM)
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    text_is(marie, END)
    assert box.transcript == [MARIE, "1", "1"]
    inside.box.ledger.ask(Ask("vodacom", "A1", MARIE, "mpesa", 12_500_00, "CDF", "MWOLO"))
    showing(marie, "prompt")
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    noted(page, "did_paid")
    sync_api.expect(page.locator("#purse")).to_contain_text("37")
    text = {"username": "sandbox", "to": MARIE, "from": "MWOLO", "message": RECEIPT}
    sent = visitor.post("/africastalking/version1/messaging", data=text, headers={"apiKey": "sandbox-at-key"})
    assert sent.status_code == 201
    sync_api.expect(marie.locator(".notice")).to_be_visible()
    marie.get_by_role("button", name="Lire").click()
    sync_api.expect(marie.locator(".sms-text")).to_have_text(RECEIPT)


def test_wrong_pin_asks_again_and_decline_takes_nothing(page: Any, box: Box) -> None:
    pay_up_to_prompt(page)
    page.keyboard.type("0000")
    page.keyboard.press("Enter")
    sync_api.expect(screen(page).locator(".prompt-said")).to_be_visible()
    sync_api.expect(screen(page).locator(".entry")).to_have_text("")
    screen(page).get_by_role("button", name="Refuser").click()
    noted(page, "did_decline")
    assert (box.prompts, box.balance) == ([], "50000")


def test_a_prompt_that_expires_leaves_the_screen(page: Any, box: Box) -> None:
    pay_up_to_prompt(page)
    box.prompts = []
    noted(page, "did_fail")
    showing(screen(page), "idle")


def test_phones_are_worlds_of_their_own(page: Any, box: Box) -> None:
    page.keyboard.press("Enter")
    text_is(screen(page), HOME)
    showing(screen(page, 1), "idle")
    page.locator(".handset").nth(1).focus()
    page.keyboard.type("*999#")
    page.keyboard.press("Enter")
    showing(screen(page, 1), "network")
    sync_api.expect(screen(page, 1).locator(".network-text")).to_have_text("Code inconnu du réseau.")
    text_is(screen(page), HOME)
    sync_api.expect(page.locator("#home-title")).to_have_text("Chez Paul Ilunga")
    page.locator(".remove").first.click()
    sync_api.expect(page.locator(".handset")).to_have_count(1)
    wait_until(lambda: box.hung_up == 1, what="the phone that was taken away hangs up")


def test_the_server_may_go_and_come_back(page: Any, server: Server) -> None:
    server.stop()
    sync_api.expect(page.locator("#no-network")).to_be_visible()
    page.keyboard.press("Enter")
    showing(screen(page), "network")
    page.keyboard.press("Enter")
    server.start()
    sync_api.expect(page.locator("#no-network")).to_be_hidden()
    page.keyboard.press("Enter")
    text_is(screen(page), HOME)


def test_clock_is_busy_until_the_system_is_idle(page: Any, box: Box) -> None:
    button = page.get_by_role("button", name="demain 09:00")
    button.click()
    sync_api.expect(button).to_be_disabled()
    sync_api.expect(page.locator("#clock-said")).to_contain_text("Le temps passe")
    box.answers_clock.set()
    sync_api.expect(button).to_be_enabled()
    assert box.clock_moves == [{"to": "2026-03-11T08:00:00.000Z"}]


def test_faults_are_sown_and_mended(page: Any, box: Box) -> None:
    page.locator("#faults summary").click()
    page.get_by_label("Chez qui").select_option("vodacom")
    page.get_by_label("Quelle panne").select_option("lost_answer")
    page.get_by_role("button", name="Semer", exact=True).click()
    sync_api.expect(page.locator("#fault-list li b")).to_have_text("Vodacom M-Pesa")
    assert [(row["fault"], row["times"]) for row in box.faults["vodacom"]] == [("lost_answer", 1)]
    page.get_by_role("button", name="Tout réparer", exact=True).click()
    sync_api.expect(page.locator("#fault-list .empty")).to_be_visible()
    assert box.faults == {}


def test_narrow_and_in_english(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="EN", exact=True).click()
    sync_api.expect(page.locator(".hint").first).to_contain_text("Press the green key")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.documentElement.scrollWidth") == 360
