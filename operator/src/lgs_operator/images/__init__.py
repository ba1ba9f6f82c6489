"""An image from a `langgraph.json`: what to install in which order (`plan`), as a Dockerfile (`dockerfile`),
of which files (`context`), by which program (`builder`).
"""
