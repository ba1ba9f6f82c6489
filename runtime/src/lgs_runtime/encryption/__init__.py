"""`encryption` of langgraph.json: the application's handlers seal what the service keeps before it leaves the
process, and open it when it comes back.

Each part that keeps something (storage, checkpoints, store, streams) has a wrapper with the same contract
here, and the cache asks the cipher. Without the section no wrapper is made, and nothing costs anything.
"""
