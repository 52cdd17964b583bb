"""How a session came to its end. Pure."""

from __future__ import annotations

from typing import Final

# Networks let go of a silent session after 20 to 60 s, and do not say so: whoever went before that hung up.
# Source: the aggregator's pages, summed up in docs/aggregators/africastalking-ussd.md.
SILENCE_MS = 20_000

REACHED_END: Final = "reached_end"
HUNG_UP: Final = "hung_up"
TIMED_OUT: Final = "timed_out"
FAILED: Final = "failed"
LEFT: Final = "left"
HOWS = (HUNG_UP, TIMED_OUT, FAILED, LEFT, REACHED_END)


def how_it_ended(status: str, reason: str, silence_ms: int | None) -> str:
    """One of HOWS. `silence_ms`: from the last screen to the end, None where it is not known.

    What the network says goes before what the silence tells; LEFT is what nobody can tell apart.
    """
    if status != "left":
        return REACHED_END if status == "reached_end" else FAILED
    if reason == "timeout":
        return TIMED_OUT
    if reason == "cancelled":
        return HUNG_UP
    if silence_ms is None:
        return LEFT
    return TIMED_OUT if silence_ms >= SILENCE_MS else HUNG_UP
