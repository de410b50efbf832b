"""SX1261 and SX1262 at register level. Knows the data sheet, no driver."""

from .chip import SX126x

__all__ = ["SX126x"]
