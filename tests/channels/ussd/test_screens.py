"""What the screens promise: amounts whole, shortcuts free, nonsense leads nowhere. That all fit: test_menu_lint.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from channels.ussd import turns, views
from channels.ussd.menu.engine import HELP_AFTER, Again, Context, Gone, Pay, Place, Plain, Said
from channels.ussd.menu.fit import MORE, PREFIX_SEPTETS, Network, Page, fit, words
from channels.ussd.menu.journeys import ALL_STATES, menu
from channels.ussd.menu.screen import Line, Screen, line
from core.customers.model import Snapshot
from core.i18n import LANGUAGES
from core.kernel import gsm7
from tests.channels.ussd.worst_cases import NOW, PHONE, RESUME, SERVICE_CODE, attempt, contexts, contract

# Choices that may be refused with a word: what they stand for has changed.
MAY_LEAD_NOWHERE = ("resume", "all", "yes")
TEXTS = (turns.NOT_RECORDED, turns.BUSY, turns.NOT_YOURS, turns.OVER, views.WENT_WRONG)


def pages(screen: Screen, language: str, network: Network) -> Iterator[Page]:
    """All pages of a screen, as a customer would walk through them."""
    number, more = 0, True
    while more:
        page = fit(screen, language, network=network, page=number)
        yield page
        number, more = number + 1, MORE in page.keys.values()


def is_down(ctx: Context, brand: str) -> bool:
    return any(offer.brand == brand and offer.down for offer in ctx.offers["CDF"])


def shown(ctx: Context, state: Plain) -> Screen | None:
    try:
        return state.show(ctx)  # type: ignore[attr-defined]
    except Gone:
        return None


@pytest.mark.parametrize("language", LANGUAGES)
def test_amounts_stand_whole_on_every_confirmation_and_promise(language: str) -> None:
    confirm = menu().state("pay.confirm")
    for ctx in contexts("pay.confirm"):
        try:
            screen, step = confirm.show(ctx), confirm.answer(ctx, Said("yes", "1"))
        except Gone:
            continue
        page = fit(screen, language, network=Network())
        if "yes" in page.keys.values():
            asked = [blank for sentence in screen.lines for blank in sentence.blanks.values()]
            assert all(str(blank) in page.text for blank in asked if isinstance(blank, str) and blank.endswith("FC"))
            assert "888 888 " in page.text
        if isinstance(step, Pay):
            end = fit(step.end, language, network=Network())
            assert step.amount.text in end.text
            assert gsm7.septets(end.text) is not None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", TEXTS)
def test_what_the_door_itself_says_fits(text: str, language: str) -> None:
    said = words(line(text), language, Network())
    assert (gsm7.septets(said) or 999) + PREFIX_SEPTETS <= 160


@pytest.mark.parametrize("key", ["home", "home.account"])
def test_home_never_shows_the_digit_of_a_shortcut(key: str) -> None:
    """`*code*7#` and `*code*8*5000#` outlive every change of menu only if no screen gives 7 and 8 another meaning."""
    state = menu().state(key)
    for ctx in contexts(key):
        screen = shown(ctx, state)  # type: ignore[arg-type]
        if screen is not None:
            for page in pages(screen, "fr", Network()):
                assert not {"7", "8"} & page.keys.keys()


@pytest.mark.parametrize("state", ALL_STATES, ids=lambda s: s.key)
def test_nonsense_never_leads_on(state: Plain) -> None:
    """Nonsense gives the same screen with one line, and the longer help after three."""
    walk = menu()
    for ctx in contexts(state.key):
        if shown(ctx, state) is None:
            continue
        place: object = Place(state.key, ctx.params)
        for _ in range(HELP_AFTER):
            assert isinstance(place, Place)
            place = walk.answer(place, ctx, "abc!")
            assert isinstance(place, Place)
            assert place.key == state.key
            assert place.hint is not None
        assert isinstance(place, Place)
        assert place.hint == Line(state.help)


@pytest.mark.parametrize("state", ALL_STATES, ids=lambda s: s.key)
def test_only_guarded_states_pay(state: Plain) -> None:
    """Digits typed ahead stop before a guarded step: a state that can pay must be one."""
    for ctx in contexts(state.key):
        screen = shown(ctx, state)
        for choice in screen.choices if screen else ():
            step = state.answer(ctx, Said(choice.value, "1"))  # type: ignore[attr-defined]
            assert not isinstance(step, Pay) or state.guarded
            assert not isinstance(step, Again) or choice.value in MAY_LEAD_NOWHERE or is_down(ctx, choice.value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_payment_that_just_failed_is_spoken_of(language: str) -> None:
    """With an ordinary amount the reason is never left out."""
    bill = replace(contract(1, "CDF", invoices=1), name="Marie Kabila")
    for reason in ("limit_reached", "unreachable", "prompt_expired", None):
        failed = (attempt(1, 1, "failed", reason=reason),)
        caller = Snapshot(PHONE, NOW, "fr", True, None, (bill,), None, failed)
        params = {"c": 1, "what": "amount", "minor": 1_250_000, "brand": "mpesa", "payer": PHONE}
        screen = menu().state("pay.confirm").show(Context(caller, SERVICE_CODE, params))
        assert len(screen.lines) == 2
        assert fit(screen, language, network=Network()).text.count("\n") == 4


def test_a_number_is_the_same_on_every_page() -> None:
    """Texts say "dial, then 6 and 1": that must lead there though a line more has moved 6 to the second page."""
    walk = menu()
    bill = replace(contract(1, "CDF", invoices=1), name="Marie Kabila")
    ctx = Context(Snapshot(PHONE, NOW, "fr", True, None, (bill,)), SERVICE_CODE, resume=RESUME)
    place = walk.draw(Place("home"), ctx, "fr", Network()).place
    first = walk.draw(place, ctx, "fr", Network())
    assert "5. " not in first.page.text
    assert "6. " not in first.page.text
    for key, leads in (("5", "report"), ("6", "more"), ("1", "pay.menu")):
        step = walk.answer(place, ctx, key)
        assert isinstance(step, Place)
        assert step.key == leads
    second = walk.draw(replace(place, page=1), ctx, "fr", Network()).place
    for key, leads in (("1", "pay.menu"), ("0", "home")):
        step = walk.answer(second, ctx, key)
        assert isinstance(step, Place)
        assert (step.key, step.page) == (leads, 0)
