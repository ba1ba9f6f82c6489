"""`lgs simulate`: a load on a simulated clock, played through the scaling law of a manifest and two others.

Pure but for reading a trace and printing; nothing here runs in a cluster.
"""
