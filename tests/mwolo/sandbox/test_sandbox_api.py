"""The box's own API: phones, faults, meters, clock, seed, and what it says to nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mwolo.sandbox.app import create_app, sandbox_of
from mwolo.sandbox.config import BadSandboxSetting, SandboxConfig
from mwolo.sandbox.meter_store import MeterMemory
from mwolo.sandbox.phones import BadPhone, brand_of, normal
from mwolo.sandbox.store import Store, major
from tests.mwolo.sandbox.box_rig import MPESA, Box, VodacomCaller

KEY = "00" * 32


class FakeMeters:
    """Keeps what the box told it, as the simulator would."""

    def __init__(self) -> None:
        self.meters: dict[str, dict[str, Any]] = {}
        self.faults: list[tuple[str, int, Mapping[str, Any]]] = []

    def add(self, meter_id: str, key_hex: str, supply: str, version: int) -> None:
        said = {"id": meter_id, "supply": supply, "relay": supply, "version": version, "online": True, "kwh": 12.5}
        self.meters.setdefault(meter_id, {**said, "history": []})

    def state(self, meter_id: str) -> dict[str, Any]:
        return self.meters[meter_id]

    def list(self) -> list[dict[str, Any]]:
        return list(self.meters.values())

    def set(self, meter_id: str, **flags: bool) -> None:
        self.meters[meter_id].update(flags)

    def fault(self, name: str, times: int, params: Mapping[str, Any]) -> None:
        self.faults.append((name, times, params))

    def clear_faults(self) -> None:
        self.faults.clear()

    def start(self) -> None: ...

    def stop(self) -> None: ...


class FakeClock:
    def state(self) -> dict[str, Any]:
        return {"business": "2026-03-10T08:00:00Z", "offset_s": 0, "idle": True, "waiting": {}}

    def ahead_s(self) -> float:
        return 86_400.0

    def advance(self, seconds: float) -> dict[str, Any]:
        return {"business": "later", "runs": [seconds], "idle": True}

    def move_to(self, iso: str) -> dict[str, Any]:
        if iso == "yesterday":
            raise ValueError("The clock never goes back.")
        return {"business": iso, "runs": [], "idle": True}


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """A box with meters and a clock: (client, meters)."""
    meters = FakeMeters()
    app = create_app(SandboxConfig(tmp_path), clock_control=FakeClock(), meters=meters)
    yield app.test_client(), meters
    sandbox_of(app).close()


def test_signs_of_life(box: Box) -> None:
    client = box.app.test_client()
    assert client.get("/sandbox/healthz").text == "ok"
    assert client.get("/sandbox/").status_code == 200
    assert client.get("/sandbox/static/../../serve.py").status_code == 404
    assert box.get("wallets") == ["vodacom", "pawapay", "airtel", "orange", "mpesa_ke"]
    assert box.get("config") == {
        "short_code": "*123#",
        "web": "",
        "admin": "",
        "scenario": None,
        "max_screen_septets": 160,
    }


def test_an_agent_s_phone_carries_the_pin_that_opens_the_float(world: Any) -> None:
    client, _meters = world
    agent = {"phone": MPESA, "name": "Kiosque Zala", "wallet_pin": "1111", "pin": "4821", "kind": "agent"}
    for pin in ("4821", "0000"):
        client.post("/sandbox/api/seed", json={"phones": [agent | {"pin": pin}]})
    [row] = client.get("/sandbox/api/phones").json
    assert (row["kind"], row["pin"], row["wallet_pin"]) == ("agent", "4821", "1111")


def test_seeding_twice_leaves_wallets_and_meters_alone(world: Any) -> None:
    client, _meters = world
    phone = {"phone": MPESA, "name": "Mama Lusamba", "account": "1234567890", "language": "sw", "brand": "mpesa"}
    phone |= {"wallet_pin": "4321", "balance": 9000, "currency": "CDF", "meter": "M1", "kind": "customer"}
    meter = {"id": "M1", "key": KEY, "supply": "on", "version": 3, "account": "1234567890"}
    for changed in ({"name": "Who it was before"}, {"balance": 5, "wallet_pin": "0000"}):
        seeded = client.post("/sandbox/api/seed", json={"phones": [{**phone, **changed}], "meters": [meter]})
        assert seeded.json == {"phones": 1, "meters": 1}
    [row] = client.get("/sandbox/api/phones").json
    assert row == {
        **phone,
        "balance": "9000",
        "brand_name": "M-Pesa",
        "pin": None,
    }  # the wallet as it was, the owner as he is
    [shown] = client.get("/sandbox/api/meters").json
    assert shown == {
        "id": "M1",
        "supply": "on",
        "relay": "on",
        "version": 3,
        "online": True,
        "kwh": 12.5,
        "account": "1234567890",
    }


def test_meters_can_be_put_out_of_order(world: Any) -> None:
    client, meters = world
    client.post("/sandbox/api/seed", json={"meters": [{"id": "M1", "key": KEY}]})
    assert client.post("/sandbox/api/meters/M1", json={"online": False}).json["online"] is False
    assert client.get("/sandbox/api/meters/M1").json["history"] == []
    assert client.post("/sandbox/api/meters/M1", json={"colour": True}).status_code == 400
    assert client.get("/sandbox/api/meters/M9").status_code == 404
    body = {"target": "meters", "fault": "delay", "times": 2, "params": {"seconds": 1}}
    assert client.post("/sandbox/api/faults", json=body).status_code == 200
    assert meters.faults == [("delay", 2, {"seconds": 1})]
    client.post("/sandbox/api/faults", json={"clear": True})
    assert meters.faults == []


def test_seeded_meters_come_back_with_the_box(tmp_path: Path) -> None:
    for _ in range(2):
        meters = FakeMeters()
        app = create_app(SandboxConfig(tmp_path), meters=meters)
        app.test_client().post("/sandbox/api/seed", json={"meters": [{"id": "M1", "key": KEY}]})
        sandbox_of(app).close()
        assert list(meters.meters) == ["M1"]


def test_a_box_without_meters_or_clock_says_so(box: Box) -> None:
    box.post("seed", {"meters": [{"id": "M1", "key": KEY, "supply": "off"}]})
    assert box.get("meters")[0]["online"] is False
    box.post("meters/M1", {"online": True}, status=404)
    assert "clock" in box.post("clock", {"advance_s": 1}, status=503)["error"]


def test_the_clock(world: Any) -> None:
    client, _ = world
    assert client.get("/sandbox/api/clock").json["idle"] is True
    assert client.post("/sandbox/api/clock", json={"advance_s": 60}).json["runs"] == [60.0]
    assert client.post("/sandbox/api/clock", json={"to": "2026-03-11T08:00:00Z"}).json["business"].startswith("2026")
    for bad in ({}, {"advance_s": -1}, {"advance_s": "1"}, {"advance_s": 1, "to": "x"}, {"to": "yesterday"}):
        assert client.post("/sandbox/api/clock", json=bad).status_code == 400


def test_faults_wait_until_used_up_or_cleared(box: Box) -> None:
    box.fault("pawapay", "slow", times=2, seconds=0)
    box.fault("vodacom", "overloaded", times=0, phone=MPESA)
    listed = box.get("faults")
    assert listed["pawapay"] == [{"fault": "slow", "times": 2, "phone": None, "params": {"seconds": 0}}]
    assert listed["vodacom"] == [{"fault": "overloaded", "times": 0, "phone": MPESA, "params": {}}]
    assert "late_success" in listed["known"]["vodacom"]
    box.post("faults", {"clear": True, "target": "vodacom"})
    assert (box.get("faults")["vodacom"], len(box.get("faults")["pawapay"])) == ([], 1)
    box.post("faults", {"clear": True})
    assert box.get("faults")["pawapay"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"target": "mars", "fault": "slow"},
        {"target": "vodacom", "fault": "bad_signature"},
        {"target": "vodacom", "fault": "slow", "times": -1},
        {"target": "vodacom", "fault": "slow", "times": True},
        {"target": "vodacom", "fault": "slow", "params": []},
        {"target": "vodacom", "fault": "slow", "params": {"seconds": "soon"}},
        {"target": "vodacom"},
        [],
    ],
)
def test_faults_that_do_not_exist(box: Box, body: Any) -> None:
    assert box.post("faults", body, status=400)["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("phones", {"phone": "12"}, 400),
        ("phones", {"phone": MPESA, "brand": "gold"}, 400),
        (f"prompts/{MPESA}", {"pin": "1234"}, 404),
        (f"prompts/{MPESA}", {}, 400),
        (f"prompts/{MPESA}", {"pin": "1234", "decline": True}, 400),
        (f"prompts/{MPESA}", {"pin": "1234", "id": "x"}, 400),
        (f"ussd/{MPESA}/dial", {}, 400),
        (f"ussd/{MPESA}/reply", {"input": "1"}, 409),
        ("sms", {"from": MPESA}, 400),
        ("seed", {"phones": [{}]}, 400),
        ("seed", {"meters": [{"id": "M1"}]}, 400),
        ("nowhere", {}, 404),
    ],
)
def test_nonsense_gets_one_sentence(box: Box, path: str, body: Any, status: int) -> None:
    assert isinstance(box.post(path, body, status=status)["error"], str)


def test_unknown_reads(box: Box) -> None:
    client = box.app.test_client()
    for path in ("wallets/bitcoin/ledger", "meters/none", "sms?after=x"):
        reply = client.get(f"/sandbox/api/{path}")
        assert (400 <= reply.status_code < 500, bool(reply.json["error"])) == (True, True)


def test_a_stranger_keeps_what_was_there(box: Box) -> None:
    row = box.post("phones", {"phone": "+243990000042"})
    assert (row["kind"], row["brand"], row["balance"], row["name"]) == ("stranger", "airtel", "500000", "+243990000042")
    assert box.post("phones", {"phone": MPESA})["kind"] == "customer"
    assert box.post("phones", {"phone": "+243910000001", "brand": "orange"})["brand"] == "orange"


def test_faults_outlive_the_box(open_box: Any) -> None:
    open_box().fault("vodacom", "overloaded", times=3)
    again = open_box()
    assert again.get("faults")["vodacom"][0]["times"] == 3
    caller = VodacomCaller(again)
    caller.log_in()
    assert caller.pay("0" * 32).json["output_ResponseCode"] == "INS-16"
    assert again.get("faults")["vodacom"][0]["times"] == 2


def test_meter_memory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    memory = MeterMemory(store)
    assert memory.load("M1") is None
    memory.save("M1", {"version": 1})
    memory.save("M1", {"version": 2})
    store.close()
    again = Store(tmp_path)
    assert MeterMemory(again).load("M1") == {"version": 2}
    again.close()


@pytest.mark.parametrize(
    ("typed", "phone"),
    [(" 243810000001", MPESA), ("+243810000001", MPESA), ("243810000001", MPESA), ("+243 810 000 001", MPESA)],
)
def test_numbers_as_they_come(typed: str, phone: str) -> None:
    assert (normal(typed), brand_of(phone)) == (phone, "mpesa")


def test_numbers_that_are_none() -> None:
    for typed in ("", "+", "+0810000001", "abc", "+24381000000100000"):
        with pytest.raises(BadPhone):
            normal(typed)
    assert [brand_of(p) for p in ("+243900000001", "+254700000001", "+254200000001")] == [None, "mpesa", None]


def test_amounts_as_operators_write_them() -> None:
    assert [major(12500_00, "CDF"), major(12_50, "USD"), major(12_00, "USD"), major(5, "USD")] == [
        "12500",
        "12.50",
        "12.00",
        "0.05",
    ]


def test_settings_travel_through_the_environment(tmp_path: Path) -> None:
    config = SandboxConfig(tmp_path, vodacom_mode="async", prompt_lifetime_s=3.5, short_code="*384*5#")
    assert SandboxConfig.from_env(config.to_env()) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VODACOM_MODE", "both"),
        ("PROMPT_LIFETIME_S", "soon"),
        ("PROMPT_LIFETIME_S", "-1"),
        ("PROMPT_LIFETIME_S", "nan"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSandboxSetting, match=f"MWOLO_SANDBOX_{name}"):
        SandboxConfig.from_env({"MWOLO_SANDBOX_DATA_DIR": str(tmp_path), f"MWOLO_SANDBOX_{name}": value})
    with pytest.raises(BadSandboxSetting, match="MWOLO_SANDBOX_DATA_DIR"):
        SandboxConfig.from_env({})
