"""What is computed before a board hangs in the town: how long its battery lasts."""
