"""The exchange: Binance Spot's REST, market streams and user stream over one matching engine with its own journal.

`errors market book accounts exchange house signing replies` are pure; `journal streams rest control` do the I/O.
"""
