"""The daemon, which asks, looks and tells after fractions of a second."""

from gateway import floors
from gateway.command import main

floors.ASK_S, floors.LOOK_S, floors.TOLD_S = 0.5, 0.2, 0.5
main()
