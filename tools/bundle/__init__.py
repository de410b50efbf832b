"""One file with all that flashing needs, for places without a network."""
