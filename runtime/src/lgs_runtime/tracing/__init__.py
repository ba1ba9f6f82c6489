"""Traces of runs for OpenTelemetry: one a run, across replicas and attempts.

`propagation`, `identity`, `sampling` and `redaction` decide, and need nothing of OpenTelemetry; the others
are imported only where runs are traced.
"""
