"""The objects that a manifest asks for: one pure builder for each, which gives None if it is not wanted."""
