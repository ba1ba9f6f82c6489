"""Every statement of the PostgreSQL storage, by name: a module for each part of the contract, named
alike for both databases."""
