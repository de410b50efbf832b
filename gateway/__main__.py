"""`python -P -m gateway run`: the daemon without the technician's command."""

from gateway.command import main

main()
