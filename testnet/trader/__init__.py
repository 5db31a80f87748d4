"""The trader: leader of one strategy. An order is INTENT in the ledger, row in PostgreSQL, request to the venue: always
in that order.

`ids states signals answers trace watch` are pure; `venue store leader` talk to the outside; `desk` keeps the orders,
`poll` and `recovery` find missed events, `trader` assembles the parts and `http` serves them.
"""
