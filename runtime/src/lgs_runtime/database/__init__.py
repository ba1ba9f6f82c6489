"""The ground floor under checkpoints and queue: drivers, group commit, addresses, JSON as columns take it."""
