"""What `wallets check` can find out about pawaPay without moving money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from core.kernel.errors import PartnerError
from core.partner_http import PartnerHttp, Reply, text_at
from core.payments.ports import Finding

COUNTRY = "COD"
_TIMEOUT_S = 15.0
_PLACES = {"NONE": 0, "TWO_PLACES": 2}


def check_wallet(
    http: PartnerHttp,
    base_url: str,
    headers: Mapping[str, str],
    *,
    providers: Mapping[str, str],
    decimals: Mapping[str, int],
    public_authority: str,
    read_keys: Callable[[], Mapping[str, object]],
) -> Sequence[Finding]:
    """Address, token, what our account may do per provider and currency, keys for callbacks. Never raises for what a
    network does."""
    try:
        reply = http.get_json(f"{base_url}/v2/active-conf", headers=headers, timeout_s=_TIMEOUT_S)
    except PartnerError as error:
        return [Finding(False, f"pawaPay does not answer: {error.code}.", "Look at the base URL and at the firewall.")]
    if not reply.ok:
        code = reply.text_at("failureReason.failureCode") or f"http_{reply.status}"
        advice = "Token and base URL must belong to the same environment, sandbox or production."
        return [Finding(False, f"pawaPay refuses our token: {code}.", advice)]
    found = [Finding(True, "pawaPay answers and takes our token.")]
    found += _providers(reply, providers, decimals)
    found.append(_signed(reply))
    found.append(_keys(read_keys))
    if public_authority:
        found.append(Finding(True, f"Callbacks are checked as sent to {public_authority}."))
    else:
        found.append(
            Finding(
                None,
                "No public authority is set: callbacks are checked against the host they arrive with.",
                "Behind a proxy, set it to the host of the callback address in pawaPay's dashboard.",
            )
        )
    return found


def _providers(reply: Reply, providers: Mapping[str, str], decimals: Mapping[str, int]) -> Iterator[Finding]:
    theirs = {text_at(row, "provider"): row for row in _in_country(reply)}
    for brand, provider in providers.items():
        row = theirs.get(provider)
        if row is None:
            yield Finding(False, f"{provider} ({brand}) is not part of our account.", "Ask pawaPay to open it.")
            continue
        for currency, places in decimals.items():
            yield _currency(row, provider, currency, places)


def _currency(row: object, provider: str, currency: str, places: int) -> Finding:
    listed = row.get("currencies") if isinstance(row, dict) else None
    ours = next((c for c in listed or [] if text_at(c, "currency") == currency), None)
    if ours is None:
        return Finding(False, f"{provider} does not take {currency} on our account.", "Ask pawaPay, or leave it out.")
    lowest, highest = (text_at(ours, f"operationTypes.DEPOSIT.{end}") for end in ("minAmount", "maxAmount"))
    allowed = _PLACES.get(text_at(ours, "operationTypes.DEPOSIT.decimalsInAmount") or "")
    if allowed is not None and allowed < places:
        advice = f"Set the decimals of {currency} to {allowed}."
        return Finding(False, f"{provider} takes {currency} with {allowed} decimals, we send {places}.", advice)
    refunds = "" if isinstance(ours, dict) and "REFUND" in (ours.get("operationTypes") or {}) else ", no refunds listed"
    return Finding(True, f"{provider} takes {currency} from {lowest or '?'} to {highest or '?'}{refunds}.")


def _in_country(reply: Reply) -> list[object]:
    countries = reply.json.get("countries") if isinstance(reply.json, dict) else None
    for row in countries if isinstance(countries, list) else []:
        if text_at(row, "country") == COUNTRY and isinstance(row.get("providers"), list):
            return list(row["providers"])
    return []


def _signed(reply: Reply) -> Finding:
    signed = reply.text_at("signatureConfiguration.signedCallbacks")
    if signed == "true":
        return Finding(True, "Callbacks are signed.")
    advice = "Switch signed callbacks on in the dashboard: unsigned ones are only hints, and each costs a question."
    return Finding(False if signed == "false" else None, "Callbacks are not signed, or it is not told.", advice)


def _keys(read_keys: Callable[[], Mapping[str, object]]) -> Finding:
    try:
        keys = read_keys()
    except PartnerError as error:
        return Finding(False, f"pawaPay's public keys cannot be fetched: {error.code}.", "Callbacks count as hints.")
    if not keys:
        return Finding(False, "pawaPay lists no public key that can be read.", "Callbacks count as hints.")
    return Finding(True, f"{len(keys)} public key{'s' if len(keys) != 1 else ''} for callbacks can be read.")
