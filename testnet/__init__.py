"""The system under test: a trading stack of real processes, sockets and disks.

Each service is started as `python -m stormdesk.testnet.<service> --config FILE`; docs/formats/ describes what each reads,
writes and answers.
"""
