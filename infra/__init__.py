"""What exists: the topology and its stacks (pure), and the environments, engines and backends that create them."""
