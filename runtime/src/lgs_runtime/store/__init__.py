"""The long-term store of items, on both databases."""
