"""What people type, and what they mean by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.sms.command import Command
from channels.sms.keywords import _NEVER_MENDED, Heard, hear, one_slip
from channels.sms.vocabulary import ALWAYS, COMMANDS, VOCABULARY, language_of, vocabulary_of, word_in
from core.i18n import LANGUAGES
from core.kernel import gsm7
from core.kernel.digits import with_check
from core.notices.staging import render
from core.notices.texts import TEXTS

ACCOUNT = with_check("123456789")
GROUPED = f"{ACCOUNT[:3]} {ACCOUNT[3:6]} {ACCOUNT[6:9]} {ACCOUNT[9]}"
WRONG = ACCOUNT[:-1] + str((int(ACCOUNT[-1]) + 1) % 10)


def heard(body: str) -> Heard:
    return hear(body, VOCABULARY, always=ALWAYS)


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("SOLDE", "balance"),
        ("solde", "balance"),
        ("  Solde. ", "balance"),
        ("«Solde» ?", "balance"),
        ("S0LDE", "balance"),
        ("so1de", "balance"),
        ("S O L D E", "balance"),
        ("SOLED", "balance"),
        ("SLODE", "balance"),
        ("SOLD", "balance"),
        ("SOLLDE", "balance"),
        ("SOLDES", "balance"),
        ("Bonjour, mon solde svp", "balance"),
        ("solde de mon compte merci", "balance"),
        ("ｓｏｌｄｅ", "balance"),
        ("solde 😀🙏", "balance"),
        ("Balance", "balance"),
        ("DENI", "balance"),
        ("nyongo", "balance"),
        ("Mfuka", "balance"),
        ("dibanza", "balance"),
        ("reçu", "receipt"),
        ("REÇU", "receipt"),
        ("Rec\u0327u", "receipt"),
        ("receit", "receipt"),
        ("risiti", "receipt"),
        ("Aide", "help"),
        ("A1DE", "help"),
        ("HELP!!!", "help"),
        ("msaada", "help"),
        ("lisalisi", "help"),
        ("lusadisu", "help"),
        ("diambuluisha", "help"),
        ("Arrêt", "stop"),
        ("ARRÊT SVP", "stop"),
        ("STOP", "stop"),
        ("St0p", "stop"),
        ("stop, ne m'ecrivez plus jamais", "stop"),
        ("acha", "stop"),
        ("TIKA", "stop"),
        ("bika", "stop"),
        ("lekela", "stop"),
        ("Début", "start"),
        ("START", "start"),
        ("anza", "start"),
        ("CODE " + ACCOUNT, "verify"),
    ],
)
def test_a_keyword_is_known_however_it_is_typed(body: str, command: str) -> None:
    assert heard(body).command == command


@pytest.mark.parametrize(
    ("body", "cents", "account"),
    [
        ("PAYER 5000", 500_000, None),
        ("payer5000", 500_000, None),
        ("Payer 5 000 FC", 500_000, None),
        ("PAYER 5.000", 500_000, None),
        ("PAYER 5,000FC", 500_000, None),
        ("PAYER: 5000F", 500_000, None),
        ("payer fc5000", 500_000, None),
        ("PAYERFC5000", 500_000, None),
        ("PAYER 5O00", 500_000, None),
        ("payer l5000", 1_500_000, None),
        ("PAYER 05000", 500_000, None),
        ("PAYER 5 000,50", 500_050, None),
        ("PAYER 25.5", 2_550, None),
        ("PAYRE 5000", 500_000, None),
        ("paiment 5000 merci", 500_000, None),
        ("kofta 5000", 500_000, None),
        ("PAEYR5000", 500_000, None),
        ("PA YER 5000", 500_000, None),
        ("je veux payer 5000 svp", 500_000, None),
        ("PAY 5000", 500_000, None),
        ("lipa 5000", 500_000, None),
        ("kofuta 5000", 500_000, None),
        ("KUFUTA 5000", 500_000, None),
        ("PAYER ٥٠٠٠", 500_000, None),
        ("PAYER 1 250 000", 125_000_000, None),
        (f"PAYER 5000 {ACCOUNT}", 500_000, ACCOUNT),
        (f"PAYER 5000 {GROUPED}", 500_000, ACCOUNT),
        (f"PAYER 5 000 {GROUPED}", 500_000, ACCOUNT),
        (f"PAYER 5000FC{ACCOUNT}", None, None),
        (f"PAYER 5000*{ACCOUNT}", 500_000, ACCOUNT),
        (f"PAYER 5000 FC pour le compte n° {GROUPED}", 500_000, ACCOUNT),
        (f"PAYER {ACCOUNT} 5000", 500_000, ACCOUNT),
        (f"PAYER compte {GROUPED} montant 5000", 500_000, ACCOUNT),
        (f"PAYER5000{ACCOUNT}", 500_000, ACCOUNT),
        (f"PAYER 5000 {ACCOUNT.replace('1', 'l', 1)}", 500_000, ACCOUNT),
        (f"PAYER {ACCOUNT}", None, ACCOUNT),
        ("PAYER", None, None),
        ("PAYER TOUT", None, None),
        ("PAYER 0", None, None),
    ],
)
def test_an_amount_and_an_account(body: str, cents: int | None, account: str | None) -> None:
    found = heard(body)
    assert (found.cents, found.account) == (cents, account)


def test_currencies_are_kept() -> None:
    assert heard("PAYER 5000").currency is None
    assert heard("PAYER 5000 francs congolais").currency == "CDF"
    assert heard("PAYER 25 dollars").currency == "USD"
    assert heard("PAYER $25").currency == "USD"
    assert heard("PAYER 25USD").currency == "USD"


@pytest.mark.parametrize("body", ["PAYER 12 34 5", "PAYER 5000 3000", "PAYER 5000 ET 3000", "PAYER 1234567890123456"])
def test_digits_that_can_be_read_in_no_way_or_in_two_are_no_order(body: str) -> None:
    found = heard(body)
    assert (found.command, found.account) == ("pay", None)
    assert found.unclear or found.misread


def test_ten_digits_that_are_no_account_are_named() -> None:
    found = heard(f"PAYER 5000 {WRONG}")
    assert (found.account, found.misread, found.unclear) == (None, WRONG, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "   ",
        "😀😀",
        "?",
        "5000",
        ACCOUNT,
        "Solde incorrect, je conteste",
        "j'ai paye 5000 hier et rien recu",
        "Paye 5000 hier toujours pas de courant",
        "Aide moi mon compteur ne marche pas",
        "ne pas payer 5000",
        "no pay 5000",
        "kofuta 5000 te",
        "kufuta 5000 ve",
        "kufuta 5000 to",
        "PAIDE",  # one slip from PAIE and from AIDE
        "Payé 5000",
        "payee 5000",
        "PAYES 5000",
        "payed 5000",
        "PAID 5000",
        "Paid 5000 FC thank you",
        "Bonjour paye 5000 svp",
        "PAYE5000",
        "PA1D 5000",
        "P A Y E 5000",
        "PAIN 500",
        "PAIR 500",
        "LIPIWA 5000",
        "kulipwa 5000",
        "réglé 5000",
        "tufuta 5000",
        "PAYR 5000",
        "PY 5000",
        "coupure de courant a Lemba depuis hier",
        "umeme umekatika tangu jana",
        "MWOLO: votre facture",
        "x" * 2000,
        "SOLDE " + "merci " * 60,
    ],
)
def test_what_is_no_command_is_left_to_a_person(body: str) -> None:
    assert heard(body) == Heard("")


def test_stop_is_obeyed_and_what_else_was_said_is_kept() -> None:
    assert heard("stop vos messages sont faux").rest == ("VOS", "MESSAGES", "SONT", "FAUX")


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_nothing_that_can_be_typed_breaks_it(body: str) -> None:
    found = heard(body)
    assert found.command in {"", *COMMANDS}
    assert found.cents is None or 0 < found.cents < 10**11


def test_every_slip_of_every_word_is_that_word_or_none() -> None:
    """All of them, letter for letter: there are few enough."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for word, meaning in VOCABULARY.items():
        slips = {word[:i] + word[i + 1 :] for i in range(len(word))}
        slips |= {word[:i] + letter + word[i + 1 :] for i in range(len(word)) for letter in letters}
        slips |= {word[:i] + letter + word[i:] for i in range(len(word) + 1) for letter in letters}
        for slip in slips.difference(VOCABULARY):
            assert heard(slip).command in ("", meaning.command), (word, slip)


def test_words_that_are_no_slips_are_near_enough_to_be_taken_for_some() -> None:
    for word in _NEVER_MENDED:
        assert any(one_slip(word, pay) for pay in VOCABULARY if VOCABULARY[pay].command == "pay"), word


def test_slips() -> None:
    assert one_slip("SOLD", "SOLDE")
    assert one_slip("SOLLDE", "SOLDE")
    assert one_slip("SLODE", "SOLDE")
    assert one_slip("SALDE", "SOLDE")
    assert not one_slip("SOLDE", "SOLDE")
    assert not one_slip("LODES", "SOLDE")
    assert not one_slip("", "SOLDE")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_words_in_every_language(name: str) -> None:
    words = COMMANDS[name].words
    assert set(words) == set(LANGUAGES)
    for language in LANGUAGES:
        assert heard(word_in(language, name)).command == name
        assert all(gsm7.is_gsm7(word) and word.isascii() and word.isupper() for word in words[language])


def test_the_language_of_an_answer() -> None:
    said = {word: VOCABULARY[word].languages for word in VOCABULARY}
    assert language_of(said["BALANCE"], "fr") == "en"
    assert language_of(said["SALIO"], None) == "sw"
    # Bills say SOLDE in every language: whoever chose Lingala is answered in Lingala.
    assert language_of(said["SOLDE"], "ln") == "ln"
    assert language_of(said["SOLDE"], None) == "fr"
    assert language_of(said["KUFUTA"], "lua") == "lua"
    assert language_of(frozenset(), "sw") == "sw"


def test_two_commands_cannot_share_a_word() -> None:
    pay = COMMANDS["pay"]
    with pytest.raises(ValueError, match="PAYER is both"):
        vocabulary_of([pay, Command("other", {"fr": ("PAYER",)}, pay.answer)])


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_texts_sent_back_order_nothing(language: str) -> None:
    """A phone that forwards what it gets must not pay with it."""
    for text in TEXTS.values():
        assert heard(render(text, language, text.example)).command in ("", "help"), text.key


def test_the_page_lists_every_word() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "sms.md").read_text("utf-8")
    for name, command in COMMANDS.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        cells = [cell.replace("*", "").split() for cell in row.split("|")[2:-1]]
        assert cells == [list(command.words[language]) for language in LANGUAGES]
