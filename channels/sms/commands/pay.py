"""`PAYER 5000`, `PAYER 5000 1234567890`: the sender's own wallet is asked for her PIN, and nothing moves without it.

Why a text is enough of an order: `docs/decisions/0015-an-sms-is-an-order.md`.
"""

from __future__ import annotations

from datetime import timedelta

from channels.sms.command import Asked, Command, Doors
from channels.sms.phrases import account, accounts, masked_name, order, running
from core.customers.model import ContractView
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.payments.model import BRAND_NAMES, BeginRefused, PaymentRequest
from core.phone_numbers import may_pay_in
from core.services.inbox import ORIGIN, Answer, Order

_NAME = "pay"
# A text may lie at an operator for hours. A PIN prompt that comes when nobody thinks of it any more is a fright.
LATE = timedelta(minutes=30)
# Sender numbers can be forged: so many prompts at most can be put on somebody's phone by SMS.
ORDERS_A_DAY = 10


def _answer(asked: Asked, doors: Doors) -> Answer:
    """Every way out that has no attempt behind it says that nothing was charged, or how to order."""
    begun = asked.message.order
    if begun is not None:
        return _begun(asked, begun)
    heard = asked.heard
    if heard.unclear:
        return _say("unclear", word=asked.word(_NAME))
    if heard.misread is not None:
        return _say("no_account", account=grouped(heard.misread))
    if heard.account is not None and _view(asked) is None:
        return _say("no_account", account=grouped(heard.account))
    if heard.cents is None:
        return _how(asked, doors)
    view = _view(asked)
    if view is None:
        if not asked.caller.contracts:
            return _say("how", word=asked.word(_NAME))
        return _say("which", accounts=accounts(asked.caller.contracts), word=asked.word(_NAME))
    return _order(asked, doors, view, heard.cents)


def _view(asked: Asked) -> ContractView | None:
    """The account that is paid for: anybody may pay for any that she can name."""
    other = asked.caller.other
    if asked.heard.account is not None and other is not None and other.account_number == asked.heard.account:
        return other
    return asked.one


def _how(asked: Asked, doors: Doors) -> Answer:
    """`PAYER` without an amount orders nothing: it says what is due, and the text that pays it."""
    view, word = asked.one, asked.word(_NAME)
    if view is None and asked.caller.contracts and asked.heard.account is None:
        return _say("which", accounts=accounts(asked.caller.contracts), word=word)
    if view is None:
        return _say("how", word=word)
    if running(asked, view) is not None:
        return _say("under_way", view, account=account(view))
    if not view.invoices:
        return _say("how_clear", view, account=account(view), word=word)
    brand = _brand(asked, doors, view.currency)
    if brand is None:
        return _say("how", view, word=word)
    blanks = {"account": account(view), "due": view.due.text, "order": order(asked, view)}
    return _say("how_due", view, brand=BRAND_NAMES[brand], **blanks)


def _order(asked: Asked, doors: Doors, view: ContractView, cents: int) -> Answer:
    message, currency = asked.message, view.currency
    if message.age > LATE:
        return _say("late", view)
    if message.orders_lately >= ORDERS_A_DAY:
        return _say("enough", view)
    if asked.heard.currency not in (None, currency):
        blanks = {"account": account(view), "currency": "FC" if currency == "CDF" else currency}
        return _say("currency", view, word=asked.word(_NAME), **blanks)
    amount = Money(cents, currency)
    if not amount.is_chargeable:
        return _say("amount", view, amount=amount.text)
    brand = _brand(asked, doors, currency)
    if brand is None:
        return _say("no_wallet", view)
    answer = doors.payments.begin(
        PaymentRequest(
            payer_phone=message.phone,
            asked_by_phone=message.phone,
            brand=brand,
            contract_id=view.id,
            amount=amount,
            language=asked.language,
            origin=ORIGIN,
            turn_key=message.order_key,
            end_text="",
        )
    )
    if isinstance(answer, BeginRefused):
        return _refused(answer, view, amount, brand)
    return _begun(asked, Order(amount, view.account_number, view.name, brand))


def _begun(asked: Asked, begun: Order) -> Answer:
    """What happens next. The same words from the attempt itself when this text is answered a second time."""
    own = next((v for v in asked.caller.contracts if v.account_number == begun.account), None)
    blanks = {"amount": begun.amount.text, "account": grouped(begun.account)}
    if asked.message.is_twin:
        return _say("again", own, **blanks)
    brand = BRAND_NAMES.get(begun.brand, begun.brand)
    if own is None:
        return _say("asked_for", brand=brand, name=masked_name(begun.name), **blanks)
    return _say("asked", own, brand=brand, **blanks)


def _refused(refused: BeginRefused, view: ContractView, amount: Money, brand: str) -> Answer:
    match refused.why:
        case "already_open":
            return _say("under_way", view, account=account(view))
        case "contract_closed":
            return _say("closed", view, account=account(view))
        case "amount_out_of_range":
            return _say("amount", view, amount=amount.text)
        case "wallet_down":
            return _say("down", view, brand=BRAND_NAMES[brand])
        case "no_wallet":
            return _say("no_wallet", view)
        case _:
            raise AssertionError(f"no answer to {refused.why}")


def _brand(asked: Asked, doors: Doors, currency: str) -> str | None:
    """The sender's own wallet: the one used last, else the one that goes with the number."""
    if not may_pay_in(asked.message.phone, currency):
        return None
    brands = {offer.brand for offer in doors.payments.offers(currency)}
    usual = (asked.caller.last_brand, doors.brand_of(asked.message.phone))
    return next((brand for brand in usual if brand in brands), None)


def _say(what: str, view: ContractView | None = None, /, **blanks: str) -> Answer:
    kind = f"sms.pay.{what}"
    # Somebody else's account: the text to a payer is no part of its customer's story.
    if view is None or not view.own:
        return Answer(kind, blanks, _NAME)
    return Answer(kind, blanks, _NAME, view.time_zone, view.id)


PAY = Command(
    _NAME,
    {
        "fr": ("PAYER", "PAYEZ", "PAIE", "PAIEMENT", "PAYEMENT", "REGLER"),
        "en": ("PAY", "PAYMENT"),
        "sw": ("LIPA", "KULIPA", "LIPIA", "MALIPO"),
        "ln": ("KOFUTA", "FUTA", "LIFUTI"),
        "kg": ("KUFUTA", "FUTA", "MFUTULU"),
        "lua": ("KUFUTA", "FUTA", "DIFUTA"),
    },
    _answer,
)
