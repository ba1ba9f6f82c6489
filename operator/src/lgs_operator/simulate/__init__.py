"""`lgs simulate`: a load on a simulated clock, through the scaling law of a manifest and those of others.

Pure but for reading a trace, sharing plays among processes and printing; nothing here runs in a cluster.
"""
