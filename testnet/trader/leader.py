"""The leader's lock in Redis. The lock alone is no proof (a paused process may wake up after it has expired), so it is checked
against the local clock right before every send, and PostgreSQL refuses rows of an old epoch.

A request signed while the lock had more time left than the venue's receive window is refused by the venue once the lock has
expired. So it is safe to sign first and check `holds(recv_window_s)` afterwards, even if the process is paused in between.
"""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from stormdesk import durable
from stormdesk.testnet.resilience import Leader as Numbers
from stormdesk.testnet.watch import Watch, name_of

log = logging.getLogger(__name__)

RENEW = """if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"""
RELEASE = """if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"""
TAKE = """if redis.call('get', KEYS[1]) == ARGV[1] then
redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0"""


REMEMBER = 16  # starts: one that ended before it had the lock must not displace the one before


class Leader:
    """One contender. `file` stores the lock's values, so that a restarted process recognises the lock of its dead predecessor
    (`former_self_dead`) and takes it over at once; a copy of this instance elsewhere does not."""

    def __init__(
        self, redis: Redis, key: str, instance: str, numbers: Numbers, file: Path, *, former_self_dead: bool
    ) -> None:
        self.watch = Watch()
        self.term = 0  # counts acquisitions of the lock
        self.holder = ""  # its holder, as last seen
        self._redis: Any = redis
        self._key = key
        self._numbers = numbers
        self._ttl_ms = int(numbers.ttl_s * 1000)
        self._value = f"{instance}:{secrets.token_hex(8)}"
        self._former = _remember(file, self._value) if former_self_dead else []
        self._renewed = 0.0
        self._until = 0.0
        self._sure = False
        self._idle_until = 0.0

    def holds(self, for_s: float = 0.0) -> bool:
        """Whether the lock is ours for that long: it was at the last check, and its lifetime, less a tenth, suffices."""
        return self._sure and time.monotonic() + for_s < self._until

    def lost(self) -> bool:
        """Whether the lock was not ours at the last answer. While Redis does not answer, that is unknown."""
        return not self._until

    async def turn(self, *, contend: bool) -> None:
        """Check once, and renew or (if we contend) acquire. Call it every second; errors of Redis are not raised."""
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
        """Release the lock if it is ours; without Redis it expires."""
        self._sure, self._until = False, 0.0
        try:
            await self._redis.eval(RELEASE, 1, self._key, self._value)
        except (RedisError, OSError) as error:
            log.warning("leader: the lock was not released: %s", error)

    async def stand_back(self) -> None:
        """There is a newer epoch: its holder leads, whatever the lock says. Leave the lock to others for a while."""
        self._idle_until = time.monotonic() + self._numbers.ttl_s
        await self.release()

    async def _keep(self, started: float) -> bool:
        if self._sure and started - self._renewed < self._numbers.renew_s:
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
        if not contend or started < self._idle_until:
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
        if old not in self._former:
            return False
        return bool(await self._redis.eval(TAKE, 1, self._key, old, self._value, self._ttl_ms))

    async def _look(self) -> str:
        self.holder = (await self._redis.get(self._key) or b"").decode()
        return self.holder

    def _lease(self, started: float) -> None:
        self._renewed = started
        self._until = started + self._numbers.ttl_s * 0.9


def _remember(file: Path, value: str) -> list[str]:
    """The values in the file, of dead processes; ours is added to it."""
    try:
        former = durable.read_json(file, list[str]) or []
    except durable.CorruptError as error:
        log.warning("leader: %s", error)
        former = []
    try:
        durable.replace(file, msgspec.json.encode([*former, value][-REMEMBER:]))
    except OSError as error:
        log.warning("leader: a restart will wait for the lock to expire: %s", error)
    return former
