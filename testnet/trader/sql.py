"""The trader's statements, docs/formats/database.md. Each is atomic by itself."""

from __future__ import annotations

TERMINAL = "('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED')"

SCHEMA = """
select pg_advisory_xact_lock(7077);
create table if not exists orders (
    client_order_id text primary key, signal text unique, instance text, epoch bigint, symbol text, side text,
    type text, price numeric, qty numeric, state text, reason text, order_id bigint, created_at timestamptz,
    updated_at timestamptz);
create index if not exists orders_order_id on orders (order_id);
create table if not exists fills (
    trade_id bigint primary key, client_order_id text, symbol text, side text, price numeric, qty numeric,
    quote_qty numeric, fee numeric, fee_asset text, t double precision);
create index if not exists fills_client_order_id on fills (client_order_id);
create table if not exists positions (asset text primary key, opening numeric, position numeric);
create table if not exists epochs (epoch bigserial primary key, instance text, granted_at timestamptz);
create table if not exists cursors (symbol text primary key, next_trade_id bigint);
"""

GRANT = "insert into epochs (instance, granted_at) values (%s, now()) returning epoch"

NEWEST = "select coalesce(max(epoch), 0) from epochs"

# Fenced: a leader whose epoch is not the newest writes no row, so it sends no order.
INSERT = """
insert into orders select %s, %s, %s, %s, %s, %s, %s, %s, %s, 'PENDING_NEW', null, null, now(), now()
where %s >= (select coalesce(max(epoch), 0) from epochs) on conflict (signal) do nothing returning 1
"""

# For rows that do not permit a send: refused orders, and orders that only the ledger has. A signal that has an order
# keeps it.
RECORD = """
with given (cid, signal, instance, epoch, symbol, side, type, price, qty, state, reason) as (values (
    %s::text, %s::text, %s::text, %s::bigint, %s::text, %s::text, %s::text, %s::numeric, %s::numeric, %s::text, %s::text
))
insert into orders select given.*, null, now(), now() from given
where not exists (select from orders o where o.signal = given.signal and o.client_order_id <> given.cid)
on conflict (client_order_id) do update set state = excluded.state, reason = excluded.reason, updated_at = now()
where orders.state in ('PENDING_NEW', 'UNKNOWN')
"""

# Forward only: a late write of a former leader must not undo its successor's. Terminal states stay.
STATE = """
with given (state, reason, order_id, cid, ranks) as (values (
    %s::text, %s::text, %s::bigint, %s::text, array['PENDING_NEW', 'UNKNOWN', 'NEW', 'PARTIALLY_FILLED']
))
update orders o set updated_at = now(), reason = coalesce(given.reason, o.reason),
    order_id = coalesce(given.order_id, o.order_id), state = case
        when array_position(ranks, o.state) < coalesce(array_position(ranks, given.state), 5) then given.state
        else o.state end
from given where o.client_order_id = cid
"""

# The fill, the positions it moves and the order's state, once per trade id. Returns the new positions, or nothing if
# the trade was already booked. `fills` is read as it was before, so the new fill is added explicitly.
BOOK = f"""
with fresh as (
    insert into fills values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (trade_id) do nothing returning *
), moves (asset, delta) as (
    values (%s::text, %s::numeric), (%s, %s), (%s, %s)
), stated as (
    update orders o set updated_at = now(), state = case when o.qty <= fresh.qty + (
        select coalesce(sum(f.qty), 0) from fills f where f.client_order_id = o.client_order_id
    ) then 'FILLED' else 'PARTIALLY_FILLED' end
    from fresh where o.client_order_id = fresh.client_order_id and o.state not in {TERMINAL}
)
insert into positions select asset, 0, sum(delta) from moves where exists (select from fresh) group by asset
on conflict (asset) do update set position = positions.position + excluded.position
returning asset, position
"""  # noqa: S608  (constants only)

_ROW = """
select o.client_order_id, o.signal, o.symbol, o.side, o.type, o.price, o.qty, o.epoch, o.state, o.order_id,
    coalesce(sum(f.qty), 0), coalesce(array_agg(f.trade_id) filter (where f.trade_id is not null), '{}')
from orders o left join fills f on f.client_order_id = o.client_order_id
"""
UNFINISHED = f"{_ROW} where o.state not in {TERMINAL} group by o.client_order_id order by o.created_at"
NAMED = f"{_ROW} where o.client_order_id = any(%s) group by o.client_order_id"

OWN_FILLS = """
select f.client_order_id, f.trade_id, f.qty, f.price, f.fee, f.fee_asset
from fills f join orders o on o.client_order_id = f.client_order_id where o.instance = %s order by f.trade_id
"""
WHOSE = "select client_order_id from orders where order_id = %s"
CURSORS = "select symbol, next_trade_id from cursors"
CURSOR = """
insert into cursors values (%s, %s)
on conflict (symbol) do update set next_trade_id = greatest(cursors.next_trade_id, excluded.next_trade_id)
"""
# Trades that the venue has voided leave the books, and their effect on positions is reversed.
UNBOOK = """
with gone as (
    delete from fills where symbol = %s and trade_id = any(%s) returning *
), moves (asset, delta) as (
    select %s::text, sum(case side when 'BUY' then -qty else qty end) from gone
    union all select %s::text, sum(case side when 'BUY' then quote_qty else -quote_qty end) from gone
    union all select fee_asset, sum(fee) from gone group by fee_asset
)
update positions p set position = p.position + total.delta
from (select asset, coalesce(sum(delta), 0) as delta from moves group by asset) total where p.asset = total.asset
"""

OF_TRADES = "select distinct client_order_id from fills where trade_id = any(%s)"
MEND_STATE = "update orders set state = %s, updated_at = now() where client_order_id = %s"

# Deposits and withdrawals outside trading belong to the opening.
ADJUST = """
insert into positions values (%s, %s, %s) on conflict (asset) do update
set opening = positions.opening + excluded.opening, position = positions.position + excluded.position
"""

KNOWN = "select 1 from orders where signal = %s"
LATEST_TRADES = "select trade_id from fills where symbol = %s order by trade_id desc limit %s"
POSITIONS = "select asset, opening, position from positions order by asset"
OPENING = "insert into positions values (%s, %s, %s) on conflict (asset) do nothing"
POSITIONS_TEXT = "select asset, opening::text, position::text from positions order by asset"
ORDERS_KEYS = (
    "client_order_id", "signal", "instance", "epoch", "symbol", "side", "type", "price", "qty", "state", "reason",
    "order_id", "created_at", "updated_at",
)  # fmt: skip
ORDERS = """
select client_order_id, signal, instance, epoch, symbol, side, type, price::text, qty::text, state, reason, order_id,
    created_at::text, updated_at::text
from orders where %s::text is null or state = %s order by created_at desc limit 1000
"""
