"""The demo's settings: every registered wallet has credentials, and both sides know each other by real names."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from channels.wallets.registry import WALLETS
from core.settings import Settings
from mwolo.demo import Plan
from mwolo.demo_environment import SECRETS, callbacks, environment
from mwolo.sandbox.config import PREFIX, SandboxConfig
from mwolo.sandbox.faults import WALLETS as IN_THE_BOX


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(8000, tmp_path, "sync", sandbox_port=8001, kept={name: f"secret-of-{name}" for name in SECRETS})


def test_every_wallet_is_configured_and_stands_in_the_box(plan: Plan) -> None:
    env = environment(plan)
    for name, entry in WALLETS.items():
        assert env[f"MWOLO_{name.upper()}_{entry.configured_by.upper()}"]
        assert env[f"MWOLO_{name.upper()}_BASE_URL"].startswith(plan.sandbox)
    assert set(IN_THE_BOX) == set(WALLETS) == set(callbacks(plan))


def test_no_setting_is_one_that_nobody_reads(plan: Plan) -> None:
    """Both sides ignore variables they do not know: a misspelt one would be a default without a word."""
    env = environment(plan)
    of_the_box = {PREFIX + one.name.upper() for one in fields(SandboxConfig)}
    of_the_product = {f"MWOLO_{name.upper()}" for name in Settings.model_fields}
    assert set(env) <= of_the_box | of_the_product
    config = SandboxConfig.from_env(env)
    for mine, theirs in (
        (config.airtel_client_secret, "MWOLO_AIRTEL_CLIENT_SECRET"),
        (config.airtel_callback_key, "MWOLO_AIRTEL_CALLBACK_KEY"),
        (config.orange_token, "MWOLO_ORANGE_BEARER_TOKEN"),
        (config.daraja_passkey, "MWOLO_MPESA_KE_PASSKEY"),
        (config.pawapay_token, "MWOLO_PAWAPAY_API_TOKEN"),
        (config.vodacom_api_key, "MWOLO_VODACOM_API_KEY"),
    ):
        assert mine == env[theirs] != ""


def test_callbacks_do_not_name_the_wallet(plan: Plan) -> None:
    """Daraja refuses addresses that do."""
    for door in callbacks(plan).values():
        assert not [word for word in ("mpesa", "safaricom", "daraja", "airtel", "orange") if word in door.lower()]
