"""Step files: read, refused in plain words, played against a web application on a socket, repeated as a load."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

from core.db import Database
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from mwolo.cli import main
from mwolo.step_files import Story, WrongStepFile, parse, read
from mwolo.step_run import Place, Player, cast, load
from tests import town
from tests.channels.ussd.ussd_world import FakePayments, Site

STEPS = Path(__file__).parent / "steps"
# Agents have a town and a file of tests of their own.
FILES = sorted(path for path in STEPS.glob("*.yaml") if not path.name.startswith("agent_"))
CALLER, NEIGHBOUR = "+243815550001", "+243975550002"


@pytest.fixture
def url(db: Database, site: Site) -> Iterator[str]:
    """A town in which the people of the step files live, and its turns on a socket."""
    with db.begin() as session:
        town.agency(session)
        for name, phone, due in (("Marie Kabila", CALLER, 28_500), ("Jean Mukendi", NEIGHBOUR, 7_000)):
            home = town.home(session, name=name, phone=phone)
            bill = town.invoice(session, home.contract, total=Money.units(due, "CDF"), state="sent")
            bill.sent_on = date(2026, 3, 1)
            town.payment(session, home.contract, Money.units(due, "CDF"))
    with site.serving() as address:
        yield address


@pytest.mark.redis_server
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_story_goes_as_written(path: Path, url: str) -> None:
    story = read(path)
    played = Player(PartnerHttp("menu"), Place(url), story, story.people).play()
    assert played.wrong is None, played.wrong


@pytest.mark.redis_server
def test_what_a_story_begins_is_begun_once(url: str, payments: FakePayments) -> None:
    story = read(STEPS / "pay_all.yaml")
    Player(PartnerHttp("menu"), Place(url), story, story.people).play()
    (begun,) = payments.begun.values()
    assert (begun.amount, begun.payer_phone) == (Money.units(28_500, "CDF"), CALLER)


@pytest.mark.redis_server
def test_a_load_prints_rates_and_judges_no_speed(url: str) -> None:
    story = read(STEPS / "balance.yaml")
    rates = load(PartnerHttp("menu"), Place(url), story, [story.people], repeat=30, workers=4)
    assert (rates.stories, rates.wrong, rates.turns) == (30, (), 60)
    assert rates.median_s <= rates.p95_s <= rates.longest_s
    assert "60 turns in" in str(rates)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["menu", "run", *map(str, arguments)])


@pytest.mark.redis_server
def test_the_command_tells_the_story(url: str, tmp_path: Path) -> None:
    told = command(STEPS / "pay_all.yaml", STEPS / "balance.yaml", "--url", url)
    assert told.exit_code == 0, told.output
    assert told.output.count("as written") == 2
    assert "caller types 1" in told.output
    assert "1. Oui" in told.output
    assert url not in told.output, "the address holds a secret"
    repeated = command(STEPS / "balance.yaml", "--url", url, "--repeat", "5", "--workers", "2")
    assert "5 stories, 0 wrong; 10 turns" in repeated.output
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((STEPS / "balance.yaml").read_text("utf-8").replace("6. Autres choix", "6. Cake"), "utf-8")
    told = command(wrong, "--url", url)
    assert told.exit_code == 1
    assert "step 1, dial: '6. Cake' is missing" in told.output
    assert "6. Autres choix" in told.output
    assert command(wrong, "--url", url, "--repeat", "3").exit_code == 1


@pytest.mark.redis_server
def test_the_customers_of_a_demo_play_when_asked(url: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    customers = [
        {"phone": "+243815550044", "account": "1000000034", "language": "sw"},
        {"phone": NEIGHBOUR, "account": town.account_number(2), "language": "fr", "meter": None},
        {"phone": CALLER, "account": town.account_number(1), "language": "fr", "wallet_pin": "1234"},
    ]
    ready.write_text(json.dumps({"ussd": url, "sandbox": "http://127.0.0.1:1", "customers": customers}))
    told = command(STEPS / "pay_other_account.yaml", "--ready", ready)
    assert "Jean" in told.output, "the roles have changed: the neighbour leads, and sees her own name"
    assert command(STEPS / "balance.yaml", "--ready", ready).exit_code == 0
    lonely = command(STEPS / "pay_other_account.yaml", "--ready", ready, "--language", "sw")
    assert lonely.exit_code == 2
    assert "nobody there can play caller, neighbour" in lonely.output
    ready.write_text("{}")
    assert command(STEPS / "balance.yaml", "--ready", ready).exit_code == 2


@pytest.mark.redis_server
def test_only_who_fits_is_cast(url: str) -> None:
    """The role goes to whom the casting dial finds; a person plays one role at a time, a stranger stays one."""
    head = "casting: {caller: {dial: '*123*1#', expect: 7 000 FC}}\n"
    tale = parse(
        f"{head}story: A\npeople:\n  caller: {{phone: '+1', account: '2'}}\n  other: {{phone: '+3', account: '4'}}\n"
        "  stranger: '+243845550077'\nsteps: [{dial: '*123#'}]"
    )
    crowd = [{"phone": phone, "account": town.account_number(n)} for n, phone in ((1, CALLER), (2, NEIGHBOUR))]
    (roles,) = cast(PartnerHttp("menu"), Place(url), tale, crowd)
    assert [roles[role]["phone"] for role in roles] == [NEIGHBOUR, CALLER, "+243845550077"]
    with pytest.raises(WrongStepFile, match="nobody there can play"):
        cast(PartnerHttp("menu"), Place(url), tale, crowd[:1])
    assert cast(PartnerHttp("menu"), Place(url), tale, []) == [tale.people]


def test_an_address_is_needed_and_nobody_there_is_said() -> None:
    assert "--url or --ready" in command(STEPS / "balance.yaml").output
    told = command(STEPS / "balance.yaml", "--url", "http://127.0.0.1:9/ussd/africastalking/s")
    assert told.exit_code == 1
    assert "no_connection" in told.output


def story(steps: str, *, head: str = "") -> str:
    return f'story: A story\n{head}people: {{caller: "{CALLER}"}}\nsteps:\n{steps}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("story: [", "expected"),
        ("- a", "names and values"),
        ("story: A\npeople: {a: '+1'}\nsteps: []", "steps is empty"),
        ("story: A\nsteps: [{reply: 1}]", "people is empty"),
        ("story: A\npeople: {a: {account: 1}}\nsteps: [{reply: 1}]", "people, a: the phone is missing"),
        (story("- {reply: 1, dial: '*123#'}"), "step 1: one of dial, reply"),
        (story("- reply: 1\n  reply: 2"), "line 4: reply stands there twice"),
        (story("- {reply: 1, expects: x}"), "expects is not known"),
        (story("- {reply: 1, expect: {contain: x}}"), "step 1, expect: contain is not known"),
        (story("- {reply: 1, expect: {septets: few}}"), "few is no number"),
        (story("- {reply: 1, expect: {ended: maybe}}"), "ended is yes or no"),
        (story("- {dial: '*124#'}"), "*124# does not begin with *123"),
        (story("- {hang up: nobody}"), "nobody is called nobody"),
        (story("- {reply: [1, 2]}"), "reply takes one value"),
        (story("- {reply: 1}", head="colour: red\n"), "colour is not known"),
        (story("- {reply: 1}", head="casting: {other: {dial: '*123#'}}\n"), "casting: other is not known"),
    ],
)
def test_a_file_that_cannot_be_understood_says_where(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WrongStepFile) as error:
        parse(text)
    assert said in str(error.value)
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    told = command(path, "--url", "http://127.0.0.1:9/")
    assert told.exit_code == 2
    assert str(path) in told.output


def test_every_value_is_text() -> None:
    read_back = parse(story("- {dial: '*123*08#'}\n- {reply: 0123}\n- {reply: no, expect: {contains: [yes, 1_000]}}"))
    assert [step.value for step in read_back.steps] == ["*123*08#", "0123", "no"]
    assert read_back.steps[2].expect.contains == ("yes", "1_000")


@contextmanager
def box(answers: dict[str, str], texts: list[dict[str, object]], prompts: list[int]) -> Iterator[str]:
    """Turns that answer from a table, and a sandbox's two pages about PIN prompts and SMS."""
    app = Flask("box")

    @app.post("/ussd/<path:_end>")
    def turn(_end: str) -> str:
        if _end.endswith("/end"):
            return "" if request.form["status"] == "Incomplete" else "CON odd"
        return answers[request.form["text"]]

    @app.post("/sandbox/api/prompts/<phone>")
    def pin(phone: str) -> tuple[Response, int]:
        prompts.append(len(prompts))
        # The prompt comes a little later than it is looked for, and the text after it.
        if len(prompts) < 3:
            return jsonify(error="No PIN prompt is open on this phone."), 404
        texts.append({"id": 8, "to": phone, "text": "Recu 28 500 FC"})
        return jsonify(outcome="paid"), 200

    @app.get("/sandbox/api/sms")
    def sms() -> Response:
        assert request.args["phone"] == CALLER
        return jsonify([one for one in texts if int(str(one["id"])) > int(request.args["after"])])

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(address: str, tale: Story) -> str | None:
    place = Place(f"{address}/ussd/x", address)
    return Player(PartnerHttp("menu"), place, tale, tale.people).play().wrong


def test_a_pin_is_given_when_it_is_asked_for_and_the_text_waited_for() -> None:
    tale = parse(story("- {enter pin: 1234}\n- {wait for sms: {contains: 28 500 FC, septets: 160, within_s: 20}}"))
    old: dict[str, object] = {"id": 7, "to": CALLER, "text": "Recu 28 500 FC, long ago"}
    texts, prompts = [old], list[int]()
    with box({}, texts, prompts) as address:
        assert told(address, tale) is None
    assert len(prompts) == 3
    late = parse(story("- {wait for sms: {contains: 28 500 FC, within_s: 0}}"))
    with box({}, [old], []) as address:
        assert told(address, late) == "step 1, wait for sms: no such SMS within 0 s\n    none"
    assert "needs a sandbox" in str(
        Player(PartnerHttp("x"), Place("http://127.0.0.1:9"), late, late.people).play().wrong
    )


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- {dial: '*123#', expect: {contains: pay}}", "'pay' is missing"),
        ("- {dial: '*123#', expect: {lacks: Hello}}", "'Hello' should not be there"),
        ("- {dial: '*123#', expect: {equals: Hello you}}", "it should be 'Hello you'"),
        ("- {dial: '*123#', expect: {septets: 4}}", "5 septets, at most 4"),
        ("- {dial: '*123#', expect: {ended: yes}}", "the call should have ended"),
        ("- {dial: '*123*1#', expect: {ended: no}}", "the call should go on"),
        ("- {dial: '*123*1#'}\n- {reply: 1}", "step 2, reply: no call is open"),
        ("- {dial: '*123#'}\n- {hang up: caller}\n- {reply: 1}", "step 3, reply: no call is open"),
        ("- {dial: '*123*2#'}", "no screen came back: status 200"),
        ("- {reply: '{caller.account}'}", "nobody said what {caller.account} is"),
    ],
)
def test_what_is_not_as_written_is_said(steps: str, said: str) -> None:
    with box({"": "CON Hello", "1": "END Bye", "2": "Hello"}, [], []) as address:
        assert said in str(told(address, parse(story(steps))))


def test_another_answer_to_the_same_request_is_found() -> None:
    answers = {"": "CON Hello"}
    with box(answers, [], []) as address:
        tale = parse(story("- {dial: '*123#'}\n- {again: caller}"))
        assert told(address, tale) is None
        place = Place(f"{address}/ussd/x")
        player = Player(
            PartnerHttp("menu"), place, tale, tale.people, say=lambda _text: answers.update({"": "CON Bye"})
        )
        assert "the same request got another answer" in str(player.play().wrong)
