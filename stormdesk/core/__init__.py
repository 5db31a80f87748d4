"""Pure values and rules that all other packages share: plans, inventories, safety. No I/O; independent of SSH, faults and stacks."""
