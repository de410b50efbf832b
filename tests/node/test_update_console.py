"""The op `update` of the service console: a release through the line of a board whose application runs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import releases
from releases import NEW, OLD, manifest, put
from test_serve import ASK

KIND = "pico node desk serial - -"
SEND = """
import sys
from update_desk import Ladder, parts_of, install, name_of, tree, listed, read, write
old, new = parts_of(sys.argv[1]), parts_of(sys.argv[2])

class Rebooting(Ladder):
    reboots = 0
    def reboot(self):
        self.reboots += 1

class Sender:
    "Sends what is wanted, a request every 150 ms, as the command does; at most so many."

    def __init__(self, d, parts, most=None, block=440):
        self.d, self.parts, self.block, self.left = d, parts, block, most
        self.replies = []
        d.app.board.talk = None                 # of a run that ended
        d.after(1.6, self.next)
        greet(d, 1)
        self.args = [name_of(parts)]

    def next(self):
        if self.d.host.answers:
            self.replies.append(self.d.host.answers.pop()[1:])
            status, want = self.replies[-1]
            if status or not want:
                return
            part, offset = want
            self.args = [name_of(self.parts), part, offset, self.parts[part][offset : offset + self.block]]
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                return
        ask(self.d, "update", *self.args)
        self.d.after(0.15, self.next)
"""


@pytest.fixture(scope="module")
def signer():
    return releases.Signer()


@pytest.fixture
def run(desk, tmp_path, signer):
    def run(code, files=NEW, **says):
        folders = []
        texts = manifest(OLD, release=1, kind=KIND), manifest(files, kind=KIND, **says)
        for name, what, text in zip(("old", "new"), (OLD, files), texts, strict=True):
            folders.append(put(tmp_path / name, text, signer.sign(text), what, signer.modulus))
        return desk(ASK + SEND + code, args=folders)

    return run


BEGIN = """
d = Desk(config(report_s=60), blocks=80)
write("/f/trust", read(sys.argv[1] + "/trust"))
install("a", old)
ladder = d.app.board.ladder = Rebooting()
"""


def test_a_release_through_the_console(run):
    out = run(BEGIN + """
sender = Sender(d, new)
d.run(12)
assert sender.replies[-1] == [0, []], sender.replies[-1]
assert ladder.staged == ("b", 2) and ladder.reboots == 1
assert tree("/f/b") == dict(listed(new), manifest=new[0], signature=new[1])
sender = Sender(d, new)                       # the same again, before the restart: it has it
ladder.staged = None
d.run(40)
assert d.app.board.talk is None               # forgotten, with all that it loaded
print(sum(len(s) for s in sys.modules if "update" in s or "manifest" in s), len(d.host.taken()) > 0)
""")  # fmt: skip
    # `update_desk` of the test itself stays, and the updater that it imported
    assert out.split()[-1] == "True"


def test_it_goes_on_after_a_power_cut_at_every_request(run):
    out = run(BEGIN + """
for most in range(1, 40):
    ladder = d.app.board.ladder = Rebooting()
    sender = Sender(d, new, most=2)           # a question, and one block
    d.run(4)
    if ladder.staged:
        break
    assert sender.replies[-1][0] == 0, sender.replies
    d.reboot()
assert ladder.staged == ("b", 2)
assert tree("/f/b") == dict(listed(new), manifest=new[0], signature=new[1])
print(most)
""")  # fmt: skip
    assert int(out) > 5


@pytest.mark.produces("update_release", "update_board")
def test_refusals_reach_who_asked(run):
    out = run(BEGIN + """
sender = Sender(d, new)
d.run(8)
print(sender.replies[-1][0], sender.replies[-1][1])
d.app.board.ladder.trial = True
sender = Sender(d, new)
d.run(8)
print(sender.replies[-1][0])
d.app.board.talk = None
greet(d, 0)
d.after(1, lambda: ask(d, "update", "text"))
d.after(2, lambda: ask(d, "update", b"short"))
d.run(3)
print(*[answer[1] for answer in d.host.answers])
assert ladder.staged is None
""", release=1)  # fmt: skip
    assert out.splitlines() == ["51 release 1, at least 2 is needed", "51", "65 51"]


def test_a_wired_board_keeps_a_release_whose_frame_was_handled(run):
    out = run(BEGIN + """
d.run(70)                                     # frames that nobody handles: on flash, sealed
d.reboot()
ladder = d.app.board.ladder = Rebooting()
ladder.trial, ladder.heard = True, 0
def answered():
    ladder.heard += 1
ladder.answered = answered
d.app.uplink._ladder = ladder
ladder.asked = lambda: None
said = []
for at, seq in ((1, 2), (2, 3)):              # first what the release before has sealed
    d.after(at, lambda seq=seq: d.host.say(link.handled(seq)))
    d.after(at + 0.5, lambda: said.append(ladder.heard))
d.run(3)
print(len(d.host.of(1)), said)
""")  # fmt: skip
    assert out == "3 [0, 1]\n"
