"""Exact arithmetic on boxes, for statements that share nothing with the golden models."""

from fractions import Fraction


def overlap(a, b):
    """IoU of two boxes of integer corners, exactly."""
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return Fraction(both, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
