"""The venue's request parsers: REST, the market streams' requests, the WebSocket API.

The bytes are a session, one request a line: `<method> <path>[?<query>] [<body>]`, `WS <text>`, `API <text>`. What has to
be signed is played as it is, then with a timestamp that is right, then with a right signature too, for nothing else
gets past them. Whatever is sent, each request gets exactly one answer, no money comes or goes, and the journal gives
the same state again.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from stormdesk.testnet.venue import events, signing
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.api import Api, Ask
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.keys import Account, Config
from stormdesk.testnet.venue.order_entry import Desk, opening
from stormdesk.testnet.venue.rest import ask_of
from stormdesk.testnet.venue.rules import Rules
from stormdesk.testnet.venue.wsapi import WsApi

KEY, SECRET = "key", "secret"
MANY = 10**9
RULES = Rules(weight_per_min=MANY, raw_per_5min=MANY, orders_per_10s=MANY, orders_per_day=MANY)
BALANCES = {"USDT": "100000", "BTC": "5", "ETH": "50"}
LINES = 30  # of a session that are played
STALE = re.compile(r"(timestamp|recvWindow)=[^&]*")


class Listener:
    """A connection that keeps what it is sent."""

    def __init__(self, *, api: bool) -> None:
        self.api, self.wrapped, self.remote, self.since_ms = api, False, "127.0.0.1", 0
        self.streams: set[str] = set()
        self.heard: list[Any] = []
        self.request = SimpleNamespace(query={})  # of the URL that it was opened by

    def send(self, text: str) -> None:
        self.heard.append(msgspec.json.decode(text))

    def answers(self) -> int:
        """How many of the messages are answers, not events."""
        return sum("event" not in message and "e" not in message and "stream" not in message for message in self.heard)


def check(data: bytes) -> Counter[str]:
    """How often each kind of line is in the journal then. Raises AssertionError, or whatever the venue raises, when these
    requests are handled wrongly."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-fuzz-") as home:
        return asyncio.run(_session(Path(home), data.split(b"\n")[:LINES]))


async def _session(home: Path, lines: list[bytes]) -> Counter[str]:
    account = Account("desk", KEY, SECRET, BALANCES)
    config = Config("", "", str(home), "", 7, ["BTCUSDT", "ETHUSDT"], [account], limits=RULES)
    desk = Desk(config)
    api = Api(desk)
    sockets, market, private = WsApi(desk, api), Listener(api=False), Listener(api=True)
    before = _sums(desk.exchange)
    asked = {"WS": 0, "API": 0}
    for number, line in enumerate(lines):
        word, _, rest = line.partition(b" ")
        text = rest.decode(errors="replace")  # a WebSocket lets no other bytes through
        if word == b"WS":
            desk.hub._answer(market, text)
            asked["WS"] += 1
        elif word == b"API":
            for one in (text, _signed_text(text)):
                sockets._answer(private, one)
                asked["API"] += 1
        elif rest:
            for mode in ("as it is", "in time", "signed"):
                _play(api, _request(word, rest, mode))
        if number % 5 == 0:
            desk.tick()
    while sockets._later:
        await asyncio.gather(*sockets._later)
    assert market.answers() == asked["WS"], market.heard
    assert private.answers() == asked["API"], private.heard
    desk.journal.close()
    return _judge(desk, before, config)


def _request(method: bytes, rest: bytes, mode: str) -> Ask | None:
    """The request as it is, with a timestamp that is right, or with a right signature too; None when it is no text."""
    target, _, body = rest.partition(b" ")
    path, _, query = target.decode(errors="surrogateescape").partition("?")
    now = f"timestamp={int(time.time() * 1000)}"
    if mode == "in time":
        query = f"{STALE.sub('', query)}&{now}"
        body = re.sub(rb"timestamp=[^&]*", b"", body)
    elif mode == "signed":
        query = f"{STALE.sub('', query)}&{now}"
        body = re.sub(rb"(timestamp|recvWindow|signature)=[^&]*", b"", body)
        payload = signing.without_signature(query) + signing.without_signature(body.decode(errors="replace"))
        query = f"{query}&signature={signing._hmac(SECRET, payload.encode(errors='replace')).decode()}"
    try:
        return ask_of(method.decode(errors="replace"), path, query, body, KEY, "127.0.0.1")
    except UnicodeError:
        return None  # refused before there is a request


def _play(api: Api, ask: Ask | None) -> None:
    if ask is None:
        return
    try:
        document = api.answer(ask).document
    except ApiError as refusal:
        status, document = refusal.status, {"code": refusal.code, "msg": refusal.msg}
    else:
        status = 200
    msgspec.json.encode(document)
    assert status < 500, document


def _signed_text(text: str) -> str:
    """The request with parameters that are signed as they should be, when it has any."""
    try:
        request = msgspec.json.decode(text)
        params = {**request["params"], "apiKey": KEY, "timestamp": int(time.time() * 1000)}
        params.pop("signature", None)
        words = {
            key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for key, value in params.items()
        }
        payload = "&".join(f"{key}={words[key]}" for key in sorted(words) if params[key] is not None)
        return msgspec.json.encode(
            {**request, "params": {**params, "signature": signing.sign(SECRET, payload)}}
        ).decode()
    except (msgspec.MsgspecError, TypeError, KeyError, RecursionError, UnicodeError):
        return text


def _sums(exchange: Exchange) -> dict[str, Decimal]:
    held = exchange.accounts.totals().values()
    assets = {asset for one in held for asset in one}
    return {asset: sum((one.get(asset, Decimal(0)) for one in held), Decimal(0)) for asset in assets}


def _judge(desk: Desk, before: dict[str, Decimal], config: Config) -> Counter[str]:
    exchange = desk.exchange
    assert not exchange.take(), "something happened that nobody was told"
    assert {asset: total for asset, total in _sums(exchange).items() if total} == before, "money came or went"
    assert all(b.free >= 0 and b.locked >= 0 for b in exchange.accounts.of("desk").values())
    raw = (Path(config.data_dir) / "journal.jsonl").read_bytes().splitlines()
    lines = [msgspec.json.decode(line, type=events.Line) for line in raw]
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    again = Exchange(exchange.symbols, Accounts(opening(lines, config, exchange.symbols)))
    again.replay(lines)
    assert again.orders == exchange.orders, "the journal gives other orders"
    assert again.accounts.of("desk") == exchange.accounts.of("desk"), "the journal gives other balances"
    return Counter(type(line).__name__ for line in lines)
