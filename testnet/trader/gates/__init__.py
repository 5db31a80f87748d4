"""The checks before an order is created: gates, which are open or closed, and limits for a single order."""
