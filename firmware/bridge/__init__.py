"""The radio bridge: between the air and the serial line, without a key."""
