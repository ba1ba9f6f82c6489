"""The layer under checkpoints, store and storage: drivers, group commit, addresses, JSON for columns."""
