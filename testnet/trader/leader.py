"""The leader's lock in Redis. It alone proves nothing (a paused process may wake up after its lock has gone), so it is
checked right before every send against the local clock, and PostgreSQL refuses rows of an old epoch."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stormdesk.testnet.trader.watch import Watch, name_of

log = logging.getLogger(__name__)

RENEW = """if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"""
RELEASE = """if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"""
TAKE = """if redis.call('get', KEYS[1]) == ARGV[1] then
redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0"""


class Leader:
    """One contender. `former_self_dead`: the process that wrote our pid file before us is gone, so a lock in our
    instance's name is nobody's and may be taken over at once."""

    def __init__(self, redis: Redis, key: str, instance: str, ttl_ms: int, *, former_self_dead: bool) -> None:
        self.watch = Watch()
        self.term = 0  # counts the times that the lock was newly ours
        self.holder = ""  # who has it, as last seen
        self._redis: Any = redis
        self._key = key
        self._instance = instance
        self._value = f"{instance}:{secrets.token_hex(8)}"
        self._ttl_ms = ttl_ms
        self._former_self_dead = former_self_dead
        self._renewed = 0.0
        self._until = 0.0
        self._sure = False

    def holds(self) -> bool:
        """Whether the lock is ours now: the last look said so and its time, less a tenth, has not run out."""
        return self._sure and time.monotonic() < self._until

    def lost(self) -> bool:
        """Whether the last answer said that the lock is not ours. While Redis does not answer, nobody knows."""
        return not self._until

    async def turn(self, *, contend: bool) -> None:
        """Look once, and renew or (if we contend) acquire. Call it every second; never raises for Redis' sake."""
        started = time.monotonic()
        try:
            self._sure = await (self._keep(started) if self._until else self._acquire(started, contend))
        except (RedisError, OSError) as error:
            if self._sure:
                log.warning("leader: paused, Redis does not answer: %s", error)
            self._sure = False
            self.watch.bad(name_of(error.__cause__ or error))
            return
        self.watch.good(time.monotonic() - started)

    async def release(self) -> None:
        """Give the lock back if it is ours; without Redis it expires."""
        self._sure, self._until = False, 0.0
        try:
            await self._redis.eval(RELEASE, 1, self._key, self._value)
        except (RedisError, OSError) as error:
            log.warning("leader: the lock was not released: %s", error)

    async def _keep(self, started: float) -> bool:
        if self._sure and started - self._renewed < self._ttl_ms / 3000:
            mine = await self._look() == self._value
        else:
            mine = bool(await self._redis.eval(RENEW, 1, self._key, self._value, self._ttl_ms))
            if mine:
                self._lease(started)
        if not mine:
            log.warning("leader: the lock is lost to %s", await self._look() or "nobody")
            self._until = 0.0
        return mine

    async def _acquire(self, started: float, contend: bool) -> bool:
        if not contend:
            await self._look()
            return False
        if not await self._redis.set(self._key, self._value, nx=True, px=self._ttl_ms) and not await self._inherit():
            return False
        self.term += 1
        self.holder = self._value
        self._lease(started)
        log.info("leader: the lock is ours")
        return True

    async def _inherit(self) -> bool:
        """Take over the lock that our own dead predecessor left."""
        old = await self._look()
        if not self._former_self_dead or old.rpartition(":")[0] != self._instance:
            return False
        return bool(await self._redis.eval(TAKE, 1, self._key, old, self._value, self._ttl_ms))

    async def _look(self) -> str:
        self.holder = (await self._redis.get(self._key) or b"").decode()
        return self.holder

    def _lease(self, started: float) -> None:
        self._renewed = started
        self._until = started + self._ttl_ms * 0.9 / 1000
