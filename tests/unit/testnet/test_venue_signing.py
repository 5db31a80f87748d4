"""Request signatures and their time window."""

from __future__ import annotations

import pytest

from stormdesk.testnet.venue import signing
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.keys import Account

# The example of Binance's own documentation.
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
QUERY = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
ACCOUNT = Account("desk", "key", SECRET, {})
SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_the_documented_example() -> None:
    assert signing.sign(SECRET, QUERY) == SIGNATURE
    signing.check_signature(ACCOUNT, QUERY, SIGNATURE.upper())
    assert signing.without_signature(f"{QUERY}&signature={SIGNATURE}") == QUERY


@pytest.mark.parametrize("payload", [QUERY + " ", QUERY.replace("quantity=1", "quantity=2"), ""])
def test_anything_else_is_refused(payload: str) -> None:
    with pytest.raises(ApiError, match="-1022"):
        signing.check_signature(ACCOUNT, payload, SIGNATURE)


@pytest.mark.parametrize(("params", "code"), [
    ({"timestamp": "100999"}, None),
    ({"timestamp": "101000"}, -1021),
    ({"timestamp": "95000"}, None),
    ({"timestamp": "94999"}, -1021),
    ({"timestamp": "94999", "recvWindow": "6000"}, None),
    ({"timestamp": "99999", "recvWindow": "0"}, -1021),
    ({"timestamp": "100000", "recvWindow": "60001"}, -1131),
    ({}, -1102),
    ({"timestamp": "1e5"}, -1100),
    ({"timestamp": "-5"}, -1100),
])  # fmt: skip
def test_window(params: dict[str, str], code: int | None) -> None:
    """The venue's clock says 100 000 ms."""
    if code is None:
        signing.check_window(params, 100_000)
        return
    with pytest.raises(ApiError) as error:
        signing.check_window(params, 100_000)
    assert error.value.code == code
