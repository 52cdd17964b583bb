"""The aggregators we can send through. Adding one: a module in `gateways/`, a test file, a page, a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.sms.gateways.africastalking import AfricasTalkingSms

# Built as `GATEWAYS[name](config, http)`: the config stands beside its adapter, `http` is a `PartnerHttp(name)`.
GATEWAYS: Mapping[str, Any] = {"africastalking": AfricasTalkingSms}
