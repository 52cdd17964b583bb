"""Each kind of file: what its lines need of the database, and how they are written. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from sqlalchemy.orm import Session

from core.customers import links
from core.customers.tables import ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.i18n import N_
from core.imports import queries
from core.imports.model import BalanceLine, ContractLine, CustomerLine, Kind, Line, MeterLine, Named, Problem
from core.imports.tables import OldReferenceRow
from core.kernel.clock import Clock, local_date
from core.services.imports.opening import take_over

Keys = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines come from: which file, by whom."""

    import_id: int
    by: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A line that can be written. `keys`: (column, value) that no other line may have; `facts`: what was found."""

    line: Line
    facts: Any = None
    keys: Keys = ()


@dataclass
class Resolved:
    """A chunk after a look at the database. `keys` of lines that have problems count all the same."""

    ready: list[Ready] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, line: Line, column: str, value: str, text: str, **blanks: str) -> None:
        self.problems.append(Problem(line.number, column, value, text, tuple(blanks.items())))


class Taker(Protocol):
    """One kind of file."""

    def keys(self, line: Any) -> Keys:
        """What no other line of the file may say."""
        ...

    def resolve(self, session: Session, lines: Sequence[Any], *, lock: bool) -> Resolved:
        """What the lines name, looked up. `lock`: it is about to be written."""
        ...

    def write(self, session: Session, ready: Sequence[Ready], origin: Origin) -> None: ...


class Customers:
    """A customer, her phones, and what the old system calls her."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def keys(self, line: CustomerLine) -> Keys:
        return (("reference", line.reference),)

    def resolve(self, session: Session, lines: Sequence[CustomerLine], *, lock: bool) -> Resolved:
        there, found = queries.subjects(session, "customer", [line.reference for line in lines]), Resolved()
        for line in lines:
            if line.reference in there:
                found.wrong(line, "reference", line.reference, N_("A customer with this reference is there already."))
            else:
                found.ready.append(Ready(line))
        return found

    def write(self, session: Session, ready: Sequence[Ready], origin: Origin) -> None:
        now = self._clock.now()
        made: list[tuple[CustomerLine, CustomerRow]] = []
        for one in ready:
            line: CustomerLine = one.line  # type: ignore[assignment]
            row = CustomerRow(
                name=line.name, kind=line.kind, language=line.language, email=line.email, created_at=now
            )  # fmt: skip
            made.append((line, row))
        session.add_all(row for _, row in made)
        session.flush()
        for line, row in made:
            session.add(_reference("customer", line.reference, row.id, origin))
            for phone in line.phones:
                session.add(
                    PhoneLinkRow(
                        phone=phone,
                        customer_id=row.id,
                        role=links.HOLDER,
                        confirmed_at=now if line.confirmed else None,
                        fresh_until=now + links.SILENCE if line.confirmed else None,
                        created_at=now,
                    )
                )
        session.flush()


@dataclass(frozen=True, slots=True)
class _Place:
    customer_id: int
    agency: queries.Agency
    tariff_id: int | None


class Contracts:
    """A contract and its place. It has no meter yet: that comes with the file of meters."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def keys(self, line: ContractLine) -> Keys:
        named = (("account", line.named.account), ("reference", line.named.reference))
        return tuple((column, value) for column, value in named if value)

    def resolve(self, session: Session, lines: Sequence[ContractLine], *, lock: bool) -> Resolved:
        found = Resolved()
        customers = queries.subjects(session, "customer", [line.customer for line in lines])
        ours = queries.customers_there(session, {line.customer_id for line in lines if line.customer_id is not None})
        accounts = queries.accounts_taken(session, {line.named.account for line in lines if line.named.account})
        references = queries.subjects(session, "contract", [line.named.reference for line in lines])
        agencies = queries.agencies(session, {line.agency for line in lines})
        tariffs = queries.tariffs(session, {line.tariff for line in lines if line.tariff})
        for line in lines:
            before = len(found.problems)
            customer_id = customers.get(line.customer) if line.customer else line.customer_id
            if customer_id is None or (not line.customer and customer_id not in ours):
                column, value = ("customer", line.customer) if line.customer else ("customer_id", str(line.customer_id))
                found.wrong(line, column, value, N_("There is no such customer. Import the customers first."))
            if line.named.account in accounts:
                found.wrong(line, "account", line.named.account, N_("This account number is taken already."))
            if line.named.reference in references:
                found.wrong(
                    line, "reference", line.named.reference, N_("A contract with this reference is there already.")
                )
            agency = agencies.get(line.agency)
            if agency is None:
                found.wrong(line, "agency", line.agency, N_("There is no agency with this code."))
            tariff_id = _tariff(found, line, tariffs.get(line.tariff, []))
            if len(found.problems) == before and agency is not None and customer_id is not None:
                found.ready.append(Ready(line, _Place(customer_id, agency, tariff_id)))
        return found

    def write(self, session: Session, ready: Sequence[Ready], origin: Origin) -> None:
        now = self._clock.now()
        lines: list[tuple[ContractLine, _Place]] = [(one.line, one.facts) for one in ready]  # type: ignore[misc]
        fresh = iter(queries.fresh_accounts(session, sum(not line.named.account for line, _ in lines)))
        sites = [_site(line, place) for line, place in lines]
        session.add_all(sites)
        session.flush()
        made = [
            ContractRow(
                account_number=line.named.account or next(fresh),
                customer_id=place.customer_id,
                site_id=site.id,
                kind=line.kind,
                currency=line.currency,
                tariff_id=place.tariff_id,
                opened_on=line.opened_on or local_date(now, site.time_zone),
            )
            for (line, place), site in zip(lines, sites, strict=True)
        ]
        session.add_all(made)
        session.flush()
        for (line, _), row in zip(lines, made, strict=True):
            if line.named.reference:
                session.add(_reference("contract", line.named.reference, row.id, origin))
        session.flush()


def _site(line: ContractLine, place: _Place) -> SiteRow:
    return SiteRow(
        agency_id=place.agency.id,
        address=line.address,
        commune=line.commune,
        city=line.city or place.agency.city,
        time_zone=line.time_zone or place.agency.zone,
        protected=line.protected,
    )


def _tariff(found: Resolved, line: ContractLine, versions: Sequence[queries.Tariff]) -> int | None:
    """The newest version of the tariff that a line names. A contract names any version of its code."""
    if not line.tariff:
        return None
    fits = [one for one in versions if (one.kind, one.currency) == (line.kind, line.currency)]
    if fits:
        return fits[0].id
    if versions:
        sentence = N_("This tariff is for {kind} contracts in {currency}.")
        found.wrong(line, "tariff", line.tariff, sentence, kind=versions[0].kind, currency=versions[0].currency)
    else:
        found.wrong(line, "tariff", line.tariff, N_("There is no such tariff."))
    return None


class Meters:
    """A meter at the place of its contract."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def keys(self, line: MeterLine) -> Keys:
        return (("meter", line.meter),)

    def resolve(self, session: Session, lines: Sequence[MeterLine], *, lock: bool) -> Resolved:
        found = Resolved()
        known = queries.contracts(session, {line.named for line in lines}, lock=lock)
        taken = queries.meters_taken(session, {line.meter for line in lines})
        for line in lines:
            before = len(found.problems)
            if line.meter in taken:
                found.wrong(line, "meter", line.meter, N_("A meter with this number is there already."))
            contract = _contract(found, line, known)
            if contract is not None and contract.meter_id is not None:
                sentence = N_("This contract has the meter {meter} already.")
                found.wrong(line, _column(line.named), line.named.text, sentence, meter=contract.meter_id)
            if contract is not None and len(found.problems) == before:
                found.ready.append(Ready(line, contract, _one_each(line.named, contract)))
        return found

    def write(self, session: Session, ready: Sequence[Ready], origin: Origin) -> None:
        lines: list[tuple[MeterLine, queries.Contract]] = [(one.line, one.facts) for one in ready]  # type: ignore[misc]
        for line, contract in lines:
            session.add(
                MeterRow(
                    id=line.meter,
                    site_id=contract.site_id,
                    control_kind=line.control_kind,
                    installed_on=line.installed_on or contract.opened_on,
                )
            )
        session.flush()
        for line, contract in lines:
            session.get_one(ContractRow, contract.id).meter_id = line.meter
        session.flush()


class Balances:
    """What was owed, as an invoice of its own kind; what was in credit, as credit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def keys(self, line: BalanceLine) -> Keys:
        return ()

    def resolve(self, session: Session, lines: Sequence[BalanceLine], *, lock: bool) -> Resolved:
        found = Resolved()
        known = queries.contracts(session, {line.named for line in lines}, lock=lock)
        booked = queries.opened(session, {contract.id for contract in known.values()})
        for line in lines:
            before = len(found.problems)
            contract = _contract(found, line, known)
            if contract is None:
                continue
            if contract.currency != line.amount.currency:
                sentence = N_("This contract is in {currency}.")
                found.wrong(line, "currency", line.amount.currency, sentence, currency=contract.currency)
            if contract.id in booked:
                sentence = N_("The opening balance of this contract is in the books already.")
                found.wrong(line, _column(line.named), line.named.text, sentence)
            if len(found.problems) == before:
                found.ready.append(Ready(line, contract, _one_each(line.named, contract)))
        return found

    def write(self, session: Session, ready: Sequence[Ready], origin: Origin) -> None:
        for one in sorted(ready, key=lambda each: int(each.facts.id)):
            line: BalanceLine = one.line  # type: ignore[assignment]
            today = local_date(self._clock.now(), one.facts.zone)
            take_over(
                session,
                one.facts.id,
                line.amount,
                as_of=_not_after(line.as_of, today),
                key=queries.opening_key(one.facts.id),
                by=origin.by,
                memo=f"import {origin.import_id}, line {line.number}",
                clock=self._clock,
            )


def _not_after(as_of: date | None, today: date) -> date:
    return min(as_of or today, today)


def _contract(found: Resolved, line: MeterLine | BalanceLine, known: dict[Named, queries.Contract]) -> Any:
    contract = known.get(line.named)
    if contract is None:
        found.wrong(line, _column(line.named), line.named.text, N_("There is no such contract."))
    elif contract.state != "active":
        found.wrong(line, _column(line.named), line.named.text, N_("This contract is closed."))
        return None
    return contract


def _column(named: Named) -> str:
    return "account" if named.account else "contract"


def _one_each(named: Named, contract: queries.Contract) -> Keys:
    """One line a contract, whichever of its names the lines use."""
    return ((_column(named), f"#{contract.id}"),)


def _reference(kind: str, reference: str, subject_id: int, origin: Origin) -> OldReferenceRow:
    return OldReferenceRow(kind=kind, reference=reference, subject_id=subject_id, import_id=origin.import_id)


TAKERS: dict[Kind, Callable[[Clock], Taker]] = {
    Kind.CUSTOMERS: Customers,
    Kind.CONTRACTS: Contracts,
    Kind.METERS: Meters,
    Kind.BALANCES: Balances,
}


def twice(seen: dict[str, int], line: Line, keys: Iterable[tuple[str, str]]) -> list[Problem]:
    """What another line above said already. `seen` remembers, over all chunks of a file."""
    problems = []
    for column, value in keys:
        # The account and the reference of a contract are told apart, #7 by either name is one contract.
        first = seen.setdefault(value if value.startswith("#") else f"{column}={value}", line.number)
        if first != line.number:
            shown = "" if value.startswith("#") else value
            text = N_("Line {n} says the same: each stands once in a file.")
            problems.append(Problem(line.number, column, shown, text, (("n", str(first)),)))
    return problems
