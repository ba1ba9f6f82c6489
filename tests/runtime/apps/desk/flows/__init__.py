"""Graphs that are named by their module."""
