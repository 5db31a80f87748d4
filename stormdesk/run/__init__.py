"""Runs faults and game days: prepare, inject, hold, revert, recover, record. Nothing here knows the trading stack or the command line."""
