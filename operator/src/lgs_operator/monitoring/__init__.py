"""What to monitor of services and of the operator, and when to alert: pure descriptions."""
