"""`lgs simulate`: plays a load on a simulated clock through the scaling law of a manifest and through others.

Pure except for reading a trace, sharing plays among processes and printing; nothing here runs in a cluster.
"""
