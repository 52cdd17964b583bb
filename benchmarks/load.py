"""The callers: a process of its own that keeps some sockets open and plays one session after the other on each.

    python -m benchmarks.load --port N --path PATH --phones FILE --seconds S --connections C [--mix journeys --skip N]

A session is a dial and its replies, as the aggregator sends them: each request carries the whole transcript. Prints one
JSON object. An answer that is no screen (`CON `, in the mix of journeys also `END `) is counted as wrong.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

# What is typed after the dial: pay, everything. The third key would confirm; it is never pressed here.
TO_THE_CONFIRMATION = ("", "1", "1*1")
_PAID = (*TO_THE_CONFIRMATION, "1*1*1")
# What customers come for, as often as we believe. An agent's PIN costs more than everything else: it is not in here.
_JOURNEYS = (
    *(_PAID,) * 6,
    *(TO_THE_CONFIRMATION,) * 2,
    *(("7",),) * 4,
    ("8*5000", "8*5000*1"),
    *(("", "3", "3*1"),) * 2,
    *(("", "4", "4*1"),) * 2,
    ("", "2", "2*12345"),
    ("", "5", "5*1", "5*1*1"),
    ("", "6", "6*3", "6*3*1"),
    ("", "6", "6*4"),
    ("", "9", "9*1", "9*1*1"),
)
# One after the other, so that what is alike does not come in a row: 13 and their number have no divisor in common.
MIXES = {
    "confirm": (TO_THE_CONFIRMATION,),
    "journeys": tuple(_JOURNEYS[n * 13 % len(_JOURNEYS)] for n in range(len(_JOURNEYS))),
}


@dataclass
class Heard:
    """What one connection saw. Latencies in seconds."""

    latencies_s: list[float] = field(default_factory=list)
    wrong: int = 0
    sample: str = ""


def _request(path: str, phone: str, session: str, transcript: str) -> bytes:
    body = urlencode(
        {
            "sessionId": session,
            "phoneNumber": phone,
            "serviceCode": "*123#",
            "networkCode": "63001",
            "text": transcript,
        }
    ).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one reply. The server must give a length: aggregators may dislike chunks."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += _some(connection)
    return int(lines[0].split()[1]), body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def _play(port: int, path: str, phones: Sequence[str], mix: str, until: float, heard: Heard) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        screens = (b"CON ", b"END ") if mix == "journeys" else b"CON "
        turn = 0
        while time.monotonic() < until:
            phone, session = phones[turn % len(phones)], f"AT-{uuid.uuid4().hex}"
            transcripts = MIXES[mix][turn % len(MIXES[mix])]
            turn += 1
            for transcript in transcripts:
                started = time.monotonic()
                connection.sendall(_request(path, phone, session, transcript))
                status, body = _answer(connection)
                heard.latencies_s.append(time.monotonic() - started)
                if status != 200 or not body.startswith(screens):
                    heard.wrong += 1
                    heard.sample = f"{status} after {transcript!r}: {body[:200].decode(errors='replace')}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--phones", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--mix", choices=sorted(MIXES), default="confirm")
    parser.add_argument("--skip", type=int, default=0, help="so many callers: they have called before")
    asked = parser.parse_args()
    phones = asked.phones.read_text().split()
    phones = phones[asked.skip % len(phones) :] + phones[: asked.skip % len(phones)]
    until = time.monotonic() + asked.seconds
    heard = [Heard() for _ in range(asked.connections)]
    # Each connection has its own callers: two sessions of one phone at once are another case.
    players = [
        threading.Thread(target=_play, args=(asked.port, asked.path, own, asked.mix, until, one))
        for own, one in zip((phones[i :: asked.connections] for i in range(asked.connections)), heard, strict=True)
    ]
    for player in players:
        player.start()
    for player in players:
        player.join()
    latencies = sorted(x for one in heard for x in one.latencies_s)
    print(
        json.dumps(
            {
                "requests": len(latencies),
                "wrong": sum(one.wrong for one in heard),
                "sample": next((one.sample for one in heard if one.sample), ""),
                "p50_ms": 1000 * latencies[len(latencies) // 2] if latencies else 0.0,
                "p99_ms": 1000 * latencies[len(latencies) * 99 // 100] if latencies else 0.0,
            }
        )
    )


if __name__ == "__main__":
    main()
