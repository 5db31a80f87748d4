"""The proof: pytest-testinfra files, one family of invariants each, and what runs them."""
