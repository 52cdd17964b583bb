"""What somebody means by a text: the keyword, its amount and its account. Pure, and forgiving of thumbs.

Read whatever the case, the accents and the blanks: `solde`, `S O L D E`, `S0LDE SVP`, `reçu`, `Payer5000`,
`PAYER 5.000 FC`, `lipa 5O00 123 456 789 0`. One wrong, missing, doubled or swapped letter is mended where only one
command comes near. Whatever is left over makes it no command: "solde incorrect, je conteste" is for a person to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.kernel import gsm7
from core.kernel.digits import ACCOUNT_LENGTH, is_account_number
from core.notices.pasted import COVER

# Longer ones are letters to a person.
LONGEST_COMMAND = 160
# Nine digits of whole units: more is no amount, and ten digits are an account number.
_AMOUNT_DIGITS = 9
# A shorter word has too many neighbours: PAY is one letter away from half a dictionary.
_SHORTEST_MENDED = 4
# What moves money is mended more carefully: PAIN and PAIR are words too, one letter away from PAIE.
_SHORTEST_MENDED_OF = {"pay": 5}
# One slip away from an order to pay, and the opposite of one: "paid 5000", "lipiwa" and the like say that it was done,
# is done by others, or will be. For a person to read.
_PAID_ALREADY = (
    "PAYE PAYEE PAYES PAYED PAID PAYERA PAYENT PAYEUR REGLE REGLES REGLEE REGLERA LIPIWA LIPWA LIPIZA KULIPWA "
    "TULIPA ULIPA OFUTA TOFUTA KOFUTI KUFUTI KAFUTA TUFUTA BUFUTA MUFUTA WUFUTA UFUTA"
)
_NEVER_MENDED = frozenset(_PAID_ALREADY.split())
# "S O L D E", "PA YER".
_MOST_PIECES = 8

# Said around a command, in any of the languages; they change nothing. What denies is never among them: `no`, `pas`, and
# `te`, `ve` and `to`, which stand at the end in Lingala, Kikongo and Tshiluba.
_SAID_AROUND = (
    "BONJOUR BONSOIR SALUT HELLO HI HALLO MBOTE JAMBO HABARI MOYO KIESE SVP STP SIL VOUS PLAIT PLEASE MERCI "
    "THANKS THANK YOU ASANTE TAFADHALI MELESI MATONDO MATONDI TUASAKIDILA JE VEUX VOUDRAIS MON MA MES VOTRE "
    "NOTRE MY YOUR LE LA LES L DE DU DES D THE OF FOR POUR SUR A AU N NUM NUMERO NUMBER NAMBA NIMERO COMPTE "
    "ACCOUNT AKAUNTI KONTI KONTE YANGU NA YA KWA MPO KU KUA BUA SAMBU MONTANT AMOUNT SOMME TOUT TOUTE ALL YOTE "
    "NYONSO BIONSO YONSO PAR SMS ET AND OK"
)
_FILLERS = frozenset(_SAID_AROUND.split())
_CURRENCIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("FC", "F", "CDF", "FR", "FRS", "FRANC", "FRANCS", "CONGOLAIS", "FALANGA", "FARANGA", "FRANGA"), "CDF"
    ),
    **dict.fromkeys(("USD", "US", "DOLLAR", "DOLLARS", "DOLA", "DOLARE", "DOLLA"), "USD"),
    **dict.fromkeys(("KES", "KSH", "KSHS", "SHILLING", "SHILLINGS", "SHILINGI"), "KES"),
}
_DIGIT_LIKE = str.maketrans("OQIL", "0011")
_LETTER_LIKE = (str.maketrans("01", "OI"), str.maketrans("01", "OL"))
_NUMBER_MARKS = str.maketrans("°º№", "   ")
_PIECE = re.compile(r"[A-Z0-9]+")
_WITH_CURRENCY = re.compile(r"(FC|F|CDF|USD|US|KES|KSH)?([0-9][0-9OQIL]*|[OQIL]+[0-9][0-9OQIL]*)(\D+)?")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word stands for: the command, and the languages in which people say it so."""

    command: str
    languages: frozenset[str]


# Word, folded as `folded` does it → its meaning.
Vocabulary = Mapping[str, Meaning]


@dataclass(frozen=True, slots=True)
class Heard:
    """A text that was understood. `command` empty: it was not.

    `cents`: hundredths of the amount's unit, None when none was given. `account`: an account number whose check digit
    fits; `misread`: ten digits that are none. `unclear`: there are digits that nobody can place. `rest`: words that the
    command does not know; only commands that must be obeyed all the same have any.
    """

    command: str
    languages: frozenset[str] = frozenset()
    cents: int | None = None
    currency: str | None = None
    account: str | None = None
    misread: str | None = None
    unclear: bool = False
    rest: tuple[str, ...] = ()


NOTHING = Heard("")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Letters and digits in a row, and the mark before them (empty for blanks)."""

    text: str
    mark: str


@dataclass
class _Numbers:
    """The digits of a text in runs: a word between two pieces begins a new run."""

    runs: list[list[_Piece]] = field(default_factory=list)
    currency: str | None = None
    open: bool = False

    def add(self, digits: str, mark: str) -> None:
        if not self.open:
            self.runs.append([])
        self.runs[-1].append(_Piece(digits, mark))
        self.open = True


def folded(text: str) -> str:
    """Capitals without accents, in ASCII: other alphabets' digits as ours, what has no letter as a question mark."""
    # The mark of "n°" would become a letter: "no" means something else.
    wide = unicodedata.normalize("NFKC", text.translate(_NUMBER_MARKS))
    digits = "".join(str(int(c)) if c.isdecimal() else c for c in wide)
    return gsm7.ascii_only(digits).upper()


def hear(body: str, vocabulary: Vocabulary, *, always: frozenset[str] = frozenset()) -> Heard:
    """Read a text. `always`: commands that hold whatever else is said (nobody who writes "stop" wants to argue)."""
    plain = folded(body)
    pieces = list(_pieces(plain))
    first = next((i for i, piece in enumerate(pieces) if piece.text not in _FILLERS), len(pieces))
    found = _keyword(pieces[first:], vocabulary) or _keyword(pieces, vocabulary)
    if found is None:
        return NOTHING
    meaning, left = found
    numbers, rest = _sort(left)
    if meaning.command not in always and (rest or len(plain) > LONGEST_COMMAND):
        return NOTHING
    if numbers.currency is None and "$" in plain:
        numbers.currency = "USD"
    # What is covered may have been the amount: nobody pays the other number instead.
    cents, account, misread, unclear = _UNREADABLE if COVER in body else _read(numbers.runs)
    return Heard(meaning.command, meaning.languages, cents, numbers.currency, account, misread, unclear, tuple(rest))


def is_small_talk(body: str) -> bool:
    """Thanks and greetings, and nothing else: nobody needs to read them."""
    pieces = [piece.text for piece in _pieces(folded(body))]
    return bool(pieces) and all(piece in _FILLERS for piece in pieces)


def _pieces(plain: str) -> Iterator[_Piece]:
    end = 0
    for found in _PIECE.finditer(plain):
        yield _Piece(found[0], plain[end : found.start()].strip())
        end = found.end()


# -- the keyword -------------------------------------------------------------------------------------------------------


def _keyword(pieces: Sequence[_Piece], vocabulary: Vocabulary) -> tuple[Meaning, list[_Piece]] | None:
    """The command and the pieces after its word: exact before put together before glued to digits before mended."""
    if not pieces:
        return None
    head, tail = pieces[0].text, list(pieces[1:])
    for word in _spellings(head):
        if word in vocabulary:
            return vocabulary[word], tail
    joined = head
    for count, piece in enumerate(pieces[1:_MOST_PIECES], start=2):
        joined += piece.text
        if not joined.isalpha():
            break
        if joined in vocabulary:
            return vocabulary[joined], list(pieces[count:])
    glued = _unglued(head, vocabulary, mend=False)
    if glued is None:
        for word in _spellings(head):
            meaning = _nearest(word, vocabulary)
            if meaning is not None:
                return meaning, tail
        glued = _unglued(head, vocabulary, mend=True)
    return None if glued is None else (glued[0], [glued[1], *tail])


def _spellings(word: str) -> Iterator[str]:
    """The word, and with its noughts and ones as letters, if it is a word at all."""
    yield word
    if not word.isalpha() and sum(c.isalpha() for c in word) >= sum(c.isdigit() for c in word):
        for table in _LETTER_LIKE:
            yield word.translate(table)


def _unglued(head: str, vocabulary: Vocabulary, *, mend: bool) -> tuple[Meaning, _Piece] | None:
    """`PAYER5000` as PAYER and 5000; `PAYERFC5000` too."""
    for cut in range(len(head) - 1, 1, -1):
        word, number = head[:cut], head[cut:]
        if not word.isalpha() or not any(c.isdigit() for c in number) or not _WITH_CURRENCY.fullmatch(number):
            continue
        meaning = _nearest(word, vocabulary) if mend else vocabulary.get(word)
        if meaning is not None:
            return meaning, _Piece(number, "")
    return None


def _nearest(word: str, vocabulary: Vocabulary) -> Meaning | None:
    """What a mistyped word means: the words one slip away, if they all are one command."""
    if len(word) < _SHORTEST_MENDED - 1 or not word.isalpha() or word in _NEVER_MENDED:
        return None
    # The short words are not mended, but may have been meant.
    near = [w for w in vocabulary if one_slip(word, w)]
    commands = {vocabulary[w].command for w in near}
    if len(commands) != 1:
        return None
    [command] = commands
    shortest = _SHORTEST_MENDED_OF.get(command, 0)
    near = [w for w in near if len(w) >= _SHORTEST_MENDED and min(len(w), len(word)) >= shortest]
    return Meaning(command, frozenset().union(*(vocabulary[w].languages for w in near))) if near else None


def one_slip(typed: str, word: str) -> bool:
    """Whether one letter is wrong, missing, too many, or two neighbours are swapped."""
    if typed == word or abs(len(typed) - len(word)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(typed, word, strict=False)) if a != b), min(len(typed), len(word)))
    a, b = typed[same:], word[same:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (len(a) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:])
    return a[1:] == b if len(a) > len(b) else a == b[1:]


# -- its amount and account --------------------------------------------------------------------------------------------


def _sort(pieces: Sequence[_Piece]) -> tuple[_Numbers, list[str]]:
    """Digits in runs, the currency, and the words that are neither these nor said around a command."""
    numbers, rest = _Numbers(), []
    for piece in pieces:
        number = _WITH_CURRENCY.fullmatch(piece.text)
        if number is not None and (number[3] is None or number[3] in _CURRENCIES):
            before, digits, after = number[1], number[2].translate(_DIGIT_LIKE), number[3]
            if before:
                numbers.open = False
            numbers.add(digits, piece.mark)
            if before or after:
                numbers.currency = _CURRENCIES[after or before]
                numbers.open = not after
        elif piece.text in _CURRENCIES:
            numbers.currency, numbers.open = _CURRENCIES[piece.text], False
        elif piece.text in _FILLERS:
            numbers.open = False
        else:
            rest.append(piece.text)
            numbers.open = False
    return numbers, rest


Read = tuple[int | None, str | None, str | None, bool]
_UNREADABLE: Read = (None, None, None, True)


def _read(runs: Sequence[Sequence[_Piece]]) -> Read:
    """(cents, account, misread account, unclear) of the runs of digits, if there is exactly one way to read them."""
    if not runs:
        return None, None, None, False
    ways = list(_ways(runs))
    sound = {way for way in ways if way[1] is None or is_account_number(way[1])}
    if len(sound) == 1:
        cents, account = sound.pop()
        return cents, account, None, False
    if not sound and ways:
        cents, account = ways[0]
        return cents, None, account, False
    return _UNREADABLE


def _ways(runs: Sequence[Sequence[_Piece]]) -> Iterator[tuple[int | None, str | None]]:
    """(cents, ten digits) in every way the runs can be divided into an amount and an account number."""
    if len(runs) == 1:
        if (cents := _amount(runs[0])) is not None:
            yield cents, None
        if (account := _ten_digits(runs[0])) is not None:
            yield None, account
    for one, two in _halves(runs):
        for some, others in ((one, two), (two, one)):
            cents, account = _amount(some), _ten_digits(others)
            if cents is not None and account is not None:
                yield cents, account


def _halves(runs: Sequence[Sequence[_Piece]]) -> Iterator[tuple[Sequence[_Piece], Sequence[_Piece]]]:
    """Two runs are two numbers; one run may be, wherever it is cut: `PAYER50001234567890` too."""
    if len(runs) == 2:
        yield runs[0], runs[1]
    elif len(runs) == 1 and len(runs[0]) > 1:
        for cut in range(1, len(runs[0])):
            yield runs[0][:cut], runs[0][cut:]
    elif len(runs) == 1:
        digits = runs[0][0].text
        yield [_Piece(digits[:-ACCOUNT_LENGTH], "")], [_Piece(digits[-ACCOUNT_LENGTH:], "")]


def _amount(run: Sequence[_Piece]) -> int | None:
    """Hundredths: `5000`, `5 000`, `5.000`, `5,000.00`, `12,50`. None for what is no amount, or nothing."""
    groups = [piece.text for piece in run]
    cents = 0
    if len(groups) > 1 and run[-1].mark in (".", ",") and len(groups[-1]) <= 2:
        cents = int(groups.pop().ljust(2, "0"))
    whole = "".join(groups)
    in_threes = len(groups) == 1 or (len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:]))
    if not in_threes or not 1 <= len(whole) <= _AMOUNT_DIGITS or (len(groups) > 1 and whole[0] == "0"):
        return None
    return int(whole) * 100 + cents or None


def _ten_digits(run: Sequence[_Piece]) -> str | None:
    whole = "".join(piece.text for piece in run)
    return whole if len(whole) == ACCOUNT_LENGTH else None
