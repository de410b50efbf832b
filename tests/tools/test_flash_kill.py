"""`kill -9` of `jourdain flash`, wherever it is: the board has the whole of an application, and the same command goes on."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flashing import BARE, NAME, UID, on_board
from flashkill import Bench
from pty_board import PtyBoard

from tools.flash import config, provision
from tools.keys import secrets as keys


@pytest.mark.share("flash")
def test_a_command_that_is_killed_leaves_a_whole_application_and_can_be_given_again(tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    bench = Bench(tmp_path)
    bench.begin()
    with bench.board() as board:
        # On entering, in the midst of pieces, and where the new files take the place of the old ones.
        for received in (2, *sorted(random.Random(seed).randrange(1000, 15000) for _ in range(2)), 15900):
            bench.kill_at(board, received)
            assert bench.state(board) in ("old", "new")
        said, _received = bench.finish(board)
        assert said["hello"]["uid"] == UID
        assert bench.state(board) == "new"


@pytest.mark.share("flash")
def test_a_counter_that_a_killed_command_has_made_is_taken_over(tmp_path, flash, secrets):
    with PtyBoard(tmp_path, UID) as board:
        on_board(board, f"FILES = {config.counter_files('0001')!r}\n{provision.MAKE}")
        assert "counts_on" not in keys.read(secrets)["0001"]
        code, _out, err = flash(NAME, board.port, *BARE)
    assert code == 0, err
    assert keys.read(secrets)["0001"]["counts_on"] == UID
