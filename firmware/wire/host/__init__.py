"""The reader's side of the protocol: pure code for both interpreters that no board carries."""
