"""Pure values and rules that every other room speaks: plans, states, inventories, safety. No I/O, and nothing here knows SSH, a fault or a trading stack."""
