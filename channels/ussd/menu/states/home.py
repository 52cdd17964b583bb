"""The first screen: who, how much, until when; and where to go from here."""

from __future__ import annotations

from dataclasses import replace

from channels.ussd.menu.engine import WRONG_CHOICE, Again, Context, Go, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Name, Screen, line
from channels.ussd.menu.states.agent import to
from channels.ussd.menu.states.meter_words import is_keypad, left
from channels.ussd.menu.states.pay import confirmation
from channels.ussd.menu.states.words import account, short_name, under_way
from core.customers.model import ContractView
from core.i18n import N_, short_day
from core.kernel.clock import local_date

# Shortcuts: `*code*7#` and `*code*8*5000#`. Named, not positional: no home screen ever shows these digits.
BALANCE, PAY_AMOUNT = "7", "8"

_PAY = Choice("pay", line(N_("Pay")), "1")
_TOP_UP = Choice("pay", line(N_("Top up")), "1")
_OTHER = Choice("other", line(N_("Other account")), "2")
_RECEIPTS = Choice("receipts", line(N_("Receipts")), "3")
_METER = Choice("meter", line(N_("Meter")), "4")
_REPORT = Choice("report", line(N_("Report")), "5")
_MORE = Choice("more", line(N_("More choices")), "6")
_LANGUAGE = line(N_("Language"))
_AGENCIES = line(N_("Agencies"))
_HELP = line(N_("Help"))
_STRANGER = (
    Choice("other", line(N_("Pay for an account")), "1"),
    Choice("link", line(N_("Link my phone")), "2"),
    Choice("report", _REPORT.label, "3"),
    Choice("language", _LANGUAGE, "4"),
    Choice("agencies", _AGENCIES, "5"),
    Choice("help", _HELP, "6"),
)
_SALES = Choice("agent.sales", line(N_("Last sales")), "3")
# A sale is complete without its SMS; one that did not arrive is offered again on the next dial.
_UNPROVEN = replace(_SALES, label=line(N_("Sales: an SMS failed")))


def _trade(sales: Choice) -> tuple[Choice, ...]:
    return (
        Choice("agent.sell", line(N_("Sell")), "1"),
        Choice("agent.float", line(N_("Float, today")), "2"),
        sales,
        Choice("agent.buy", line(N_("Buy float")), "4"),
        Choice("agent.cash", line(N_("Hand over cash")), "5"),
        Choice("agent.more", _MORE.label, "6"),
    )


_AGENT, _AGENT_UNPROVEN = _trade(_SALES), _trade(_UNPROVEN)
_GOES = {
    "other": Go("other.account"),
    "receipts": Go("receipts"),
    "link": Go("link.account"),
    "language": Go("language"),
    "agencies": Go("agencies"),
    "help": Go("help"),
}


class Home(Plain):
    """Home of whoever dials: an agent's trade, the bill of one account, a choice of several, or a welcome."""

    key = "home"

    def show(self, ctx: Context) -> Screen:
        if ctx.snapshot.agent is not None:
            choices = _AGENT_UNPROVEN if ctx.snapshot.proof_failed else _AGENT
            return Screen((line(N_("Agent {name}"), name=Name(ctx.snapshot.agent.name)),), choices, back=False)
        return self.own(ctx)

    def own(self, ctx: Context) -> Screen:
        """What the caller sees as a customer."""
        contract = _contract(ctx)
        if contract is not None:
            return _bill(ctx, contract)
        if ctx.snapshot.contracts:
            return _several(ctx)
        return _stranger(ctx)

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = _contract(ctx)
        if said.choice == "resume" and ctx.resume is not None:
            return resumed(ctx)
        if said.choice in _GOES:
            return _GOES[said.choice]
        if said.choice is not None and said.choice.startswith("agent."):
            return Go("agent.more") if said.choice == "agent.more" else to(ctx, said.choice)
        if said.choice in ("meter", "report", "more"):
            return Go(said.choice, {"c": contract.id} if contract is not None else {})
        if said.choice is not None and said.choice.startswith("c:"):
            return Go("home.account", {"c": int(said.choice[2:])})
        if said.text == _MORE.key and contract is None and ctx.snapshot.requests:
            # "Dial, then 6 and 1" says the SMS about a request: that holds for a holder of several accounts, too.
            return Go("more", {"c": ctx.snapshot.requests[0].contract_id})
        if said.text == BALANCE:
            return Go("balance")
        if said.text == PAY_AMOUNT:
            if not ctx.snapshot.contracts:
                return Go("other.account")
            return Go("pay.amount", {"c": contract.id} if contract else {})
        if said.choice == "pay" and contract is not None:
            return pay(contract)
        return Again(line(WRONG_CHOICE))


class Own(Home):
    """An agent's home as a customer like any other."""

    key = "home.own"

    def show(self, ctx: Context) -> Screen:
        return replace(self.own(replace(ctx, resume=None)), back=True)


class Account(Home):
    """The bill of one of several accounts, chosen on the home screen."""

    key = "home.account"

    def show(self, ctx: Context) -> Screen:
        return _bill(ctx, ctx.contract, back=True)


class More(Plain):
    """What is wanted less often than money. `c`: the account it was asked from."""

    key = "more"

    def show(self, ctx: Context) -> Screen:
        choices = (Choice("links", line(N_("Phones"))), Choice("language", _LANGUAGE), Choice("agencies", _AGENCIES))
        title = line(N_("Account {account}"), account=account(ctx.contract))
        return Screen((title,), (*choices, Choice("help", _HELP)))

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice == "links":
            return Go("links", {"c": ctx.contract.id})
        return _GOES.get(said.choice or "", Again(line(WRONG_CHOICE)))


class Balance(Plain):
    """`*code*7#`: what is owed, and the session is over."""

    key = "balance"

    def show(self, ctx: Context) -> Screen:
        contracts = ctx.snapshot.contracts
        if not contracts:
            return Screen((line(_NOT_LINKED), line(_LINK_IT, code=ctx.service_code)), ended=True)
        if len(contracts) == 1:
            return Screen((owed(contracts[0], ctx), *under_way(ctx, contracts[0])), ended=True)
        return Screen(tuple(_of_several(c) for c in contracts))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


def pay(contract: ContractView) -> Step:
    """Where "pay" leads: to what is due, or to an amount where nothing is."""
    return Go("pay.menu" if contract.invoices else "pay.amount", {"c": contract.id})


def resumed(ctx: Context) -> Step:
    """Back to the confirmation that a lost session stood at. What is due is looked up again."""
    resume = ctx.resume
    assert resume is not None
    contract = ctx.snapshot.contract(resume.contract_id)
    if contract is None:
        return Again(line(WRONG_CHOICE))
    params = {"c": contract.id, **({"account": resume.account} if resume.account else {})}
    if resume.what == "all" and contract.invoices:
        return confirmation(ctx, {**params, "what": "all", "minor": contract.due.rounded_up().minor})
    if resume.what == "invoice":
        for invoice in contract.invoices:
            if invoice.id == resume.invoice_id:
                minor = invoice.due.rounded_up().minor
                return confirmation(ctx, {**params, "what": "invoice", "invoice": invoice.id, "minor": minor})
    if resume.what == "amount" and resume.currency == contract.currency:
        return confirmation(ctx, {**params, "what": "amount", "minor": resume.minor})
    return pay(contract)


def owed(contract: ContractView, ctx: Context) -> Line:
    """The sentence about the bill: amount, and the next date that matters."""
    name = short_name(contract.name)
    if not contract.invoices:
        if is_keypad(contract):
            return line(N_("{name}: {left}"), name=name, left=left(contract, ctx.snapshot.at))
        if contract.has_credit and contract.credit is not None:
            return line(N_("{name}: nothing due. Credit {amount}."), name=name, amount=contract.credit.text)
        if contract.kind == "prepaid" and contract.credit is not None:
            # Used up, or the small emergency amount is being used: thanks would be the wrong word.
            return line(N_("{name}: credit {amount}. Top up."), name=name, amount=contract.credit.text)
        return line(N_("{name}: nothing due. Thank you."), name=name)
    amount = contract.due.text
    if contract.supply == "off":
        return line(N_("{name}: {amount} due. Supply is off until you pay."), name=name, amount=amount)
    if contract.cut_on is None:
        return line(N_("{name}: {amount} due."), name=name, amount=amount)
    if contract.cut_on <= local_date(ctx.snapshot.at, contract.time_zone):
        return line(N_("{name}: {amount} overdue. Supply may be cut now."), name=name, amount=amount)
    day = short_day(contract.cut_on)
    return line(N_("{name}: {amount} due. Pay before {date} or supply is cut."), name=name, amount=amount, date=day)


_NOT_LINKED = N_("Welcome. This number is not linked to an account.")
_LINK_IT = N_("To link it dial {code}, then 2.")
_CONFIRM_LINK = N_("Welcome. Confirm this number at your agency to see your bill.")


def _contract(ctx: Context) -> ContractView | None:
    if "c" in ctx.params:
        return ctx.contract
    return ctx.snapshot.contracts[0] if len(ctx.snapshot.contracts) == 1 else None


def _bill(ctx: Context, contract: ContractView, *, back: bool = False) -> Screen:
    first = _TOP_UP if contract.kind == "prepaid" else _PAY
    choices = (first, _OTHER, _RECEIPTS, _METER, _REPORT, _MORE)
    return Screen(
        (owed(contract, ctx), *under_way(ctx, contract)),
        choices if back else (*_resume(ctx), *choices),
        back=back,
        warned_contract=contract.id if contract.invoices else None,
    )


def _several(ctx: Context) -> Screen:
    accounts = tuple(Choice(f"c:{c.id}", _of_several(c)) for c in ctx.snapshot.contracts)
    return Screen((line(N_("Which account?")), *under_way(ctx, None)), (*_resume(ctx), *accounts), back=False)


def _of_several(contract: ContractView) -> Line:
    if not contract.invoices:
        return line(N_("{account}: nothing due"), account=account(contract))
    return line(N_("{account}: {amount}"), account=account(contract), amount=contract.due.text)


def _stranger(ctx: Context) -> Screen:
    welcome = line(_CONFIRM_LINK if ctx.snapshot.is_linked else _NOT_LINKED)
    return Screen((welcome, *under_way(ctx, None)), (*_resume(ctx), *_STRANGER), back=False)


def _resume(ctx: Context) -> tuple[Choice, ...]:
    """The way back to a confirmation that a lost session stood at: the key that leads back everywhere else."""
    resume = ctx.resume
    if resume is None or ctx.snapshot.contract(resume.contract_id) is None or under_way(ctx, None):
        return ()
    return (Choice("resume", line(N_("Go on: pay {amount}"), amount=resume.amount.text), "0"),)


HOME_STATES = (Home(), Own(), Account(), More(), Balance())
