"""Who leads the trading stack: asked of the lock in Redis, on Redis' own host. What a trader says of itself is not asked."""

from __future__ import annotations

from stormdesk.core.errors import RefusedError
from stormdesk.core.targets import Leader
from stormdesk.core.values import shown
from stormdesk.ssh.pool import Pool
from stormdesk.testnet.trader.config import LEADER_KEY

ASK_S = 3.0  # for Redis: one that was stopped accepts connections and never answers
LINK_S = 3.0  # what SSH may take besides


def leader(pool: Pool) -> Leader:
    """The host of the instance that holds the lock. Raises RefusedError when nobody does or Redis does not answer,
    TransportError when its host does not."""
    found = next((host for _, host in sorted(pool.inventory.hosts.items()) if "redis" in host.services), None)
    if found is None:
        raise RefusedError(
            f"--host leader: no host of {pool.inventory.environment} runs redis, which has the leader's lock. "
            "Nothing was changed"
        )
    port = str(found.services["redis"].ports.get("redis", 6379))
    ask = ("timeout", f"{ASK_S:g}", "redis-cli", "-h", "127.0.0.1", "-p", port, "get", LEADER_KEY)
    done = pool.run(found.name, ask, ASK_S + LINK_S)
    if not done.ok:
        why = " ".join((done.stderr or done.stdout).split()) or f"no answer within {ASK_S:g} s"
        raise RefusedError(
            f"--host leader: redis on {found.name} cannot be asked who leads: {why[:200]}. Nothing was changed"
        )
    instance = done.stdout.strip().rpartition(":")[0]  # behind it, what tells this start of the instance from others
    if not instance:
        raise RefusedError(
            f"--host leader: nobody leads just now: the lock {LEADER_KEY} in redis on {found.name} is free. Nothing was changed"
        )
    if instance not in pool.inventory.hosts:
        raise RefusedError(f"--host leader: {shown(instance)} leads, and no host has that name. Nothing was changed")
    return Leader(instance, f"it holds the lock {LEADER_KEY} in redis on {found.name}")
