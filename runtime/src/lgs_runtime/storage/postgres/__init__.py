"""The storage on PostgreSQL, for any number of replicas."""
