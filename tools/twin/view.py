"""What a person sees of the town."""
from __future__ import annotations
import sys
from typing import TYPE_CHECKING, Any
if TYPE_CHECKING:
    from tools.twin.town import Town


class View:
    """Nothing to see; the others add to it."""

    def begin(self, town: Town) -> None:
        """The town is about to start."""

    def event(self, event: dict[str, Any]) -> None:
        """A line of the daemon's `--events`."""

    def note(self, text: str) -> None:
        """Something worth a line."""
        sys.stderr.write(text + "\n")

    def tick(self) -> None:
        """Some wall time has passed."""
