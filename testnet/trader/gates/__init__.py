"""What may stop an order before it is one: gates that stand open or closed, and limits that judge a single order."""
