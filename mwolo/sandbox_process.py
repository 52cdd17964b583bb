"""The sandbox's process: the box, its meters, and the hand on the business clock."""

from __future__ import annotations

from core import settings as settings_module
from core.db import Database
from core.kernel.clock import Clock
from core.settings import BadSetting
from meters.simulator import MeterSimulator
from mwolo import logs
from mwolo.sandbox.clock import BusinessClock
from mwolo.sandbox.config import BadSandboxSetting, SandboxConfig
from mwolo.sandbox.meter_store import MeterMemory
from mwolo.sandbox.serve import run as serve
from mwolo.sandbox.store import Store


def run(port: int) -> int:
    """Serve the box until told to stop. Raises BadSetting."""
    settings = settings_module.read()
    logs.set_up(settings.log_level, settings.log_format, (settings.key,))
    try:
        config = SandboxConfig.from_env()
    except BadSandboxSetting as error:
        raise BadSetting(str(error)) from error
    clock = BusinessClock(Database(settings.database_url, busy_timeout_s=20))
    world: Clock = clock.clock
    meters = MeterSimulator(MeterMemory(Store(config.data_dir)), settings.mqtt_url, settings.utility_topic, world)
    return serve(config, port, clock_control=clock, meters=meters)
