"""What makes a board live for years: configuration, counter, queue, schedule, uplink, console."""

VERSION = "0.1.0"
