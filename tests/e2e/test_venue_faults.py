"""Each fault of the venue over real sockets: it takes effect, it is in the journal, and it ends."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import pytest

from stormdesk.testnet.venue.faults import FAULTS
from tests.e2e.stack_harness import eventually
from tests.e2e.venue_harness import MARKET, RESTING, Listener, VenueProcess, event, listening, subscribe

ALL = "100"
UNCLEAR = {-1001, -1006, -1007, -1008}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    venue = VenueProcess(tmp_path_factory.mktemp("venue"))
    yield venue
    venue.down()


@pytest.fixture
def venue(process: VenueProcess) -> VenueProcess:
    """The venue without faults."""
    process.clear()
    return process


def balances(venue: VenueProcess) -> dict[str, Decimal]:
    held = venue.control("GET", "/balances")[1]["desk"]
    return {asset: Decimal(b["free"]) + Decimal(b["locked"]) for asset, b in held.items()}


# -- the registry, the control port ------------------------------------------------------------------------------


def test_every_fault_starts_and_ends_by_itself(venue: VenueProcess) -> None:
    before = len(venue.journal("FAULT"))
    ids = [venue.begin(name, for_s=1.0) for name in FAULTS]
    eventually("all ended", lambda: not any(venue.fault(id_)["on"] for id_ in ids))
    lines = venue.journal("FAULT")[before:]
    assert {line["name"] for line in lines if line["on"]} == set(FAULTS)
    assert {line["name"] for line in lines if not line["on"]} == set(FAULTS)
    assert venue.request("GET", "account")[0] == 200
    assert venue.place("fine-after-all")[0] == 200


def test_a_repeated_request_starts_it_once_and_a_dead_client_changes_nothing(venue: VenueProcess) -> None:
    asked = {"name": "delay", "for_s": 1.0, "params": {"by": "1ms"}, "id": "r-1"}
    before = len(venue.journal("FAULT"))
    assert venue.control("POST", "/faults", asked)[0] == 201
    assert venue.control("POST", "/faults", asked)[0] == 201
    eventually("over without anybody", lambda: venue.fault("r-1")["on"] is False)
    assert [line["on"] for line in venue.journal("FAULT")[before:]] == [True, False]
    assert venue.control("DELETE", "/faults/r-1")[0] == 200
    assert venue.control("DELETE", "/faults/never-heard-of")[0] == 404


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "drop-respons", "for_s": 5}, "Did you mean: drop-response?"),
        ({"name": "delay", "for_s": 5, "params": {"by": "soon"}}, "not a duration"),
        ({"name": "delay", "for_s": 5, "params": {"speed": "9"}}, "no parameter 'speed'. There is: by, share, on"),
        ({"name": "delay", "for_s": 1e9}, "must be 1s..1795s"),
        ({"name": "delay"}, "for_s"),
        ("nonsense", "Expected"),
    ],
)
def test_a_wrong_request_is_refused_with_the_valid_values(venue: VenueProcess, asked: object, said: str) -> None:
    status, answer = venue.control("POST", "/faults", asked)
    assert status == 400
    assert said in answer["error"]


def test_the_same_seed_gives_the_same_decisions(venue: VenueProcess) -> None:
    def statuses(seed: int) -> list[int]:
        with venue.under("error-5xx", seed=seed, share="50", when="before"):
            return [venue.request("GET", "account")[0] for _ in range(24)]

    first = statuses(5)
    assert statuses(5) == first
    assert statuses(6) != first


# -- answers -----------------------------------------------------------------------------------------------------


def test_scenario_E_08_drop_response(venue: VenueProcess) -> None:
    id_ = venue.begin("drop-response", share=ALL)
    with pytest.raises(TimeoutError):
        venue.place("dropped", timeout_s=0.5)
    status, order = venue.query("dropped")
    assert (status, order["status"]) == (200, "FILLED")
    assert venue.end(id_)["hits"] == 1
    assert venue.place("not-dropped")[0] == 200


def test_delay(venue: VenueProcess) -> None:
    with venue.under("delay", by="400ms", share=ALL):
        began = time.monotonic()
        assert venue.request("GET", "time")[0] == 200
        assert time.monotonic() - began >= 0.4


def test_scenario_SN_06_partial_response(venue: VenueProcess) -> None:
    with venue.under("partial-response", share=ALL, body="50"):
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            venue.place("cut")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            venue.request("GET", "account")
    assert venue.query("cut")[1]["status"] == "FILLED"


def test_scenario_S2_05_duplicate_confirmation(venue: VenueProcess) -> None:
    with venue.under("duplicate-confirmation", share=ALL):
        first, second = venue.place("one")[1], venue.place("two")[1]
        assert first["clientOrderId"] != second["clientOrderId"]
        assert first["orderId"] == second["orderId"]
    assert venue.query("two")[1]["orderId"] != first["orderId"]


def test_scenario_S2_09_stale_positions(venue: VenueProcess) -> None:
    with venue.under("stale-positions"):
        old = venue.request("GET", "account")[1]["balances"]
        assert venue.request("GET", "openOrders", {"symbol": "BTCUSDT"})[1] == []
        venue.place("unseen", RESTING)
        venue.place("bought")
        assert venue.request("GET", "account")[1]["balances"] == old
        assert venue.request("GET", "openOrders", {"symbol": "BTCUSDT"})[1] == []
    assert venue.request("GET", "account")[1]["balances"] != old
    assert len(venue.request("GET", "openOrders", {"symbol": "BTCUSDT"})[1]) == 1


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "http_status"), [("-1001", 500), ("-1006", 500), ("-1007", 504), ("-1008", 503)])
@pytest.mark.parametrize(("when", "state"), [("before", 400), ("after", 200)])
def test_scenario_SN_04_error_5xx(venue: VenueProcess, code: str, http_status: int, when: str, state: int) -> None:
    cid = f"error-{code}-{when}"
    with venue.under("error-5xx", share=ALL, code=code, when=when, on="orders"):
        status, answer = venue.place(cid)
        assert (status, answer["code"]) == (http_status, int(code))
    assert venue.query(cid)[0] == state, "done, or not done"


def test_errors_of_any_code_leave_orders_of_both_kinds(venue: VenueProcess) -> None:
    with venue.under("error-5xx", share=ALL, on="orders", seed=3):
        answers = [venue.place(f"any-{n}")[1] for n in range(24)]
    assert {answer["code"] for answer in answers if "code" in answer} == UNCLEAR
    done = {venue.query(f"any-{n}")[0] for n, answer in enumerate(answers) if "code" in answer}
    assert done == {200, 400}


def test_scenario_K_04_rate_limit(venue: VenueProcess) -> None:
    with venue.under("rate-limit", share=ALL, retry_after="2s") as id_:
        status, answer, headers = venue.request("GET", "account")
        assert (status, answer["code"], headers["Retry-After"]) == (429, -1003, "2")
        assert venue.place("refused")[0] == 429
        first, second = venue.journal("THROTTLED")[-2:]
        early = venue.journal("EARLY")[-1]
        assert first["until"] == early["until"] == second["until"]
        assert (first["status"], first["retry_after_s"], early["account"]) == (429, 2, "desk")
        assert venue.fault(id_)["hits"] == 2
    assert venue.place("taken")[0] == 200
    assert venue.query("refused")[0] == 400


def test_scenario_E_15_ban(venue: VenueProcess) -> None:
    with venue.under("ban", retry_after="1s"):
        status, answer, headers = venue.request("GET", "account")
        assert (status, answer["code"], headers["Retry-After"]) == (418, -1003, "1")
        assert "IP banned until" in answer["msg"]
        assert venue.place("banned")[0] == 418
        time.sleep(1.1)
        assert venue.request("GET", "account")[0] == 200


def test_scenario_E_13_cancel_only(venue: VenueProcess) -> None:
    venue.place("rests", RESTING)
    with venue.under("cancel-only"):
        status, answer = venue.place("halted")
        assert (status, answer["code"], answer["msg"]) == (400, -1013, "Market is closed.")
        symbols = venue.request("GET", "exchangeInfo")[1]["symbols"]
        assert {symbol["status"] for symbol in symbols} == {"CANCEL_ONLY"}
        canceled = venue.request("DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "rests"})
        assert canceled[1]["status"] == "CANCELED"
    assert {s["status"] for s in venue.request("GET", "exchangeInfo")[1]["symbols"]} == {"TRADING"}
    assert venue.place("open-again")[0] == 200


@pytest.mark.parametrize("by", ["10s", "-10s"])
def test_scenario_E_16_clock_offset(venue: VenueProcess, by: str) -> None:
    with venue.under("clock-offset", by=by):
        told = venue.request("GET", "time")[1]["serverTime"] / 1000 - time.time()
        assert 9 < abs(told) < 11
        status, answer = venue.place(f"skewed{by}")
        assert (status, answer["code"]) == (400, -1021)
    assert venue.place(f"right{by}")[0] == 200


def test_scenario_E_12_freeze(venue: VenueProcess) -> None:
    """REST says nothing, streams say nothing, connections stay; then what was asked is answered."""

    async def scenario(market: Listener) -> None:
        await market.wait("alive", lambda _: True)
        id_ = venue.begin("freeze")
        await market.collect(0.5)
        with pytest.raises(TimeoutError):
            venue.request("GET", "time", timeout_s=0.5)
        trades = len(venue.journal("TRADE"))
        assert await market.collect(0.7) == []
        assert not market.socket.closed
        await market.socket.ping()
        await market.socket.send_json({"id": 7, "method": "LIST_SUBSCRIPTIONS", "params": []})
        assert await market.collect(0.3) == []
        assert len(venue.journal("TRADE")) == trades
        venue.end(id_)
        await market.wait("answered", lambda said: said.get("id") == 7)
        await market.wait("data again", lambda said: said.get("e") == "depthUpdate")

    listening(venue, "/ws/btcusdt@depth@100ms", scenario)
    assert venue.request("GET", "time")[0] == 200


def test_scenario_E_12_freeze_with_errors(venue: VenueProcess) -> None:
    with venue.under("freeze", rest="500"):
        assert venue.request("GET", "time")[0] == 500
        assert venue.place("frozen")[0] == 500
    assert venue.query("frozen")[0] == 400


# -- executions --------------------------------------------------------------------------------------------------


def test_scenario_S2_01_partial_fill(venue: VenueProcess) -> None:
    with venue.under("partial-fill", share=ALL, filled="30"):
        order = venue.place("part", {**MARKET, "quantity": "0.01"})[1]
        assert (order["status"], Decimal(order["executedQty"])) == ("EXPIRED", Decimal("0.003"))
        crossing = {**RESTING, "quantity": "0.01", "price": "61000.00"}
        assert Decimal(venue.place("part-of-a-limit", crossing)[1]["executedQty"]) == Decimal("0.003")
        assert venue.place("rests", RESTING)[1]["status"] == "NEW"
    assert venue.place("whole", {**MARKET, "quantity": "0.01"})[1]["status"] == "FILLED"


def test_scenario_E_14_rollback(venue: VenueProcess) -> None:
    before, kept = balances(venue), venue.request("GET", "myTrades", {"symbol": "BTCUSDT"})[1]
    time.sleep(1.0)  # between what stays and what goes
    began = time.time()
    venue.place("undone")
    venue.place("taken-back", RESTING)
    assert balances(venue) != before
    with venue.under("rollback", last=f"{time.time() - began + 0.5:.3f}s"):
        assert balances(venue) == before
        assert venue.request("GET", "myTrades", {"symbol": "BTCUSDT"})[1] == kept
        assert venue.query("undone")[1]["status"] == "CANCELED"
    line = venue.journal("ROLLBACK")[-1]
    undone = [trade["trade_id"] for trade in venue.journal("TRADE") if trade["client_order_id"] == "undone"]
    assert set(line["trades"]) == set(undone)
    assert line["to_seq"] < min(trade["seq"] for trade in venue.journal("TRADE") if trade["trade_id"] in undone)


def test_scenario_S2_02_external_order(venue: VenueProcess) -> None:
    before = balances(venue)
    with venue.under("external-order", side="SELL", worth="600"):
        pass
    mark = venue.journal("MARK")[-1]
    assert mark["what"] == "external-order"
    cid = mark["detail"]["client_order_id"]
    assert cid.startswith("web_")
    status, order = venue.query(cid)
    assert (status, order["status"], order["side"]) == (200, "FILLED", "SELL")
    assert balances(venue)["BTC"] == before["BTC"] - Decimal(order["executedQty"])
    assert not [line for line in venue.journal("REQUEST") if line["client_order_id"] == cid], "nobody sent it"
    assert venue.control("POST", "/external-order", {"side": "BUY", "worth": 50})[0] == 201
    assert venue.control("POST", "/external-order", {"side": "BUY", "worth": 1})[0] == 409, "below the least"
    assert venue.control("POST", "/external-order", {"side": "HOLD"})[0] == 400


# -- streams -----------------------------------------------------------------------------------------------------


def test_scenario_S2_03_duplicate_report(venue: VenueProcess) -> None:
    async def scenario(user: Listener) -> None:
        with venue.under("duplicate-report", share=ALL):
            venue.place("twice")
            told = [event(message) for message in await user.collect(1.0)]
        reports = [report for report in told if report["e"] == "executionReport" and report["x"] == "NEW"]
        assert len(reports) == 2
        assert reports[0] == reports[1]
        venue.place("once")
        told = [event(message) for message in await user.collect(1.0)]
        assert len([report for report in told if report["e"] == "executionReport" and report["x"] == "NEW"]) == 1

    listening(venue, "/ws-api/v3", scenario)


def test_scenario_S3_03_skip_depth(venue: VenueProcess) -> None:
    def gaps(messages: list[dict[str, int]]) -> int:
        return sum(later["U"] != before["u"] + 1 for before, later in pairwise(messages))

    async def scenario(market: Listener) -> None:
        with venue.under("skip-depth", share="40", seed=2):
            assert gaps(await market.collect(4.0)) >= 1
        await market.wait("the last of it", lambda _: True)
        assert gaps(await market.collect(1.0)) == 0

    listening(venue, "/ws/btcusdt@depth@100ms", scenario)


def test_scenario_SN_05_stale_data(venue: VenueProcess) -> None:
    async def scenario(market: Listener) -> None:
        with venue.under("stale-data"):
            venue.request("GET", "depth", {"symbol": "BTCUSDT"})
            old = await market.wait("the same again", lambda message: message in market.heard[:-1])
            assert all(message == old for message in await market.collect(1.0))
            assert len({venue.request("GET", "depth", {"symbol": "BTCUSDT"})[1]["lastUpdateId"] for _ in range(3)}) == 1
        await market.wait("fresh", lambda message: message["u"] > old["u"])

    listening(venue, "/ws/btcusdt@depth@100ms", scenario)


def test_scenario_E_10_token_expiry(venue: VenueProcess) -> None:
    async def scenario(user: Listener) -> None:
        with venue.under("token-expiry", every="30s"):
            await user.wait("told", lambda message: event(message).get("e") == "eventStreamTerminated")
            venue.place("unheard")
            assert await user.collect(0.7) == []
            assert not user.socket.closed
            await subscribe(user)
        venue.place("heard")
        await user.wait("executions again", lambda message: event(message).get("c") == "heard")

    listening(venue, "/ws-api/v3", scenario)


def test_scenario_K_02_refused_streams(venue: VenueProcess) -> None:
    async def scenario(user: Listener) -> None:
        with venue.under("refuse-streams"):
            await user.wait("told", lambda message: event(message).get("e") == "eventStreamTerminated")
            assert _upgrade(venue) == 503
            assert venue.request("GET", "account")[0] == 200
        assert [line["remote"] for line in venue.journal("REFUSED")] == ["127.0.0.1"]
        assert _upgrade(venue) == 101
        await subscribe(user)

    listening(venue, "/ws-api/v3", scenario)


def _upgrade(venue: VenueProcess) -> int:
    """The status of a new connection to the WebSocket API."""
    link = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=5)
    keys = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    try:
        link.request("GET", "/ws-api/v3", headers={"Connection": "Upgrade", "Upgrade": "websocket", **keys})
        return link.getresponse().status
    finally:
        link.close()


def test_scenario_E_10_listen_key_expiry(venue: VenueProcess) -> None:
    key = venue.request("POST", "userDataStream")[1]["listenKey"]

    async def scenario(user: Listener) -> None:
        with venue.under("listen-key-expiry", every="30s"):
            told = await user.wait("told", lambda message: message["e"] == "listenKeyExpired")
            assert told["listenKey"] == key
            assert venue.request("PUT", "userDataStream", {"listenKey": key})[1]["code"] == -1125
            venue.place("unheard-by-key")
            assert await user.collect(0.7) == []
            assert not user.socket.closed

    listening(venue, f"/ws/{key}", scenario)
    again = venue.request("POST", "userDataStream")[1]["listenKey"]
    assert venue.request("PUT", "userDataStream", {"listenKey": again})[0] == 200


@pytest.mark.parametrize(("restored", "code"), [("data-lost", 1101), ("data-kept", 1102)])
def test_persona(venue: VenueProcess, restored: str, code: int) -> None:
    async def scenario(user: Listener) -> None:
        venue.place(f"rests-{code}", RESTING)
        await user.collect(0.3)
        id_ = venue.begin("persona", restored=restored)
        assert event(await user.wait("1100", lambda _: True))["code"] == 1100
        assert venue.place(f"lost-{code}")[0] == 503
        assert venue.control("POST", "/external-order", {"side": "BUY", "worth": 50})[0] == 201
        assert await user.collect(0.5) == [], "nothing is told meanwhile"
        venue.end(id_)
        assert event(await user.wait("back", lambda _: True))["code"] == code
        told = [event(message) for message in await user.collect(0.7)]
        assert any(report.get("c", "").startswith("web_") for report in told) is (code == 1102)
        venue.place(f"after-{code}")
        heard = [event(message) for message in await user.collect(0.7)]
        assert any(report.get("c") == f"after-{code}" for report in heard) is (code == 1102)
        if code == 1101:  # else it is subscribed still, and a second time would be refused
            await subscribe(user)
        venue.place(f"subscribed-{code}")
        await user.wait("executions again", lambda message: event(message).get("c") == f"subscribed-{code}")

    listening(venue, "/ws-api/v3", scenario)


def test_a_subscriber_during_the_brokers_outage_is_told(venue: VenueProcess) -> None:
    id_ = venue.begin("persona")

    async def scenario(user: Listener) -> None:
        assert event(await user.wait("1100", lambda _: True))["code"] == 1100
        venue.end(id_)
        assert event(await user.wait("1101", lambda _: True))["code"] == 1101

    listening(venue, "/ws-api/v3", scenario)
