"""Files from the first look to the last line, interrupted, repeated and out of date."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.csv_files import BadCsv, written
from core.customers.tables import ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.imports.errors import ImportRefused
from core.imports.model import Kind, State
from core.imports.tables import ImportPieceRow, ImportRow, OldReferenceRow
from core.kernel.clock import FixedClock
from core.kernel.digits import is_account_number
from core.outbox import Done, Leased, OutboxRow, Retry
from core.services import imports as service
from tests.core.imports.world import World
from tests.core.statements import statements_of
from workers.jobs.imports import handlers

ROOT = Path(__file__).resolve().parents[3]


def test_a_whole_utility_moves_in(any_world: World) -> None:
    w = any_world
    customers = w.bring(
        Kind.CUSTOMERS,
        "Référence;Nom;Type;Langue;Téléphone;Téléphone confirmé;E-mail\n"
        "c-1;Mbuyi Élodie;ménage;tshiluba;0815550001 / 0975550002;oui;e@x.cd\n"
        "c-2;Kalala SARL;entreprise;;;;\n".encode("cp1252"),
    )
    assert (customers.state, customers.made, customers.left_out) == (State.DONE, 2, 0)
    contracts = w.bring(
        Kind.CONTRACTS,
        "ref,client,compte,genre,devise,agence,adresse,commune,fuseau,protégé,ouvert le\n"
        "K-1,C-1,,Consommation,FC,kin,7 avenue Kasa-Vubu,Lemba,,,01/03/2021\n"
        "K-2,C-2,100 000 001 8,forfait,USD,KIN,8 avenue du Port,Gombe,est,école,\n",
    )
    assert contracts.made == 2, contracts.report.problems
    assert w.bring(Kind.METERS, "compteur\tcompte\tpose le\nmw-7\t1000000018\t28/02/2026\n").made == 1
    with w.db.read() as session:
        first, second = session.scalars(select(CustomerRow).order_by(CustomerRow.id)).all()
        phones = session.scalars(select(PhoneLinkRow).order_by(PhoneLinkRow.phone)).all()
        one, two = session.scalars(select(ContractRow).order_by(ContractRow.id)).all()
        place, meter = session.get_one(SiteRow, two.site_id), session.get_one(MeterRow, "MW-7")
        references = session.execute(select(OldReferenceRow.kind, OldReferenceRow.reference)).all()
    assert (first.name, first.kind, first.language, first.email) == ("Mbuyi Élodie", "household", "lua", "e@x.cd")
    assert (second.name, second.kind, second.language) == ("Kalala SARL", "business", "fr")
    assert [link.phone for link in phones] == ["+243815550001", "+243975550002"]
    assert all(link.confirmed_at == w.clock.now() and link.role == "holder" for link in phones)
    assert (one.customer_id, one.kind, one.currency, f"{one.opened_on}") == (
        first.id,
        "consumption",
        "CDF",
        "2021-03-01",
    )
    assert is_account_number(one.account_number)
    assert (two.account_number, two.meter_id, two.currency) == ("1000000018", "MW-7", "USD")
    assert (place.city, place.time_zone, place.protected) == ("Kinshasa", "Africa/Lubumbashi", "school")
    assert (meter.site_id, meter.control_kind, f"{meter.installed_on}") == (two.site_id, "manual", "2026-02-28")
    expected = [("contract", "K-1"), ("contract", "K-2"), ("customer", "C-1"), ("customer", "C-2")]
    assert sorted(map(tuple, references)) == expected
    assert [act for _, act, _ in w.acts[:3]] == ["import.checked", "import.started", "import.done"]


def test_nothing_of_a_file_with_one_bad_line_goes_in(any_world: World) -> None:
    w = any_world
    view = w.bring(Kind.CUSTOMERS, "reference,name,phone\nC-1,Mbuyi,\nC-2,,081\nC-1,Kalala,\n")
    assert (view.state, view.report.good, view.report.bad, view.made) == (State.BAD, 1, 2, 0)
    told = [(one.line, one.column, one.sentence) for one in view.report.problems]
    assert told == [
        (3, "phone", "081 is no phone number in use."),
        (3, "name", "It is empty."),
        (4, "reference", "Line 2 says the same: each stands once in a file."),
    ]
    with pytest.raises(ImportRefused, match="has bad lines"):
        w.imports.accept(view.id, by="finance2")
    with w.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == 0


def test_what_is_there_already_or_not_there_at_all(any_world: World) -> None:
    w = any_world
    w.homes(2)
    assert w.bring(Kind.METERS, "meter,contract\nMW01,K-0\n").made == 1
    with w.db.begin() as session:
        number = session.scalars(select(ContractRow.account_number).order_by(ContractRow.id)).first()
        session.scalars(select(ContractRow).order_by(ContractRow.id.desc())).first().state = "closed"  # type: ignore[union-attr]
    assert w.problems(Kind.CUSTOMERS, "reference,name\nc-0,Mbuyi\n") == [
        (2, "reference", "A customer with this reference is there already.")
    ]
    contracts = (
        "reference,account,customer,customer_id,kind,currency,agency,address,commune,tariff\n"
        f"K-0,{number},C-9,,flat,CDF,GOM,a,b,SOCIAL\nK-5,,,99,flat,CDF,KIN,a,b,\nK-6,,C-1,1,flat,CDF,KIN,a,b,\n"
    )
    assert w.problems(Kind.CONTRACTS, contracts) == [
        (2, "customer", "There is no such customer. Import the customers first."),
        (2, "account", "This account number is taken already."),
        (2, "reference", "A contract with this reference is there already."),
        (2, "agency", "There is no agency with this code."),
        (2, "tariff", "There is no such tariff."),
        (3, "customer_id", "There is no such customer. Import the customers first."),
        (4, "customer", "Say which customer: by her reference, or by our number of her."),
    ]
    meters = f"meter,account,contract\nMW01,{number},\nMW02,,K-0\nMW03,,K-1\nMW04,,K-9\n"
    assert [(line, column) for line, column, _ in w.problems(Kind.METERS, meters)] == [
        (2, "meter"),
        (2, "account"),
        (3, "contract"),
        (4, "contract"),
        (5, "contract"),
    ]


def test_one_contract_under_both_of_its_names_is_seen(world: World) -> None:
    world.homes(1)
    with world.db.read() as session:
        number = session.scalars(select(ContractRow.account_number)).one()
    told = world.problems(Kind.METERS, f"meter,account,contract\nMW01,{number},\nMW02,,K-0\n")
    assert told == [(3, "contract", "Line 2 says the same: each stands once in a file.")]


def test_the_same_file_twice_does_nothing(any_world: World) -> None:
    w = any_world
    text = "reference,name\nC-1,Mbuyi\n"
    first = w.imports.take(Kind.CUSTOMERS, r"C:\Users\j\clients.csv", text.encode(), by="finance")
    assert w.imports.take(Kind.CUSTOMERS, "again.csv", text.encode(), by="finance") == first, "looked at again"
    w.imports.accept(first, by="finance")
    with pytest.raises(ImportRefused, match="being imported"):
        w.imports.take(Kind.CUSTOMERS, "again.csv", text.encode(), by="finance")
    assert w.imports.carry_on(first)
    assert w.imports.carry_on(first), "nothing is left to do"
    with pytest.raises(ImportRefused, match="was imported on 10/03/2026 by finance"):
        w.imports.take(Kind.CUSTOMERS, "again.csv", text.encode(), by="finance")
    with pytest.raises(ImportRefused, match="imported already"):
        w.imports.accept(first, by="finance")
    with w.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == 1
        assert session.scalar(select(func.count()).select_from(ImportPieceRow)) == 0, "names are not kept twice"


def test_files_that_are_none_are_refused_before_anything_is_kept(world: World) -> None:
    for data in (b"", b"reference,name\n", b"\x00\x01", b"reference\nC-1\n", b"PK\x03\x04"):
        with pytest.raises(BadCsv):
            world.imports.take(Kind.CUSTOMERS, "x.csv", data, by="finance")
    broken = world.bring(Kind.CUSTOMERS, 'reference,name\nC-1,Mbuyi\nC-2,"Kalala\n')
    assert broken.state is State.BAD
    assert broken.report.fault
    assert "quotation mark" in broken.report.fault[0]
    with world.db.read() as session:
        assert session.scalar(select(func.count()).select_from(ImportRow)) == 1


_NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20).map(
    lambda text: " ".join(f"x{text}".split())
)
_CUSTOMERS = st.lists(
    st.tuples(
        _NAMES,
        st.sampled_from(["household", "business", "public"]),
        st.sampled_from(["fr", "sw", "ln", "kg", "lua", "en"]),
        st.one_of(st.just(""), st.integers(5_550_000, 5_559_999).map(lambda n: f"+24381{n:07d}")),
    ),
    min_size=1,
    max_size=12,
)
_counted = itertools.count(1)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(customers=_CUSTOMERS, mark=st.sampled_from(";,\t"), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_file_of_customers_becomes_exactly_these(
    world: World, customers: list[tuple[str, str, str, str]], mark: str, encoding: str
) -> None:
    import unicodedata

    run = next(_counted)
    rows = [(f"R{run}-{n}", *one) for n, one in enumerate(customers)]
    text = "".join(written([("reference", "name", "kind", "language", "phone"), *rows], mark))
    view = world.bring(Kind.CUSTOMERS, text.encode(encoding))
    assert view.made == len(rows), view.report
    with world.db.read() as session:
        found = session.execute(
            select(
                OldReferenceRow.reference, CustomerRow.name, CustomerRow.kind, CustomerRow.language, PhoneLinkRow.phone
            )
            .join(CustomerRow, CustomerRow.id == OldReferenceRow.subject_id)
            .outerjoin(PhoneLinkRow, PhoneLinkRow.customer_id == CustomerRow.id)
            .where(OldReferenceRow.import_id == view.id)
        ).all()
    expected = {
        (ref, " ".join(unicodedata.normalize("NFC", name).split()), kind, language, phone or None)
        for ref, name, kind, language, phone in rows
    }
    assert {tuple(row) for row in found} == expected


class Killed(BaseException):
    """What no handler catches."""


def _many(count: int) -> str:
    return "reference,name\n" + "".join(f"C-{n},Mbuyi {n}\n" for n in range(count))


def test_killed_between_chunks_and_inside_one_and_gone_on(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    w, lines = any_world, 300
    import_id = w.imports.take(Kind.CUSTOMERS, "x.csv", _many(lines).encode(), by="finance")
    w.imports.accept(import_id, by="finance")

    def dies(_lines: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        w.imports.carry_on(import_id, watch=dies)
    between = w.seen(import_id)
    assert between.state is State.APPLYING
    assert 0 < between.made < lines

    from core.services.imports.takers import Customers

    write = Customers.write

    def dies_inside(self: Customers, *given: object) -> None:
        write(self, *given)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Customers, "write", dies_inside)
        with pytest.raises(Killed):
            w.imports.carry_on(import_id)
    assert w.seen(import_id).made == between.made, "a chunk is in whole or not at all"
    assert w.imports.carry_on(import_id)
    done = w.seen(import_id)
    assert (done.state, done.made, done.left_out) == (State.DONE, lines, 0)
    with w.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == lines


def test_a_killed_process_is_gone_on_for(world: World) -> None:
    lines = 1_500
    import_id = world.imports.take(Kind.CUSTOMERS, "x.csv", _many(lines).encode(), by="finance")
    world.imports.accept(import_id, by="finance")
    url = world.db.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.core.imports.importing_process", url, str(import_id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdecimal(), "a chunk is in"
        process.kill()
    killed = world.seen(import_id)
    assert killed.made > 0
    assert world.imports.carry_on(import_id)
    assert world.seen(import_id).made == lines
    with world.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == lines


def test_two_workers_at_once_write_each_line_once(any_world: World) -> None:
    w, lines = any_world, 240
    import_id = w.imports.take(Kind.CUSTOMERS, "x.csv", _many(lines).encode(), by="finance")
    w.imports.accept(import_id, by="finance")
    threads = [threading.Thread(target=w.imports.carry_on, args=(import_id,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (w.seen(import_id).made, w.seen(import_id).left_out) == (lines, 0)
    with w.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == lines


def test_what_became_bad_since_the_look_stops_all_of_it(world: World) -> None:
    first = world.imports.take(Kind.CUSTOMERS, "a.csv", b"reference,name\nC-1,Mbuyi\nC-2,Kalala\n", by="finance")
    world.bring(Kind.CUSTOMERS, "reference,name\nC-2,Kalala\n")
    world.imports.accept(first, by="finance")
    assert world.imports.carry_on(first)
    stopped = world.seen(first)
    assert (stopped.state, stopped.made, stopped.accepted_by) == (State.BAD, 0, None)
    assert world.acts[-1][1] == "import.stopped"


def test_what_becomes_impossible_in_the_middle_is_left_out_and_told(world: World) -> None:
    lines = 120
    import_id = world.imports.take(Kind.CUSTOMERS, "a.csv", _many(lines).encode(), by="finance")
    world.imports.accept(import_id, by="finance")
    assert not world.imports.carry_on(import_id, patience_s=0)
    with world.db.begin() as session:
        session.add(OldReferenceRow(kind="customer", reference="C-119", subject_id=1, import_id=import_id))
    assert world.imports.carry_on(import_id)
    done = world.seen(import_id)
    assert (done.state, done.made, done.left_out) == (State.DONE, lines - 1, 1)
    assert [(one.line, one.column) for one in done.report.problems] == [(lines + 1, "reference")]


def test_the_queue_looks_at_long_files_and_writes_them_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "INLINE_LINES", 50)
    monkeypatch.setattr("workers.jobs.imports._AT_ONCE_S", 0.0)
    import_id = world.imports.take(Kind.CUSTOMERS, "a.csv", _many(200).encode(), by="finance")
    assert world.seen(import_id).state is State.WAITING
    run = handlers(world.imports)["import.run"]

    def rows(state: str) -> list[tuple[str, Leased]]:
        with world.db.read() as session:
            found = session.scalars(select(OutboxRow).where(OutboxRow.kind == "import.run").order_by(OutboxRow.id))
            now = world.clock.real_now()
            return [(r.key, Leased(r.id, r.kind, r.queue, "t", r.body, 1, now)) for r in found if r.state == state]

    ((key, look),) = rows("pending")
    assert key == f"import:{import_id}:check"
    assert isinstance(run(look), Done)
    assert world.seen(import_id).state is State.GOOD
    world.imports.accept(import_id, by="finance")
    apply = rows("pending")[-1][1]
    outcomes = [run(apply)]
    while isinstance(outcomes[-1], Retry):
        assert not outcomes[-1].counts
        outcomes.append(run(apply))
    assert len(outcomes) > 2
    assert world.seen(import_id).made == 200


def test_the_report_is_bounded_and_the_look_too(world: World) -> None:
    text = "reference,name\n" + "".join(f"C-{n},\n" for n in range(1_500))
    report = world.imports.check(Kind.CUSTOMERS, text.encode())
    assert (report.lines, report.bad, len(report.problems)) == (1_500, 1_500, 1_000)
    world.homes(1)

    def statements(count: int) -> int:
        text = "meter,contract\n" + "".join(f"MW{n:04d},K-0\n" for n in range(count))
        with statements_of(world.db) as said:
            world.imports.check(Kind.METERS, text.encode())
        return len(said)

    assert statements(10) == statements(300)


def test_bad_lines_go_out_with_their_reasons_and_come_back_mended(world: World) -> None:
    bad = world.bring(Kind.CUSTOMERS, "reference;nom;tel\nC-1;=Mbuyi;\nC-2;Kalala;12\n")

    def rows(which: str) -> list[str]:
        return list(world.imports.lines(bad.id, which, lambda one: one.sentence))

    assert rows("good") == ['"reference";"nom";"tel"\r\n', '"C-1";"\'=Mbuyi";""\r\n']
    assert rows("bad")[1:] == ['"C-2";"Kalala";"12";"12 is no phone number in use."\r\n']
    mended = "".join(rows("all")).replace('"12";', '"0815550012";')
    assert world.bring(Kind.CUSTOMERS, mended).made == 2
    with world.db.read() as session:
        assert session.scalars(select(CustomerRow.name).order_by(CustomerRow.id)).all() == ["=Mbuyi", "Kalala"]


def test_files_that_nobody_imported_are_forgotten(world: World, clock: FixedClock) -> None:
    old = world.imports.take(Kind.CUSTOMERS, "a.csv", b"reference,name\nC-1,Mbuyi\n", by="finance")
    clock.advance(days=31)
    world.imports.take(Kind.CUSTOMERS, "b.csv", b"reference,name\nC-2,Mbuyi\n", by="finance")
    assert not world.seen(old).kept
    with pytest.raises(ImportRefused, match="looked at too long ago"):
        world.imports.accept(old, by="finance")
    with pytest.raises(ImportRefused, match="not kept any more"):
        world.imports.lines(old, "bad", lambda one: one.sentence)
    again = world.imports.take(Kind.CUSTOMERS, "a.csv", b"reference,name\nC-1,Mbuyi\n", by="finance")
    assert again == old
    assert world.seen(old).kept


def test_a_list_is_one_statement(world: World, db: Database) -> None:
    def statements(check: Callable[[], object]) -> int:
        with statements_of(db) as said:
            check()
        return len([one for one in said if one.lstrip().upper().startswith("SELECT")])

    for n in range(5):
        world.imports.take(Kind.CUSTOMERS, "a.csv", f"reference,name\nC-{n},\n".encode(), by="finance")
    assert statements(world.imports.all) == 1
    page = world.imports.all(limit=2)
    assert [one.id for one in world.imports.all(before_id=page[-1].id)] == [page[-1].id - n for n in (1, 2, 3)]
