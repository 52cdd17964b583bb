"""How often all our processes together call an operator: GCRA in Redis, one small script.

Redis may be emptied, which lets one burst more through, or be away: then nobody is held up, for a payment matters more
than the pace of one.
"""

from __future__ import annotations

import structlog
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# How much of a minute's calls may come at once.
BURST_S = 5.0

# KEYS[1]: when the next call is due if all go evenly. ARGV: seconds per call, tolerance in seconds. Redis' own clock:
# machines whose clocks differ still agree. Answers the milliseconds to wait; 0 has taken a place.
_SCRIPT = """
local now = redis.call('TIME')
local t = tonumber(now[1]) + tonumber(now[2]) / 1000000
local each, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), t)
local wait = due - tolerance - t
if wait > 0 then return math.ceil(wait * 1000) end
redis.call('SET', KEYS[1], string.format('%.6f', due + each), 'PX', math.ceil((due + each - t + tolerance) * 1000) + 1)
return 0
"""


class RedisTurnstile:
    """One for each process; what it counts is shared."""

    def __init__(self, redis: Redis) -> None:
        self._run = redis.register_script(_SCRIPT)

    def wait_s(self, wallet: str, per_minute: int) -> float:
        """See `core.services.payments.pace.Turnstile`."""
        each_s = 60.0 / per_minute
        # At least two at once: a question must not wait for the request before it.
        tolerance_s = max(BURST_S, each_s)
        try:
            waited = self._run(keys=[f"wallets:pace:{wallet}"], args=[each_s, tolerance_s])
        except RedisError as error:
            log.warning("turnstile.away", wallet=wallet, error=type(error).__name__)
            return 0.0
        return float(str(waited)) / 1000
