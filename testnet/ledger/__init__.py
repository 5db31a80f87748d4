"""The trader's write-ahead ledger: `chain` is the pure format, `file` the disk, `quarantine` the bad lines."""

from stormdesk.testnet.ledger.file import Ledger, LedgerError

__all__ = ["Ledger", "LedgerError"]
