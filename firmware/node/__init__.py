"""What makes a board live for years: configuration, counter, queue, schedule, uplink, console."""

VERSION = "0.1.0"
RELEASE = 1  # goes up by one with every release: a board never installs one that is not above its own
