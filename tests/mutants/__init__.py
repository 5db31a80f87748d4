"""Planted bugs, and the tests that must find them."""
