"""Budgets of tokens or cost: what the runs of the service, or of one user, may spend in an hour or a day.
`limits` says what they are, `window` decides, `ledger` counts, `exposition` shows."""
