"""The commands of `lgs`, a module each: what they take, and how they report what went wrong."""
