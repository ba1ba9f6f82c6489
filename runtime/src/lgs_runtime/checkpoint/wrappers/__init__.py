"""Savers around a saver: what an attempt, a lease, or an application of its own adds to it."""
