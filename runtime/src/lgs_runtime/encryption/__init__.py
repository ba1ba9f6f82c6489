"""`encryption` of langgraph.json: what the service keeps is sealed by the application's handlers before it
leaves the process, and opened when it comes back.

Each part that keeps something (storage, checkpoints, store, streams) has a wrapper of the same contract here,
and the cache asks the cipher. Without the section none of them is made, and nothing costs anything.
"""
