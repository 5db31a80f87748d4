"""The orchestrator: who leads, whether the desk may trade, which alerts nobody has answered. `state` is pure."""
