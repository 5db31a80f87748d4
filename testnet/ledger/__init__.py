"""The trader's write-ahead ledger: `chain` is the pure format, `file` the disk, `quarantine` what cannot be trusted."""

from stormdesk.testnet.ledger.file import Ledger, LedgerError

__all__ = ["Ledger", "LedgerError"]
