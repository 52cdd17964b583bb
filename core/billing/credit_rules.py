"""How a credit note is divided between an invoice's levies and the rest. Pure; minor units."""

from __future__ import annotations

from collections.abc import Mapping


def divided(minor: int, *, parts: Mapping[str, int], left: Mapping[str, int], step: int) -> dict[str, int]:
    """Part → what it gets back of `minor`; together exactly `minor`, and no part more than is left of it.

    `parts`: what the invoice was made of (each levy, and `net`); `left`: the same less what earlier notes gave back.
    Levies get their share in whole steps of the currency and `net` what remains; where `net` has too little left, the
    levies take more. The note that credits the last of an invoice gives each part what is left of it. `minor` is not
    more than all that is left.
    """
    total = sum(parts.values())
    shares = {
        name: min(left[name], part * minor // total // step * step) for name, part in parts.items() if name != "net"
    }
    shares["net"] = min(left["net"], minor - sum(shares.values()))
    over = minor - sum(shares.values())
    for name in sorted(shares):
        more = min(over, left[name] - shares[name])
        shares[name] += more
        over -= more
    return shares
