"""User streams: an account's events, by a subscription of the WebSocket API or by a listen key."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.faults.active_faults import ActiveFaults
from stormdesk.testnet.venue.faults.model import Document
from stormdesk.testnet.venue.params import Params
from stormdesk.testnet.venue.sockets import Client, text_of


@dataclass(frozen=True)
class Subscription:
    """A client's subscription: by number on the WebSocket API, or on the stream of a listen key."""

    client: Client
    number: int = 0
    listen_key: str = ""

    def tell(self, document: object) -> None:
        if not self.listen_key:
            document = {"subscriptionId": self.number, "event": document}
        elif self.client.wrapped:
            document = {"stream": self.listen_key, "data": document}
        self.client.send(text_of(document))


class Users:
    """Subscriptions by account, and listen keys. A key that is not kept alive for `key_life_s` seconds expires."""

    def __init__(self, key_life_s: float, faults: ActiveFaults) -> None:
        self._life_s = key_life_s
        self._faults = faults
        self._told: dict[str, set[Subscription]] = defaultdict(set)
        self._keys: dict[str, tuple[str, float]] = {}  # account and expiry by listen key
        self._numbers: dict[Client, int] = defaultdict(int)

    def listening(self, account: str) -> bool:
        return bool(self._told.get(account))

    def tell(self, account: str, document: Document) -> None:
        """Send an event to all subscribers of an account."""
        for told in self._faults.user(account, document, time.monotonic()):
            for subscription in self._told[account]:
                subscription.tell(told)

    def broadcast(self, document: Document, now: float) -> int:
        """Send an event about the venue to all subscribers; returns their number."""
        listening = list(self._all(lambda _: True))
        for _, subscription in listening:
            subscription.tell({**document, "E": int(now * 1000)})
        return len(listening)

    def greet(self, client: Client) -> None:
        """Send a new subscriber the earlier events about the venue."""
        for document in self._faults.greetings(time.monotonic()):
            for _, subscription in self._all(lambda one: one.client is client):
                subscription.tell({**document, "E": int(time.time() * 1000)})

    # -- the WebSocket API ---------------------------------------------------------------------------------------

    def subscribe(self, client: Client, account: str) -> int:
        """The number of the new subscription, counted for each connection. Raises ApiError -2035 when there is one already."""
        if any(one.client is client and not one.listen_key for one in self._told[account]):
            raise ApiError(*errors.SUBSCRIBED)
        number = self._numbers[client]
        self._numbers[client] += 1
        self._told[account].add(Subscription(client, number))
        return number

    def unsubscribe(self, client: Client, number: int | None, now: float) -> bool:
        """End one subscription of a connection, or all, and tell the client. False when there was none."""

        def chosen(subscription: Subscription) -> bool:
            return subscription.client is client and number in (None, subscription.number)

        return self._end(chosen, {"e": "eventStreamTerminated", "E": int(now * 1000)}) > 0

    def terminate(self, account: str, now: float) -> int:
        """End all subscriptions of an account, as when its key is revoked; returns their number."""
        told = len(self._told[account])
        listen_keys = [key for key, (owner, _) in self._keys.items() if owner == account]
        for key in listen_keys:
            self._expire(key, now)
        event = {"e": "eventStreamTerminated", "E": int(now * 1000)}
        self._end(lambda subscription: subscription in self._told[account], event)
        return told

    def end_streams(self, now: float) -> int:
        """End all subscriptions of the WebSocket API; returns their number."""
        event = {"e": "eventStreamTerminated", "E": int(now * 1000)}
        return self._end(lambda subscription: not subscription.listen_key, event)

    def expire_keys(self, now: float) -> int:
        """End all listen keys; returns their number."""
        keys = list(self._keys)
        for key in keys:
            self._expire(key, now)
        return len(keys)

    def lose(self) -> None:
        """Drop all subscriptions silently; the connections stay up."""
        self._told.clear()

    def forget(self, client: Client) -> None:
        """Remove the subscriptions of a connection that ended."""
        for subscriptions in self._told.values():
            subscriptions.difference_update([s for s in subscriptions if s.client is client])
        self._numbers.pop(client, None)

    # -- listen keys ---------------------------------------------------------------------------------------------

    def open_key(self, account: str, _: Params) -> Mapping[str, str]:
        """POST userDataStream: the account's listen key, with its lifetime starting anew."""
        now = time.monotonic()
        key = next((key for key, (owner, _) in self._keys.items() if owner == account), secrets.token_hex(30))
        self._keys[key] = (account, now + self._life_s)
        return {"listenKey": key}

    def keep_key(self, account: str, params: Params) -> Mapping[str, str]:
        """PUT userDataStream. Raises ApiError -1125."""
        self._keys[self._own(account, params)] = (account, time.monotonic() + self._life_s)
        return {}

    def close_key(self, account: str, params: Params) -> Mapping[str, str]:
        """DELETE userDataStream. Raises ApiError -1125."""
        self._expire(self._own(account, params), time.time())
        return {}

    def is_key(self, name: str) -> bool:
        """Whether that is a listen key that has not expired."""
        return self._keys.get(name, ("", 0.0))[1] > time.monotonic()

    def follow(self, client: Client, key: str) -> None:
        """Subscribe a client to the account of a listen key."""
        self._told[self._keys[key][0]].add(Subscription(client, listen_key=key))

    def unfollow(self, client: Client, keys: Collection[str]) -> None:
        """Unsubscribe a client from these listen keys; unknown names are ignored."""
        for subscriptions in self._told.values():
            ended = [one for one in subscriptions if one.client is client and one.listen_key in keys]
            subscriptions.difference_update(ended)

    def expire(self, now: float) -> None:
        """End the listen keys that have expired."""
        over = [key for key, (_, end) in self._keys.items() if end <= time.monotonic()]
        for key in over:
            self._expire(key, now)

    def _own(self, account: str, params: Params) -> str:
        key = params.get("listenKey", "")
        if not key:
            raise errors.missing("listenKey")
        if self._keys.get(key, ("", 0.0))[0] != account:
            raise ApiError(*errors.NO_LISTEN_KEY)
        return key

    def _expire(self, key: str, now: float) -> None:
        del self._keys[key]
        event = {"e": "listenKeyExpired", "E": int(now * 1000), "listenKey": key}
        self._end(lambda subscription: subscription.listen_key == key, event)

    def _end(self, chosen: Callable[[Subscription], bool], event: object) -> int:
        ended = list(self._all(chosen))
        for account, subscription in ended:
            subscription.tell(event)
            self._told[account].discard(subscription)
        return len(ended)

    def _all(self, chosen: Callable[[Subscription], bool]) -> Iterator[tuple[str, Subscription]]:
        for account, subscriptions in self._told.items():
            yield from ((account, subscription) for subscription in subscriptions if chosen(subscription))
