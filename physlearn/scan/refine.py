"""Placeholder."""


def refine(*a, **k):
    """None."""
    return []
