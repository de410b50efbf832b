"""SX1261, SX1262, SX1268; the interface is in ../README.md."""
