"""Where runs, threads and assistants are kept: one contract, a SQLite and a Postgres implementation."""
