"""The system under test: a trading stack of real processes, sockets and disks.

Each service is started as `python -m stormdesk.testnet.<service> --config FILE`; docs/formats.md sections 2 to 7 fix
what each reads, writes and answers.
"""
