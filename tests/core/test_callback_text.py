"""A callback as a person may read it."""

from __future__ import annotations

import pytest

from core.desk.callback_text import masked_path, readable_body, readable_headers

PATH = "/hooks/b41f/s3cretSegment/callback/0f"


def shown(body: bytes, *, whole_numbers: bool = False) -> str:
    return readable_body(body, PATH, whole_numbers=whole_numbers)


@pytest.mark.parametrize(
    ("path", "readable"),
    [
        (PATH, "/hooks/b41f/•••/callback/0f"),
        ("/behind/a/proxy/hooks/b41f/s3cret/confirm", "/behind/a/proxy/hooks/b41f/•••/confirm"),
        ("/somewhere/else", "•••"),
        ("/hooks/b41f/s3cret", "/hooks/b41f/•••"),
    ],
)
def test_the_secret_segment_is_never_shown(path: str, readable: str) -> None:
    assert masked_path(path) == readable


def test_json_keeps_its_digits_and_its_twins() -> None:
    text = shown(b'{"amount": 28500.00, "n": 1e3, "a": [1, {"b": null}], "a": "twice", "c": {}, "d": []}')
    for part in ('"amount": 28500.00', '"n": 1e3', '"b": null', '"a": "twice"', '"c": {}', '"d": []'):
        assert part in text
    assert text.count('"a": ') == 2


def test_secrets_are_hidden_by_name_and_the_path_s_own_by_value() -> None:
    text = shown(
        b'{"token": "abc", "x": {"ApiKey": {"deep": "abc"}}, "url": "https://m.test/hooks/b41f/s3cretSegment/"}'
    )
    assert "abc" not in text
    assert "s3cretSegment" not in text


def test_xml_is_laid_out_and_not_interpreted() -> None:
    body = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "boom">]><s:Envelope><s:Body a="1"><ns:doS2M>
    <PartnKey>topsecret</PartnKey>
    <msisdn>0895550001</msisdn><amount>500</amount><x>&a;</x><empty/></ns:doS2M></s:Body></s:Envelope>"""
    text = shown(body)
    assert "topsecret" not in text
    assert "      <msisdn>089***0001</msisdn>" in text
    assert "<amount>500</amount>" in text
    assert "&a;" in text
    assert text.endswith("</s:Envelope>")


def test_a_form_is_one_pair_a_line() -> None:
    assert shown(b"a=1&password=x&phone=0815550001") == "a=1\npassword=•••\nphone=081***0001"


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        ("243815550001", "081***0001"),
        ("+243815550001", "081***0001"),
        ("00243815550001", "081***0001"),
        ("0815550001", "081***0001"),
        ("815550001", "815***0001"),
        ("254712345678", "254***5678"),
        ("MP260310.0912.A00417", "MP260310.0912.A00417"),
        ("8155500011234", "8155500011234"),
        ("E815550001X", "E815550001X"),
        ("28500.00", "28500.00"),
    ],
)
def test_telephone_numbers_are_masked_and_nothing_else(written: str, masked: str) -> None:
    assert shown(f"said {written} today".encode()) == f"said {masked} today"
    assert shown(f"said {written} today".encode(), whole_numbers=True) == f"said {written} today"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"a":' * 5_000 + b"1",
        b"<" * 3000,
        b"<a " * 3000,
        b"&" * 3000,
        b"{" + b" " * 70_000,
    ],
)
def test_hostile_bodies_are_only_text(body: bytes) -> None:
    assert isinstance(shown(body), str)


def test_of_headers_only_the_harmless_say_what_they_hold() -> None:
    headers = {"content-type": "application/json", "x-api-key": "k", "user-agent": "to /s3cretSegment/"}
    assert dict(readable_headers(headers, PATH)) == {
        "content-type": "application/json", "x-api-key": "•••", "user-agent": "to /•••/",
    }  # fmt: skip
