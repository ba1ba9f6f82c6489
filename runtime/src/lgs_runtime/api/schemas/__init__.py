"""What requests may say and what answers look like: the models of bodies and queries, the shapes that the
API's description shows, and our records as that JSON."""
