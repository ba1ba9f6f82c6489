"""What a manifest wants to exist: one pure builder a kind of object, None where it is not wanted."""
