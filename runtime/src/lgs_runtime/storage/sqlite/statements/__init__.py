"""Every statement of the SQLite storage, by name: a module for each part of the contract, named
alike for both databases."""
