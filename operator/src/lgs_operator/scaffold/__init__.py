"""`lgs init`: makes a manifest from a `langgraph.json`. `facts` finds out what it can, and `manifest` gives
the reason for each choice.
"""
