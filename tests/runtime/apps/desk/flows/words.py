"""What the flows share."""


def shorten(text: str) -> str:
    """The first three words."""
    return " ".join(text.split()[:3])
