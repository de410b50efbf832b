"""`python -P -m gateway run`: the daemon without the technician's command."""

from gateway.command import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
