"""`lgs init`: a manifest from a `langgraph.json`. What can be found out is (`facts`), and each choice says
why (`manifest`).
"""
