"""Builds an image from a `langgraph.json`: `plan` decides what to install in which order, `dockerfile` writes
it down, `context` copies the files, and `builder` runs the program.
"""
