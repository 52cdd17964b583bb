"""A keypad on a wall: it takes a token once, knows another's from its own, and its days run with the town's clock."""

from __future__ import annotations

from core.prepaid.ports import Device
from meters.registry import TOKEN_MAKERS
from tests.mwolo.sandbox.box_rig import Box

KEY = "dac86b1a29ab82edc5fbbc41ec9530f6"
CODE = 516_959_010
MAKER = TOKEN_MAKERS["openpaygo_token"]


def tokens(*values: int) -> list[str]:
    made, count = [], 1
    for value in values:
        one = MAKER.add(Device(count, restricted=False, secret=bytes.fromhex(KEY), starting_code=CODE), value)
        made.append(one.token)
        count = one.count
    return made


def hang(box: Box, **more: object) -> None:
    box.post("seed", {"keypads": [{"id": "K1", "key": KEY, "starting_code": CODE, "account": "1", **more}]})


def typed(box: Box, token: str) -> tuple[str, float]:
    said = box.post("meters/K1/token", {"token": token})
    return said["outcome"], said["days_added"]


def test_a_token_is_taken_once_and_brings_its_days(box: Box) -> None:
    hang(box)
    assert (box.get("meters/K1")["supply"], box.get("meters/K1")["days_left"]) == ("off", 0)
    (token,) = tokens(6)
    grouped = f"{token[:3]} {token[3:6]} {token[6:]}"
    assert typed(box, grouped) == ("accepted", 6)
    assert typed(box, token) == ("already_used", 0)
    assert typed(box, "000000001") == ("wrong", 0)
    assert typed(box, "") == ("wrong", 0)
    shown = box.get("meters/K1")
    assert (shown["supply"], shown["kind"], 5.9 < shown["days_left"] <= 6) == ("on", "keypad", True)
    assert [line["outcome"] for line in shown["history"]] == ["wrong", "wrong", "already_used", "accepted"]
    assert token not in str(shown)
    assert KEY not in str(shown)


def test_several_tokens_in_the_wrong_order_all_count(box: Box) -> None:
    hang(box)
    assert [typed(box, token)[0] for token in reversed(tokens(995, 995, 10))] == ["accepted"] * 3
    assert 1_999 < box.get("meters/K1")["days_left"] <= 2_000


def test_what_was_typed_before_the_town_began_and_a_second_seed(box: Box) -> None:
    (token,) = tokens(6)
    hang(box, typed=[token], typed_at=0.0)
    assert box.get("meters/K1")["days_left"] == 0, "typed in 1970: used up"
    hang(box)
    assert typed(box, token) == ("already_used", 0)
    assert [one["id"] for one in box.get("keypads")] == ["K1"]


def test_a_meter_with_a_radio_has_no_keypad(box: Box) -> None:
    box.post("meters/M1/token", {"token": "123456789"}, status=404)
    for bad in (
        {"id": "K2"},
        {"id": "K2", "key": "00", "starting_code": 1},
        {"id": "K2", "key": KEY, "starting_code": 0},
    ):
        box.post("seed", {"keypads": [bad]}, status=400)
