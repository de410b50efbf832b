"""Filters of readings: pure functions of integers."""

import math


def median(values):
    """Return the median of a sequence of integers; of an even number the lower half's highest and upper half's lowest,
    averaged and rounded down."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) & 1:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) // 2


def spread(values, centre):
    """Return the median of the distances from `centre`: how far a usual value lies from it, whatever the outliers do."""
    return median([abs(value - centre) for value in values])


def distance(a, b):
    """Return the Euclidean distance of two vectors of three integers, rounded down (single precision suffices)."""
    x = float(a[0] - b[0])
    y = float(a[1] - b[1])
    z = float(a[2] - b[2])
    return int(math.sqrt(x * x + y * y + z * z))
