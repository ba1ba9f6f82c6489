"""`lgs up`: runs a manifest on one machine, with worker processes as replicas and the
scaling law of the cluster.
"""
