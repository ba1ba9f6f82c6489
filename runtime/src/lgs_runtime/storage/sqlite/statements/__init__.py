"""Every statement of the SQLite storage, by name: one module per part of the contract, with the same module
names for both databases."""
