"""`lgs up`: a manifest on one machine, with worker processes for replicas and the scaling law of the
cluster.
"""
