"""Pure values and rules that all other rooms share: plans, inventories, safety. No I/O; knows no SSH, fault or trading stack."""
