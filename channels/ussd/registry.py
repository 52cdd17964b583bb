"""The aggregators we can be called by. Adding one: a module in `gateways/`, a test file, a page, a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from channels.ussd.gateway import UssdGateway
from channels.ussd.gateways.africastalking import AfricasTalkingUssd

GATEWAYS: Mapping[str, Callable[[], UssdGateway]] = {"africastalking": AfricasTalkingUssd}
