"""ccxt's exception for each error of the venue, and the venue's journal afterwards."""

from __future__ import annotations

import ccxt
from ccxt_rest import CONFIG, SYMBOL, exchange, order
from told import control, fault, journal, raises, run

SMALL = {"newClientOrderId": "small"}


def check_skew_is_invalid_nonce() -> None:
    off = ccxt.binance(CONFIG)
    off.load_markets()
    for difference_ms in (60_000, -60_000):
        off.options["timeDifference"] = difference_ms
        raises(ccxt.InvalidNonce, off.fetch_open_orders, SYMBOL)
    off.load_time_difference()
    off.fetch_open_orders(SYMBOL)


def check_bad_signature_and_key_are_authentication_errors() -> None:
    for change in ({"secret": "wrong"}, {"apiKey": "wrong"}):
        wrong = ccxt.binance({**CONFIG, **change})
        wrong.load_markets()
        raises(ccxt.AuthenticationError, wrong.fetch_open_orders, SYMBOL)


def check_a_revoked_key_after_a_good_call_is_ddos_protection() -> None:
    revoked = ccxt.binance(CONFIG)
    revoked.load_markets()
    revoked.fetch_open_orders(SYMBOL)
    revoked.apiKey = "revoked"
    raises(ccxt.DDoSProtection, revoked.fetch_open_orders, SYMBOL)


def check_filters() -> None:
    """ccxt knows filters by name, but not NOTIONAL: that code it calls a bad request."""
    words = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", **SMALL}
    for name, kind, qty, price in (
        ("LOT_SIZE", ccxt.InvalidOrder, "0.000001", "50000"),
        ("PRICE_FILTER", ccxt.InvalidOrder, "0.01", "50000.001"),
        ("NOTIONAL", ccxt.BadRequest, "0.00001", "50000"),
        ("PERCENT_PRICE_BY_SIDE", ccxt.InvalidOrder, "0.01", "1000"),
    ):
        error = raises(kind, exchange.private_post_order, {**words, "quantity": qty, "price": price})
        assert f"Filter failure: {name}" in str(error)
    assert journal("small") == ["REQUEST", "REJECTED"] * 4


def check_bad_symbol_and_parameters() -> None:
    raises(ccxt.BadSymbol, exchange.public_get_depth, {"symbol": "NOPE"})
    raises(ccxt.BadRequest, exchange.public_get_depth, {})
    raises(ccxt.BadRequest, exchange.private_post_order, {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT"})


def check_a_duplicate_id_is_an_invalid_order() -> None:
    order("twice")
    error = raises(ccxt.InvalidOrder, order, "twice")
    assert "Duplicate order sent." in str(error)
    assert journal("twice") == ["REQUEST", "ACCEPTED", "REQUEST", "REJECTED"]
    exchange.cancel_all_orders(SYMBOL)


def check_an_id_can_be_used_again_once_its_order_ended() -> None:
    exchange.create_order(SYMBOL, "market", "buy", 0.001, None, {"newClientOrderId": "again"})
    exchange.create_order(SYMBOL, "market", "buy", 0.001, None, {"newClientOrderId": "again"})
    assert journal("again").count("ACCEPTED") == 2  # Binance's own trap: only OPEN orders must have different ids


def check_no_funds() -> None:
    raises(ccxt.InsufficientFunds, exchange.create_order, SYMBOL, "market", "sell", 500)


def check_unknown_orders_are_not_found() -> None:
    raises(ccxt.OrderNotFound, exchange.cancel_order, "12345", SYMBOL)
    raises(ccxt.OrderNotFound, exchange.fetch_order, "12345", SYMBOL)


def check_unclear_answers() -> None:
    """5xx says nothing about the order: these are there. The class of -1008 is what ccxt says at an address of one's own."""
    for code, kind in (
        ("-1001", ccxt.OperationFailed),
        ("-1006", ccxt.OperationFailed),
        ("-1007", ccxt.RequestTimeout),
    ):
        with fault("error-5xx", share="100", code=code, when="after"):
            raises(kind, order, f"unclear{code}")
        assert journal(f"unclear{code}") == ["REQUEST", "ACCEPTED"]
        assert exchange.fetch_order("", SYMBOL, {"origClientOrderId": f"unclear{code}"})["status"] == "open"
    with fault("error-5xx", share="100", code="-1008", when="before"):
        raises(ccxt.ExchangeError, order, "overloaded")
    assert journal("overloaded") == ["REQUEST", "REJECTED"]


def check_a_lost_answer_is_a_timeout_and_the_order_is_there() -> None:
    hasty = ccxt.binance({**CONFIG, "timeout": 1_000})
    hasty.load_markets()
    with fault("drop-response", share="100"):
        words = (SYMBOL, "limit", "buy", 0.01, 50_000, {"newClientOrderId": "lost"})
        raises(ccxt.RequestTimeout, hasty.create_order, *words)
    assert hasty.fetch_order("", SYMBOL, {"origClientOrderId": "lost"})["status"] == "open"
    exchange.cancel_all_orders(SYMBOL)


def check_too_many_orders_are_ddos_protection() -> None:
    words = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "9", "price": "1"}
    hasty = ccxt.binance({**CONFIG, "enableRateLimit": False})
    seen = set()
    for _ in range(60):
        try:
            hasty.private_post_order(words)
        except ccxt.DDoSProtection as error:
            seen.add(str(error).partition("code")[2][2:7])
        except ccxt.InvalidOrder:
            pass
    assert seen == {"-1015"}, seen


def check_too_much_weight_is_ddos_protection_and_ends_in_a_ban() -> None:
    hasty = ccxt.binance({**CONFIG, "enableRateLimit": False})
    statuses = []
    for _ in range(80):
        try:
            hasty.public_get_depth({"symbol": "BTCUSDT", "limit": 5000})
        except ccxt.DDoSProtection:
            statuses.append(418 if "IP banned until" in hasty.last_http_response else 429)
            assert int({k.lower(): v for k, v in hasty.last_response_headers.items()}["retry-after"]) > 0
        if 418 in statuses:
            break
    assert (statuses[0], statuses[-1]) == (429, 418), statuses
    lines = [line for line in control("journal?since=0") if line["kind"] in ("THROTTLED", "EARLY")]
    assert [line["status"] for line in lines if line["kind"] == "THROTTLED"][-1] == 418
    assert sum(line["kind"] == "EARLY" for line in lines) >= 11


if __name__ == "__main__":
    run(globals(), exchange.load_markets)
