"""How many examples a property gets: what `make test` has time for, or what `make soak` asks for."""

import os

from hypothesis import settings


def examples(n: int) -> settings:
    """Settings for a property with `n` examples in `make test`."""
    return settings(max_examples=max(n, int(os.environ.get("JOURDAIN_EXAMPLES", "0"))), deadline=None)
