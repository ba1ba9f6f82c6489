"""`make centre`: the customer-service centre under load and faults, and a panel of what was measured."""
