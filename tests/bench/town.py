"""The town at several sizes: speed against life, memory of a board, losses on air beside the curve of a shared channel."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp

from firmware.radio.airtime import airtime_us
from tools.twin.propagation import expected_loss

FRAME_BYTES = 40  # a usual frame of this fleet, one repeat in it
SF, BW_HZ = 9, 125_000


def pss_kb(pid: int) -> int:
    """Proportional resident memory of a process, kB; 0 when it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    with contextlib.suppress(OSError):
        return [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]
    return []


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


class Watch(threading.Thread):
    """Looks every second at the boards' memory; keeps the largest mean."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.ended, self.board_kb, self.twin_kb = pid, threading.Event(), 0.0, 0

    def run(self) -> None:
        while not self.ended.wait(1.0):
            boards = [pss_kb(p) for p in children(self.pid) if name_of(p).startswith("micropython")]
            boards = [kb for kb in boards if kb]
            if boards:
                self.board_kb = max(self.board_kb, sum(boards) / len(boards))
            self.twin_kb = max(self.twin_kb, pss_kb(self.pid))


def run(boards: int, seconds: float, *extra: str) -> tuple[dict, Watch]:
    """One run of the command as fast as it goes; its document and what was seen of its memory."""
    command = [str(Path(sys.executable).parent / "jourdain"), "twin", "--inventory", str(mp.ROOT / "boards.yaml")]
    command += ["--boards", str(boards), "--seconds", str(seconds), "--speed", "0", "--seed", "7", "--json", *extra]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, text=True, cwd=mp.ROOT)
        watch = Watch(child.pid)
        watch.start()
        code = child.wait()
        watch.ended.set()
        watch.join()
        out.seek(0)
        err.seek(0)
        if code:
            raise RuntimeError(f"the town ended with {code}: {out.read()[-1500:]} {err.read()[-1500:]}")
        return json.load(out), watch


def losses(document: dict) -> tuple[float, float]:
    """Share of the radio frames that collided, and the share that the curve without capture expects."""
    radio = [b for b in document["boards"].values() if not b["lost"]["gateway_down"] and b["sent"]]
    sent = sum(b["sent"] for b in radio)
    air = [b["lost_on_air"] for b in radio]
    collided = sum(n for reasons in air for reason, n in reasons.items() if reason in ("collision", "busy"))
    period_s = document["town_seconds"] * len(radio) / sent
    return collided / sent, expected_loss(len(radio), period_s, airtime_us(FRAME_BYTES, SF, BW_HZ))


def measure(quick: bool = False) -> dict:
    """Towns of 14, 50, 100 and 200 nodes."""
    sizes = (14, 50) if quick else (14, 50, 100, 200)
    rows, speeds, collided, expected, lost = [], [], [], [], []
    for n in sizes:
        document, watch = run(n, 20 if quick else 60)
        speed = document["town_seconds"] / document["wall_seconds"]
        was, curve = losses(document)
        totals = document["totals"]
        speeds.append(speed)
        collided.append(100 * was)
        expected.append(100 * curve)
        lost.append(100 * totals["lost"]["ether"] / totals["sent"])
        balanced = not document["violations"]
        rows += [
            {"what": f"{n} boards: speed against life", "value": round(speed, 1), "unit": "x"},
            {"what": f"{n} boards: memory of a board (PSS)", "value": round(watch.board_kb), "unit": "kB"},
            {"what": f"{n} boards: memory of the twin itself (PSS)", "value": watch.twin_kb, "unit": "kB"},
            {"what": f"{n} boards: frames lost to collisions", "value": round(collided[-1], 2), "unit": "%",
             "limit": f"<= {expected[-1]:.2f} % (no capture)", "holds": was <= curve + 2 * (curve / totals["sent"]) ** 0.5},
            {"what": f"{n} boards: frames lost on air in all", "value": round(lost[-1], 2), "unit": "%"},
            {"what": f"{n} boards: readings lost after repeats", "value": totals["readings"]["lost"],
             "unit": f"of {totals['readings']['taken']}"},
            {"what": f"{n} boards: the books balance", "value": "yes" if balanced else "no", "limit": "yes", "holds": balanced},
        ]  # fmt: skip
    x = list(sizes)
    plots = [
        {"title": "Losses on one channel, SF9", "xlabel": "boards", "ylabel": "% of frames", "x": x,
         "lines": {"collided": collided, "expected without capture": expected, "lost in all": lost}},
        {"title": "Speed of the town", "xlabel": "boards", "ylabel": "x life", "x": x, "lines": {"speed": speeds}},
    ]  # fmt: skip
    text = "An hour of the town a size, as fast as it goes. A reading outlives its frame when the next one repeats it."
    return {"title": "The town on a desk", "text": text, "rows": rows, "plots": plots}
