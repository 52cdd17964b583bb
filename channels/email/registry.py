"""The ways an e-mail can leave. Adding one: a module here, a test file, a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.email.smtp import Smtp

# Built as `GATEWAYS[name](config)`; the config stands beside its adapter.
GATEWAYS: Mapping[str, Any] = {"smtp": Smtp}
