"""What we answer to a text somebody sent us. One kind a text: what is said is decided by whoever answers.

Answers go to people who opted out too: they asked. They are never repeated in doubt, because a second "your PIN will be
asked for" alarms; and they are capped, so that two machines cannot talk to each other all day.
"""

from __future__ import annotations

from datetime import timedelta

from core.i18n import N_
from core.notices.kinds import Kind, text_of

# An answer that comes later answers nobody.
_TTL = timedelta(hours=2)
# Of one kind, to one number, a day. Nobody asks for a balance thirty times; a machine that answers us does.
DAILY_CAP = 30

# Worst cases: the longest word in any language; three accounts, what is owed on each, and how many more there are.
_WORD = "KUFUTA"
_ORDER = "KUFUTA 123456789"
_DEBTS = ", ".join(["123 456 789 0: 123 456 789 FC"] * 3) + " +12"
_ACCOUNTS = ", ".join(["123 456 789 0"] * 3) + " +12"


def _answer(name: str, body: str, *, cap: int = DAILY_CAP) -> Kind:
    text = text_of(
        name,
        body,
        order=_ORDER,
        word=_WORD,
        debts=_DEBTS,
        accounts=_ACCOUNTS,
        name="N*** M***",
        currency="USD",
        balance="DIBANZA",
        receipt_word="RECEIPT",
        stop="LEKELA",
        start="TUADIJA",
        help="DIAMBULUISHA",
        case="123 456 7",
        last="789 0",
    )
    return Kind(name, (text,), priority=1, quiet=False, ttl=_TTL, daily_cap=cap, over_cap="never")


ANSWERS: tuple[Kind, ...] = (
    # -- balance
    _answer(
        "sms.balance.cut",
        N_("Account {account}: {due} to pay before {cut_date}, or supply may be cut. Send {order} or dial {code}."),
    ),
    _answer(
        "sms.balance.overdue",
        N_("Account {account}: {due} overdue, supply may be cut now. To pay, send {order} or dial {code}."),
    ),
    _answer(
        "sms.balance.off",
        N_("Account {account}: {due} to pay, supply is off until then. To pay, send {order} or dial {code}."),
    ),
    _answer("sms.balance.due", N_("Account {account}: {due} to pay. To pay, send {order} or dial {code}.")),
    _answer(
        "sms.balance.under_way",
        N_("Account {account}: {due} to pay. A payment of {amount} is under way: wait for its SMS, do not pay again."),
    ),
    _answer("sms.balance.credit", N_("Account {account}: nothing to pay. Paid in advance: {credit}.")),
    _answer("sms.balance.clear", N_("Account {account}: nothing to pay. Thank you.")),
    _answer("sms.balance.several", N_("To pay by account: {debts}. Dial {code}.")),
    _answer(
        "sms.not_linked",
        N_(
            "This number is not linked to an account. To link it, dial {code}. "
            "To pay for an account, send {word}, the amount and the account number."
        ),
    ),
    # -- pay
    _answer(
        "sms.pay.asked",
        N_(
            "{brand} will ask for your PIN: {amount} for account {account}. "
            "If you did not want this, refuse it. The receipt comes by SMS."
        ),
    ),
    _answer(
        "sms.pay.asked_for",
        N_(
            "{brand} will ask for your PIN: {amount} for account {account} of {name}. "
            "If this is wrong, refuse it. The receipt comes by SMS."
        ),
    ),
    _answer(
        "sms.pay.again",
        N_("Your order to pay {amount} for account {account} came twice. It counts once: one PIN, one payment."),
    ),
    _answer(
        "sms.pay.which",
        N_("You have several accounts: {accounts}. Send {word}, the amount and one of these numbers."),
    ),
    _answer(
        "sms.pay.how_due",
        N_("Account {account}: {due} to pay. To pay it with {brand} from this phone, send {order}."),
    ),
    _answer(
        "sms.pay.how_clear",
        N_("Account {account}: nothing to pay. To pay in advance, send {word} and the amount, or dial {code}."),
    ),
    _answer("sms.pay.how", N_("To pay, send {word}, the amount and the account number, or dial {code}.")),
    _answer(
        "sms.pay.under_way",
        N_("A payment for account {account} is already under way. Wait for its SMS, do not pay again."),
    ),
    _answer(
        "sms.pay.no_account",
        N_("There is no account {account}. Nothing was charged. Check the 10 digits and send your message again."),
    ),
    _answer("sms.pay.closed", N_("Account {account} is closed. Nothing was charged.")),
    _answer("sms.pay.amount", N_("{amount} cannot be paid this way. Nothing was charged. Send another amount.")),
    _answer(
        "sms.pay.currency",
        N_("Account {account} is kept in {currency}. Nothing was charged. Send {word} and the amount in {currency}."),
    ),
    _answer(
        "sms.pay.down",
        N_("{brand} is down now. Nothing was charged. Try again later, or dial {code} for another wallet."),
    ),
    _answer(
        "sms.pay.no_wallet",
        N_("No mobile money of ours goes with this number. Nothing was charged. Dial {code} to choose one."),
    ),
    _answer(
        "sms.pay.late",
        N_("Your order to pay reached us too late. Nothing was charged. Send it again if you still want to pay."),
    ),
    _answer(
        "sms.pay.enough",
        N_("Too many orders to pay by SMS today. Nothing was charged. To pay, dial {code}."),
    ),
    _answer(
        "sms.pay.unclear",
        N_("We could not read your order. Nothing was charged. Send {word}, the amount and the account number."),
    ),
    # -- receipt
    _answer(
        "sms.receipt",
        N_("{day}: {amount} received for account {account}. Receipt {receipt}, code {verification}."),
    ),
    _answer("sms.receipt.none", N_("There is no receipt for your account yet. For questions, dial {code}.")),
    # -- verify
    _answer(
        "sms.verify.real",
        N_("Code {verification} is real: {amount} received on {day}, receipt {receipt}, account ending in {last}."),
    ),
    _answer(
        "sms.verify.reversed",
        N_("Code {verification}: this payment of {amount} was taken back. Receipt {receipt} is not valid any more."),
    ),
    _answer("sms.verify.none", N_("We know no receipt with the code {verification}. Check its 10 digits.")),
    _answer("sms.verify.how", N_("To check a receipt, send CODE and the 10 digits of its code.")),
    # -- help, stop, start
    _answer(
        "sms.help",
        N_(
            "Send {balance} for your bill, {word} 5000 to pay, {receipt_word} for your receipt, "
            "{stop} for fewer messages. Or dial {code}."
        ),
    ),
    _answer(
        "sms.stop",
        N_(
            "Reminders and bills by SMS are stopped. Receipts and cut warnings still come. "
            "To have them again, send {start}."
        ),
    ),
    _answer("sms.start", N_("Reminders and bills come by SMS again. To stop them, send {stop}.")),
    # -- anything else: once a day, however much is written
    _answer(
        "sms.unknown.filed",
        N_("We have noted your message, case {case}. For your bill send {balance}, for help send {help}."),
        cap=1,
    ),
    _answer("sms.unknown", N_("We did not understand. For your bill send {balance}, for help send {help}."), cap=1),
    _answer(
        "sms.secret",
        N_("Never send a PIN or a code by SMS, not even to us. To pay, send {word} and the amount. Or dial {code}."),
        cap=3,
    ),
)
