"""Reminders and cuts in the console: who may, what holds and how long, papers, the policy's two hands, the brake."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.billing.tables import DunningPolicyRow, HoldRow, ReminderRow
from core.customers.protection_tables import SiteProtectionRow
from core.customers.tables import SiteRow
from core.db import Database
from core.kernel.clock import WEST, FixedClock
from core.kernel.money import Money
from core.services.billing import Billing
from core.services.dunning_desk import DunningDesk
from core.staff.tables import AuditRow
from core.supply.tables import CrewTaskRow, MeterDesiredRow
from tests import town
from tests.admin.conftest import post
from tests.admin.console_town import HOSTILE, Console
from tests.core.settlement.test_sweep_candidates import statements

As = Callable[[str], FlaskClient]


def sent(db: Database, clock: FixedClock, *, name: str = "Mbuyi Kalala", total: Money = town.BILL) -> town.Home:
    with db.begin() as session:
        home = town.home(session, name=name)
        invoice = town.invoice(session, home.contract, total=total)
        town.heard(session, home.meter, at=town.BEGINNING)
    Billing(db, clock).send_invoice(invoice.id)
    arrive(db)
    return home


def arrive(db: Database) -> None:
    with db.begin() as session:
        for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
            row.delivered_at, row.evidence = row.leaves_at, "report"


def audited(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(AuditRow.act).where(AuditRow.act.like("dunning%")).order_by(AuditRow.id)))


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return sent(db, clock)


# The list.


def test_the_list_of_a_day_says_who_what_and_why_not(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    sent(db, clock, name="Petite Dette", total=Money.units(3_000, "CDF"))
    client = as_role("viewer")
    page = client.get("/admin/dunning/?day=2026-03-24&show=cut").text
    assert "Mbuyi Kalala" in page
    assert "09:00" in page
    assert "Petite Dette" not in page
    everybody = client.get("/admin/dunning/?day=2026-03-24&show=all").text
    assert "Petite Dette" in everybody
    assert "Mbuyi Kalala" not in client.get("/admin/dunning/?day=2026-03-24&show=warning").text
    assert "Mbuyi Kalala" in client.get("/admin/dunning/?day=2026-03-17&show=warning").text
    assert client.get("/admin/dunning/?day=2026-03-01").status_code == 400
    assert client.get("/admin/dunning/?day=nonsense&after=x").status_code == 200


def test_the_list_can_be_narrowed_to_one_reason(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    other = sent(db, clock, name="Sans Retenue")
    DunningDesk(db, clock).put_hold(home.contract.id, "staff", date(2026, 3, 24), reason="a visit", by="jeanne")
    client = as_role("office")
    page = client.get("/admin/dunning/?day=2026-03-24&show=held&why=hold.staff").text
    assert "Mbuyi Kalala" in page
    assert "Sans Retenue" not in page
    csv = client.get("/admin/dunning.csv?day=2026-03-24&show=cut").text
    assert other.account_number[:3] in csv
    assert "Sans Retenue" in csv
    assert "Mbuyi Kalala" not in csv
    with db.read() as session:
        assert session.scalars(select(AuditRow.act).where(AuditRow.act == "export.dunning")).all()


def test_a_page_of_the_list_is_bounded_and_goes_on(
    db: Database, clock: FixedClock, console: Console, as_role: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin.views.dunning._SHOWN", 3)
    homes = [sent(db, clock, name=f"Client {n:02d}") for n in range(7)]
    client, address, seen = as_role("viewer"), "/admin/dunning/?day=2026-03-13&show=all", list[str]()
    for _ in range(3):
        page = client.get(address).text
        seen += re.findall(r"Client \d\d", page)
        more = re.search(r'href="(\?[^"]*after=\d+)"', page)
        if more is None:
            break
        address = "/admin/dunning/" + more.group(1).replace("&amp;", "&")
    assert seen == [home.customer.name for home in homes]


def test_the_statements_of_the_list_do_not_grow(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    client = as_role("viewer")

    def count() -> int:
        with statements() as seen:
            assert client.get("/admin/dunning/?day=2026-03-13&show=all").status_code == 200
            return seen()

    count()
    few = count()
    for n in range(12):
        sent(db, clock, name=f"Client {n}")
    assert count() == few


def test_names_are_shown_as_text(db: Database, clock: FixedClock, console: Console, as_role: As) -> None:
    home = sent(db, clock, name=HOSTILE[:100])
    client = as_role("office")
    for address in ("/admin/dunning/?day=2026-03-13&show=all", f"/admin/dunning/{home.contract.id}"):
        page = client.get(address).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


# One contract.


def test_one_contract_shows_its_steps_what_to_pay_and_the_day(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    page = as_role("viewer").get(f"/admin/dunning/{home.contract.id}").text
    assert "24/03/2026" in page
    assert "T-000001" in page
    file = DunningDesk(db, clock).file(home.contract.id)
    assert file is not None
    assert [step.step for step in file.cycles[0].steps] == ["sent", "reminder", "warning", "announcement"]
    assert [step.due.day for step in file.cycles[0].steps] == [10, 13, 17, 24]
    # 28 500 FC, of which less than a fifth may stay open.
    assert file.to_pay is not None
    assert file.to_pay == Money(2_280_100, "CDF")
    assert 'name="kind"' not in page, "a viewer puts no hold"
    assert as_role("viewer").get("/admin/dunning/999").status_code == 404


def test_what_is_to_be_paid_is_the_least_that_helps(
    db: Database, clock: FixedClock, console: Console, home: town.Home
) -> None:
    from core.settlement import post as book
    from core.settlement.events import WalletMoney

    file = DunningDesk(db, clock).file(home.contract.id)
    assert file is not None
    assert file.to_pay is not None
    with db.begin() as session:
        row = town.payment(session, home.contract, file.to_pay)
        book(
            session,
            WalletMoney(
                key="p", payment_id=row.id, wallet="vodacom", contract_id=home.contract.id, amount=file.to_pay
            ),
            clock=clock,
        )  # fmt: skip
    after = DunningDesk(db, clock).file(home.contract.id)
    assert after is not None
    assert after.to_pay is None
    assert after.verdict.next_date_that_matters is None


def test_a_hold_is_put_within_its_limits_and_released(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    client, here = as_role("office"), f"/admin/dunning/{home.contract.id}"
    assert post(as_role("viewer"), f"{here}/hold", kind="staff", until="2026-03-20", reason="x")[0] == 403
    status, page = post(client, f"{here}/hold", kind="staff", until="2026-04-30", reason="too long")
    assert (status, "24/03/2026" in page) == (409, True)
    assert post(client, f"{here}/hold", kind="promise", until="2026-03-20", reason="not by hand")[0] == 409
    assert post(client, f"{here}/hold", kind="staff", until="", reason="no day")[0] == 400
    assert post(client, f"{here}/hold", kind="staff", until="2026-03-20", reason="")[0] == 400
    for n in (1, 2):
        assert post(client, f"{here}/hold", kind="staff", until="2026-03-20", reason=f"visit {n}")[0] == 303
    status, page = post(client, f"{here}/hold", kind="staff", until="2026-03-20", reason="third")
    assert status == 409
    with db.read() as session:
        first, _second = session.scalars(select(HoldRow).order_by(HoldRow.id)).all()
    assert first.until_at.isoformat() == "2026-03-20T23:00:00+00:00"
    assert post(client, f"{here}/holds/{first.id}/release", reason="it is settled")[0] == 303
    with db.read() as session:
        assert session.get_one(HoldRow, first.id).until_at == clock.now()
    assert post(client, f"{here}/holds/{first.id}/release", reason="again")[0] == 409
    assert audited(db).count("dunning.held") == 5
    assert audited(db).count("dunning.held.refused") == 3


def test_a_promise_is_not_released_here(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    with db.begin() as session:
        until = clock.now() + timedelta(days=3)
        row = HoldRow(contract_id=home.contract.id, kind="promise", from_at=clock.now(), until_at=until, by="promise:1")
        session.add(row)
    status, _ = post(as_role("office"), f"/admin/dunning/{home.contract.id}/holds/{row.id}/release", reason="no")
    assert status == 409


def test_a_medical_need_rests_on_a_paper_and_ends_with_it(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    client, here = as_role("office"), f"/admin/dunning/{home.contract.id}"
    assert post(client, f"{here}/protect", kind="medical", paper="", until="2026-03-30", reason="dialysis")[0] == 409
    assert post(client, f"{here}/protect", kind="medical", paper="C 12", until="", reason="dialysis")[0] == 409
    assert post(client, f"{here}/protect", kind="medical", paper="C 12", until="2026-12-01", reason="x")[0] == 409
    assert (
        post(client, f"{here}/protect", kind="medical", paper="C 12", until="2026-03-30", reason="dialysis")[0] == 303
    )
    assert post(client, f"{here}/unprotect", reason="office may not")[0] == 403
    desk = DunningDesk(db, clock)
    file = desk.file(home.contract.id)
    assert file is not None
    assert file.protected == "medical"
    assert [why.code for why in file.verdict.why_not] == ["never_cut"]
    assert desk.papers_ending() == ()
    clock.advance(days=20)
    assert desk.end_papers() == 0
    assert [paper.contract_id for paper in desk.papers_ending()] == [home.contract.id]
    assert "30/03/2026" in as_role("viewer").get("/admin/dunning/").text
    clock.advance(days=1)
    assert desk.end_papers() == 1
    assert desk.end_papers() == 0
    with db.read() as session:
        assert session.get_one(SiteRow, home.site.id).protected is None
        assert session.scalars(select(SiteProtectionRow)).one().ended_by == "sweep"


def test_protecting_a_place_brings_its_supply_back(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    with db.begin() as session:
        session.add(
            MeterDesiredRow(
                meter_id=home.meter.id, version=1, supply="off", reason="nonpayment", set_by="t", set_at=clock.now()
            )
        )
    here = f"/admin/dunning/{home.contract.id}"
    assert post(as_role("office"), f"{here}/protect", kind="health", reason="a clinic after all")[0] == 303
    with db.read() as session:
        assert session.get_one(MeterDesiredRow, home.meter.id).supply == "on"
    assert post(as_role("finance"), f"{here}/unprotect", reason="it moved away")[0] == 303
    with db.read() as session:
        assert session.get_one(SiteRow, home.site.id).protected is None
        assert session.scalars(select(SiteProtectionRow)).one().end_reason == "it moved away"


def test_a_crews_word_is_taken_once_and_only_for_its_own_contract(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    other = sent(db, clock, name="Autre Maison")
    with db.begin() as session:
        reminder = session.scalars(select(ReminderRow).where(ReminderRow.invoice_id == 1)).one()
        reminder.delivered_at = reminder.notice_id = reminder.evidence = None
        task = CrewTaskRow(
            kind="notice", key=f"reminder:{reminder.id}", contract_id=home.contract.id, created_at=clock.now()
        )
        session.add(task)
    client = as_role("office")
    assert post(client, f"/admin/dunning/{other.contract.id}/notice/{task.id}", reason="x")[0] == 409
    here = f"/admin/dunning/{home.contract.id}/notice/{task.id}"
    assert post(client, here, reason="crew 3, to Mrs Kalala")[0] == 303
    assert post(client, here, reason="again")[0] == 409
    with db.read() as session:
        assert session.get_one(ReminderRow, reminder.id).evidence == "crew"


# The policy.


def policy_form(client: FlaskClient, **changes: str) -> dict[str, str]:
    """The form as the page fills it, with some fields changed. Of the days, the first four."""
    page = client.get("/admin/dunning/policy/new").text
    found = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page))
    found.pop("csrf_token")
    found.pop("q", None)
    found.pop("language", None)
    found.pop("next", None)
    return found | {"days": "0", "reason": "the regulator asks for 28 days"} | changes


def test_a_version_needs_two_people_and_a_day_to_come(
    db: Database, clock: FixedClock, console: Console, as_role: As
) -> None:
    asker, other = as_role("finance"), as_role("admin")
    assert as_role("office").get("/admin/dunning/policy/new").status_code == 403
    form = policy_form(asker, announcement_after_days="28", valid_from="2026-03-20")
    assert post(asker, "/admin/dunning/policy/new", **form | {"valid_from": "2026-03-10"})[0] == 409
    assert post(asker, "/admin/dunning/policy/new", **form | {"reminder_after_days": "many"})[0] == 400
    assert post(asker, "/admin/dunning/policy/new", **form | {"reminder_after_days": "9"})[0] == 409
    assert post(asker, "/admin/dunning/policy/new", **form)[0] == 303
    here = "/admin/dunning/policy/drafts/1"
    assert post(asker, f"{here}/release")[0] == 409, "not by the one who asked"
    assert post(other, f"{here}/release")[0] == 303
    assert post(other, f"{here}/release")[0] == 409
    with db.read() as session:
        row = session.scalars(select(DunningPolicyRow)).one()
    assert (row.version, row.valid_from, row.body["announcement_after_days"]) == (2, date(2026, 3, 20), 28)
    assert row.body["off"]["days"] == [0]
    page = asker.get("/admin/dunning/policy").text
    assert "14 → 28" in page
    clock.advance(days=9, hours=-5)
    assert "version 1" in asker_again(as_role).get("/admin/dunning/policy").text.lower()
    clock.advance(days=1)
    assert "28" in asker_again(as_role).get("/admin/dunning/policy").text.split("</ul>")[0]


def asker_again(as_role: As) -> FlaskClient:
    """Days later nobody is logged in any more."""
    return as_role("finance")


def test_a_draft_whose_day_came_meanwhile_is_not_released(
    db: Database, clock: FixedClock, console: Console, as_role: As
) -> None:
    asker = as_role("finance")
    assert post(asker, "/admin/dunning/policy/new", **policy_form(asker, valid_from="2026-03-11"))[0] == 303
    clock.advance(days=1)
    assert post(as_role("admin"), "/admin/dunning/policy/drafts/1/release")[0] == 409
    assert post(as_role("admin"), "/admin/dunning/policy/drafts/1/reject", reason="too late")[0] == 303


def test_the_brake_stops_every_cut_at_once_and_outlives_a_new_version(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    billing = Billing(db, clock)
    clock.advance(hours=-4)
    for _ in range(14):
        clock.advance(days=1)
        billing.sweep()
        arrive(db)
    clock.advance(hours=4)
    with db.begin() as session:
        town.heard(session, home.meter, at=clock.real_now())
        session.add(DunningPolicyRow(version=2, valid_from=date(2026, 3, 24), body={}))
    client = as_role("office")
    assert post(client, "/admin/dunning/policy/stop", reason="flood in Lemba")[0] == 303
    assert post(client, "/admin/dunning/policy/stop", reason="twice")[0] == 409
    assert billing.cut_batch(WEST).cut == ()
    page = client.get(f"/admin/dunning/{home.contract.id}").text
    assert "flood in Lemba" in client.get("/admin/dunning/").text
    assert "Toutes les coupures" in page or "All cuts are stopped" in page
    assert post(client, "/admin/dunning/policy/stops/1/lift", reason="office may not")[0] == 403
    assert post(as_role("finance"), "/admin/dunning/policy/stops/1/lift", reason="the water is gone")[0] == 303
    assert billing.cut_batch(WEST).cut == (home.contract.id,)
    assert audited(db)[-1] == "dunning.lifted"


def test_a_declared_holiday_keeps_its_day_free(
    db: Database, clock: FixedClock, console: Console, as_role: As, home: town.Home
) -> None:
    client = as_role("office")
    assert post(client, "/admin/dunning/policy/holiday", day="2026-03-09", reason="over")[0] == 409
    assert post(client, "/admin/dunning/policy/holiday", day="", reason="no day")[0] == 400
    assert post(client, "/admin/dunning/policy/holiday", day="2026-03-24", reason="mourning")[0] == 303
    assert "Mbuyi Kalala" not in client.get("/admin/dunning/?day=2026-03-24&show=cut").text
    assert "Mbuyi Kalala" in client.get("/admin/dunning/?day=2026-03-25&show=cut").text
