"""What programs read and do: pages, filters, the way of an invoice, cash and bank money, phone links, readings."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from core.agents.tables import AgentRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import is_account_number
from core.kernel.money import Money
from core.ledger.tables import JournalRow
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.settlement import post as settle
from core.settlement.events import WalletMoney
from tests import town
from tests.channels.api import api_town
from tests.channels.api.api_town import PDF, Api
from tests.core.statements import statements_of

LISTS = ("agencies", "customers", "phone-links", "sites", "meters", "contracts", "invoices", "payments", "agents")


def paid_town(db: Database, clock: FixedClock, count: int) -> list[town.Home]:
    """Homes with a draft each, a payment by wallet each, an agent each."""
    homes = api_town.homes(db, count)
    with db.begin() as session:
        for number, home in enumerate(homes, start=1):
            payment = town.payment(session, home.contract, Money.units(1_000, "CDF"))
            event = WalletMoney(
                key=f"p{number}",
                payment_id=payment.id,
                wallet="vodacom",
                contract_id=home.contract.id,
                amount=Money.units(1_000, "CDF"),
            )
            settle(session, event, clock=clock)
            session.add(
                AgentRow(
                    code=f"A{number}", name="Agent", phone=town.phone_number(900 + number), agency_id=1,
                    currency="CDF", pin_hash="-", created_at=clock.now(),
                )
            )  # fmt: skip
    return homes


def walk(api: Api, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Every page of a list."""
    found: list[dict[str, Any]] = []
    while True:
        answer = api.get(path, **asked)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        found += answer.json["items"]
        if answer.json["next"] is None:
            return found
        asked["after"] = answer.json["next"]


# -- lists -----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_without_a_gap_or_a_twin(any_db: Database, clock: FixedClock) -> None:
    api = api_town.build(any_db, clock)
    paid_town(any_db, clock, 5)
    for name in LISTS:
        whole = api.get(f"/{name}", limit=100).json["items"]
        assert len(whole) >= (1 if name == "agencies" else 5), name
        assert walk(api, f"/{name}", limit=2) == whole, name


def test_a_page_is_a_fixed_number_of_statements(db: Database, clock: FixedClock) -> None:
    """However long it is: who asks for a hundred records must not cost a hundred questions."""
    api = api_town.build(db, clock)
    paid_town(db, clock, 2)
    api.get("/agencies")

    def cost(name: str) -> int:
        with statements_of(db) as said:
            assert api.get(f"/{name}", limit=100).status_code == 200
        return sum(1 for line in said if line.lstrip().upper().startswith("SELECT"))

    before = {name: cost(name) for name in LISTS}
    paid_town_more = api_town.homes(db, 20)
    assert len(paid_town_more) == 20
    assert {name: cost(name) for name in LISTS} == before
    # The token, and one or two for the page.
    assert max(before.values()) <= 3, before


def test_a_cursor_of_another_list_or_of_nobody_leads_nowhere(api: Api, db: Database) -> None:
    api_town.homes(db, 2)
    cursor = api.get("/customers", limit=1).json["next"]
    for path, after in (
        ("/sites", cursor),
        ("/customers", "bm9uc2Vuc2U"),
        ("/customers", "W10"),
        ("/payments", cursor),
    ):
        assert api.get(path, after=after).status_code == 404


def test_filters(api: Api, db: Database, clock: FixedClock) -> None:
    first, second = paid_town(db, clock, 2)
    account = second.account_number
    assert [c["id"] for c in walk(api, "/customers", account_number=account)] == [second.customer.id]
    assert [c["id"] for c in walk(api, "/customers", phone=first.phone)] == [first.customer.id]
    assert [c["account_number"] for c in walk(api, "/contracts", customer_id=second.customer.id)] == [account]
    assert [c["id"] for c in walk(api, "/contracts", meter_id=first.meter.id)] == [first.contract.id]
    assert [i["account_number"] for i in walk(api, "/invoices", account_number=account)] == [account]
    assert [i["contract_id"] for i in walk(api, "/invoices", contract_id=first.contract.id)] == [first.contract.id]
    assert walk(api, "/invoices", state="paid") == []
    assert len(walk(api, "/invoices", state="draft", period="2026-02")) == 2
    assert [p["account_number"] for p in walk(api, "/payments", account_number=account)] == [account]
    assert walk(api, "/payments", wallet="airtel") == []
    assert len(walk(api, "/payments", since="2026-03-10T09:00:00+01:00")) == 2
    assert walk(api, "/payments", until="2026-03-10T08:00:00Z") == []
    assert [link["phone"] for link in walk(api, f"/customers/{first.customer.id}/phone-links")] == [first.phone]
    assert api.get("/customers/999/phone-links").status_code == 404
    assert [m["id"] for m in walk(api, "/meters", site_id=second.site.id)] == [second.meter.id]
    assert len(walk(api, "/sites", city="Kinshasa")) == 2
    assert walk(api, "/agencies", city="Goma") == []


def test_one_record_and_none(api: Api, db: Database, clock: FixedClock) -> None:
    (home,) = paid_town(db, clock, 1)
    for path in (
        "customers/1",
        "sites/1",
        f"meters/{home.meter.id}",
        "contracts/1",
        "invoices/1",
        "agencies/1",
        "agents/1",
    ):
        assert api.get(f"/{path}").status_code == 200, path
        assert api.get("/" + path.rpartition("/")[0] + "/77").status_code == 404, path
    contract = api.get("/contracts/1").json
    assert contract["credit"] == {"minor": 100_000, "currency": "CDF", "text": "1 000 FC"}
    assert "secret" not in api.get(f"/meters/{home.meter.id}").text
    assert "pin" not in api.get("/agents/1").text


# -- invoices ----------------------------------------------------------------------------------------------------------


def test_an_invoice_goes_from_draft_to_paid(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    assert api.get("/invoices/1").json["state"] == "draft"
    validated = api.post("/invoices/1/validate").json
    assert validated["state"] == "validated"
    assert validated["due"]["minor"] == 0
    sent = api.post("/invoices/1/send").json
    assert (sent["state"], sent["sent_on"], sent["due"]["minor"]) == ("sent", "2026-03-10", 2_850_000)
    with db.read() as session:
        assert (
            session.scalars(select(JournalRow.actor).where(JournalRow.kind == "invoice_sent")).one() == "api:everything"
        )
    for minor, state in ((1_000_000, "partially_paid"), (1_850_000, "paid")):
        body = {"way": "cash", "amount": {"minor": minor, "currency": "CDF"}, "account_number": home.account_number}
        payment = api.post("/payments", body, key=f"k{minor}").json
        assert api.post(f"/payments/{payment['id']}/confirm").status_code == 200
        assert api.get("/invoices/1").json["state"] == state
        assert [i["id"] for i in walk(api, "/invoices", state=state)] == [1]
    for step in ("validate", "send"):
        assert api.post(f"/invoices/1/{step}").status_code == 409
        assert api.post(f"/invoices/99/{step}").status_code == 404


def test_the_pdf_is_made_in_the_background_and_the_job_can_be_followed(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    asked = api.post("/invoices/1/pdf")
    assert asked.status_code == 202
    job = asked.json
    assert (job["state"], job["result"]) == ("waiting", None)
    assert api.post("/invoices/1/pdf").json["id"] == job["id"]
    for state, error, told in (("dead", "there is no invoice to make", "failed"), ("done", "a/key.pdf", "done")):
        with db.begin() as session:
            row = session.get_one(OutboxRow, job["id"])
            row.state, row.last_error = state, error
        seen = api.get(f"/jobs/{job['id']}").json
        assert seen["state"] == told
        assert seen["problem"] == (error if told == "failed" else None)
    assert seen["result"] == "/api/v1/invoices/1/pdf"
    with db.begin() as session:
        row = session.get_one(OutboxRow, job["id"])
        row.state, row.last_error = (
            "dead",
            "OSError: [Errno 28] No space left on device: '/var/lib/mwolo/invoice/1.pdf'",
        )
    told = api.get(f"/jobs/{job['id']}").json["problem"]
    assert told == "OSError: [Errno 28] No space left on device: '…'", "no path of ours"
    # After its end it is taken up anew.
    assert api.post("/invoices/1/pdf").json["state"] == "waiting"
    pdf = api.get("/invoices/1/pdf")
    assert (pdf.content_type, pdf.data) == ("application/pdf", PDF)
    assert api.post("/invoices/9/pdf").status_code == 404
    assert api.get("/invoices/9/pdf").status_code == 404


def test_other_effects_are_nobodys_business(api: Api, db: Database, clock: FixedClock) -> None:
    paid_town(db, clock, 1)
    with db.read() as session:
        others = session.scalars(select(OutboxRow.id)).all()
    assert others
    assert {api.get(f"/jobs/{job_id}").status_code for job_id in others} == {404}


# -- money -------------------------------------------------------------------------------------------------------------


def test_declared_money_pays_nothing_until_it_is_confirmed_and_then_once(any_db: Database, clock: FixedClock) -> None:
    api = api_town.build(any_db, clock)
    (home,) = api_town.homes(any_db, 1)
    body = {
        "account_number": home.account_number,
        "way": "bank",
        "amount": {"minor": 4_000_000, "currency": "CDF"},
        "reference": "RAWBANK-0417",
        "paid_on": "2026-03-09",
    }
    declared = api.post("/payments", body, key="one").json
    assert (declared["state"], declared["receipt_number"]) == ("declared", None)
    assert walk(api, "/payments") == []
    assert [p["id"] for p in walk(api, "/payments", state="declared", limit=1)] == [declared["id"]]
    for sought in ({"account_number": home.account_number}, {"wallet": "bank"}, {"since": "2026-03-10T08:00:00Z"}):
        assert len(walk(api, "/payments", state="declared", **sought)) == 1
    for sought in ({"contract_id": "99"}, {"wallet": "cash"}, {"until": "2026-03-10T08:00:00Z"}):
        assert walk(api, "/payments", state="declared", **sought) == []
    assert api.get(f"/payments/{declared['id']}/receipt").status_code == 404
    confirmed = api.post(f"/payments/{declared['id']}/confirm", key="two")
    assert confirmed.json["state"] == "confirmed"
    assert confirmed.json["provider_txn_id"] == "RAWBANK-0417"
    assert api.get("/contracts/1").json["credit"]["minor"] == 4_000_000
    assert api.get(f"/payments/{declared['id']}/receipt").data == PDF
    assert walk(api, "/payments", state="declared") == []
    # Again: by the same key the first answer, by another one a refusal; and the bank's number counts once.
    assert api.post(f"/payments/{declared['id']}/confirm", key="two").data == confirmed.data
    assert api.post(f"/payments/{declared['id']}/confirm", key="three").status_code == 409
    twin = api.post("/payments", body, key="four").json
    assert twin["id"] != declared["id"]
    assert api.post(f"/payments/{twin['id']}/confirm").status_code == 409
    assert api.get("/contracts/1").json["credit"]["minor"] == 4_000_000
    with any_db.read() as session:
        journal = session.scalars(select(JournalRow).where(JournalRow.kind == "bank_money")).one()
        assert journal.actor == "api:everything"
        assert session.scalars(select(NoticeRow.kind).where(NoticeRow.kind == "payment.receipt")).first()


def test_declaring_and_confirming_are_two_scopes(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    counter, chief = api.token("counter", "payments:declare"), api.token("chief", "payments:confirm")
    body = {"account_number": home.account_number, "way": "cash", "amount": {"minor": 100_000, "currency": "CDF"}}
    payment_id = api.post("/payments", body, key="k", secret=counter).json["id"]
    assert api.post(f"/payments/{payment_id}/confirm", secret=counter).status_code == 403
    assert api.post("/payments", body, key="k", secret=chief).status_code == 403
    assert api.post(f"/payments/{payment_id}/confirm", secret=chief).status_code == 200
    assert walk(api, "/payments")[0]["wallet"] == "cash"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"account_number": "1234567890"}, 404),
        ({"amount": {"minor": 100_050, "currency": "CDF"}}, 409),
        ({"amount": {"minor": 100_000, "currency": "USD"}}, 409),
        ({"way": "bank"}, 409),
        ({"paid_on": "2026-03-11"}, 409),
        ({"amount": {"minor": 0, "currency": "CDF"}}, 422),
        ({"amount": {"minor": True, "currency": "CDF"}}, 422),
        ({"amount": {"minor": "100", "currency": "CDF"}}, 422),
        ({"paid_on": "11/03/2026"}, 422),
    ],
)
def test_money_that_cannot_be_declared(api: Api, db: Database, change: dict[str, object], status: int) -> None:
    (home,) = api_town.homes(db, 1)
    body = {"account_number": home.account_number, "way": "cash", "amount": {"minor": 100_000, "currency": "CDF"}}
    assert api.post("/payments", {**body, **change}, key="k").status_code == status


def test_a_wallets_money_confirms_itself(api: Api, db: Database, clock: FixedClock) -> None:
    paid_town(db, clock, 1)
    (payment,) = walk(api, "/payments")
    answer = api.post(f"/payments/{payment['id']}/confirm")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:mwolo:problem:state-conflict")
    assert api.post("/payments/00000000-0000-4000-8000-999999999999/confirm").status_code == 404


# -- phones and readings -----------------------------------------------------------------------------------------------


def test_a_phone_link_is_confirmed_by_who_has_seen_the_person(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    with db.begin() as session:
        link = town.phone_link(session, home.customer, confirmed=False, role="payer")
    path = f"/customers/{home.customer.id}/phone-links/{link.id}/confirm"
    confirmed = api.post(path, {"role": "member"}).json
    assert (confirmed["role"], confirmed["confirmed_at"] is not None) == ("member", True)
    assert api.post("/customers/99/phone-links/1/confirm", {"role": "member"}).status_code == 404
    assert api.post(path, {"role": "owner"}).status_code == 422
    headers = {"Authorization": f"Bearer {api.secret}"}
    removed = api.app.test_client().delete("/api/v1" + path.removesuffix("/confirm"), headers=headers)
    assert removed.json == confirmed
    again = api.app.test_client().delete("/api/v1" + path.removesuffix("/confirm"), headers=headers)
    assert again.status_code == 404


def test_readings_are_taken_once_and_listed_in_their_order(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    path = f"/meters/{home.meter.id}/readings"
    batch = {"readings": [{"at": f"2026-03-0{day}T06:00:00Z", "wh": day * 1000} for day in (3, 1, 2)]}
    assert api.post(path, batch).json == {"taken": 3, "held": 0, "repeated": 0}
    assert api.post(path, batch).json == {"taken": 0, "held": 0, "repeated": 3}
    listed = walk(api, path, limit=1)
    assert [reading["wh"] for reading in listed] == [1000, 2000, 3000]
    assert listed[0]["register"] == "1.8.0"
    assert len(walk(api, path, since="2026-03-02T00:00:00Z")) == 2
    assert api.post("/meters/NOBODY/readings", batch).status_code == 404
    assert api.get("/meters/NOBODY/readings").status_code == 404


def test_a_program_enrols_a_customer_from_the_name_to_the_contract(any_db: Database, clock: FixedClock) -> None:
    api = api_town.build(any_db, clock)
    with any_db.begin() as session:
        agency = town.agency(session)
    person = api.post("/customers", {"name": "Ngalula", "language": "lua", "email": "n@example.cd"}, key="c")
    assert person.status_code == 201
    place = {"agency_id": agency.id, "address": "3 avenue Lumumba", "commune": "Lemba", "city": "Kinshasa"}
    site = api.post("/sites", {**place, "time_zone": "Africa/Kinshasa"}, key="s").json
    device = {"id": "MW-77", "site_id": site["id"], "control_kind": "manual", "installed_on": "2026-03-01"}
    assert api.post("/meters", device, key="m").status_code == 201
    wanted = {"customer_id": person.json["id"], "site_id": site["id"], "meter_id": "MW-77", "kind": "consumption"}
    contract = api.post("/contracts", {**wanted, "currency": "CDF"}, key="k").json
    assert (contract["state"], contract["opened_on"], contract["due"]["minor"]) == ("active", "2026-03-10", 0)
    assert is_account_number(contract["account_number"])
    phone = api.post(f"/customers/{person.json['id']}/phone-links", {"phone": "+243815550123", "role": "holder"})
    assert phone.json["confirmed_at"] is not None
    assert [c["id"] for c in walk(api, "/customers", phone="+243815550123")] == [person.json["id"]]
    # The same again, each: nothing new.
    assert api.post("/contracts", {**wanted, "currency": "CDF"}, key="k").json == contract
    again = api.post(f"/customers/{person.json['id']}/phone-links", {"phone": "+243815550123", "role": "holder"})
    assert again.json == phone.json
    for name in ("customers", "sites", "meters", "contracts", "phone-links"):
        assert len(walk(api, f"/{name}")) == 1, name


def test_what_cannot_be_enrolled(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    site, customer, meter = home.site.id, home.customer.id, home.meter.id
    place = {"address": "x", "commune": "x", "city": "x", "time_zone": "Africa/Kinshasa"}
    device = {"control_kind": "none", "installed_on": "2026-03-01"}
    contract = {"customer_id": customer, "site_id": site, "kind": "flat", "currency": "CDF"}
    refused = [
        ("/sites", {**place, "agency_id": 99}, 404),
        ("/meters", {**device, "id": "M1", "site_id": 99}, 404),
        ("/meters", {**device, "id": meter, "site_id": site}, 409),
        ("/contracts", {**contract, "customer_id": 99}, 404),
        ("/contracts", {**contract, "site_id": 99}, 404),
        ("/contracts", {**contract, "meter_id": "NONE"}, 404),
        ("/contracts", {**contract, "meter_id": meter}, 409),
        ("/contracts", {**contract, "kind": "prepaid"}, 409),
        ("/contracts", {**contract, "tariff_id": 99}, 404),
        (f"/customers/{customer}/phone-links", {"phone": "+243000000000", "role": "payer"}, 409),
        ("/customers/99/phone-links", {"phone": home.phone, "role": "payer"}, 404),
    ]
    for number, (path, body, status) in enumerate(refused):
        assert api.post(path, body, key=f"k{number}").status_code == status, (path, body)


def test_a_process_that_dies_after_enrolling_enrols_nobody_twice(
    api: Api, db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(api.tokens, "keep", dies)
        with pytest.raises(SystemExit):
            api.post("/customers", {"name": "Ngalula"}, key="c")
    clock.advance(minutes=3)
    assert api.post("/customers", {"name": "Ngalula"}, key="c").json["id"] == 1
    assert len(walk(api, "/customers")) == 1


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"])
def test_a_reading_of_no_time_at_all_is_not_taken(api: Api, db: Database, at: str) -> None:
    """One of the year 9999 was held for a person, and the console's page of held readings failed on it for good."""
    (home,) = api_town.homes(db, 1)
    good = {"at": "2026-03-01T00:00:00Z", "wh": 5}
    answer = api.post(f"/meters/{home.meter.id}/readings", {"readings": [good, {"at": at, "wh": 1}]})
    assert answer.status_code == 409
    assert api.get(f"/meters/{home.meter.id}/readings").get_json()["items"] == []


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2027-06-01"])
def test_a_contract_and_a_meter_begin_on_a_day_that_can_be(api: Api, db: Database, day: str) -> None:
    api_town.homes(db, 1)
    contract = {"customer_id": 1, "site_id": 1, "kind": "flat", "currency": "CDF", "opened_on": day}
    meter = {"id": "MX1", "site_id": 1, "control_kind": "none", "installed_on": day}
    assert api.post("/contracts", contract, key="c").status_code == 409
    assert api.post("/meters", meter, key="m").status_code == 409
    assert api.post("/meters", {**meter, "installed_on": "1987-05-01"}, key="n").status_code == 201


def test_the_audit_log_says_which_program_validated_and_sent(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    issuer = api.token("website", "invoices:issue")
    for step, status in (("validate", 200), ("validate", 409), ("send", 200)):
        assert api.post(f"/invoices/1/{step}", secret=issuer).status_code == status
    assert api.post("/invoices/9/validate", secret=issuer).status_code == 404
    entries = [e for e in reversed(api.staff.newest_audit(limit=9)) if e.actor == "api:website"]
    assert [(e.act, e.subject) for e in entries] == [
        ("invoice.validated", "invoice 1"),
        ("invoice.validated", "invoice 1"),
        ("invoice.validated.refused", "invoice 1"),
        ("invoice.sent", "invoice 1"),
    ]
    assert entries[0].detail == "28 500 FC"


@pytest.mark.parametrize("name", ["   ", "\u00a0", "Awa\u2028Ilunga", "Awa\u0085x", "\u202eawA", "A\nB"])
def test_a_name_has_something_to_see_and_is_one_line(api: Api, name: str) -> None:
    assert api.post("/customers", {"name": name}, key="k").status_code == 422
    assert api.post("/customers", {"name": "Élodie N’Sélé-Mbo"}, key="l").status_code == 201
