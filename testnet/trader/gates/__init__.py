"""What may stop an order before it is created: gates, which are open or closed, and limits for a single order."""
