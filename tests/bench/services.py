"""What the services say beside the truth of a world that shares no code with them, with the runs of tests/services."""

import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import mp


def _tests(name: str):
    spec = importlib.util.spec_from_file_location(f"tests_{name}", mp.ROOT / f"tests/services/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bins(agreement, folder: Path) -> tuple[list[dict], dict]:
    """Fill: rows and a plot of the error over the temperature."""
    runs = [(air_c, reading["4"] - mm) for mm, air_c, reading in agreement.fill_run(folder)]
    errors = [abs(mm) for _, mm in runs]
    worst = max(errors)
    x = list(range(-5, 35, 5))
    by_air = [[mm for c, mm in runs if low <= c < low + 5] for low in x]
    rows = [
        {"what": f"bin: worst error of {len(runs)} reports, -5 to 35 Cel, 10 % outliers", "value": round(worst, 1), "unit": "mm",
         "limit": "<= 20 mm", "holds": worst <= 20},
        {"what": "bin: standard deviation of the error", "value": round(statistics.pstdev(mm for _, mm in runs), 2),
         "unit": "mm"},
    ]  # fmt: skip
    kinds = {"mean": statistics.fmean, "largest": max, "smallest": min}
    lines = {label: [of(errors) for errors in by_air] for label, of in kinds.items()}
    plot = {"title": "Bin: error of the distance", "xlabel": "air, Cel (from)", "ylabel": "mm", "x": x, "lines": lines}
    return rows, plot


def bays(agreement, folder: Path) -> list[dict]:
    """Occupancy with both magnetometers."""
    rows = []
    for chip, written in (("rm3100", True), ("qmc5883l", False)):
        score = agreement.occupancy_run(chip, written, folder)
        for label, share in zip(("empty", "taken"), score.shares(), strict=True):
            rows.append({"what": f"parking, {chip}: samples right while {label}, {score.changes} changes",
                         "value": round(100 * share, 2), "unit": "%", "limit": ">= 98 %", "holds": share >= 0.98})  # fmt: skip
        late = max(score.late_s)
        rows.append({"what": f"parking, {chip}: latest change", "value": round(late, 1), "unit": "s",
                     "limit": f"<= {agreement.DWELL_S} s", "holds": late <= agreement.DWELL_S})  # fmt: skip
    return rows


def buoys(buoy, folder: Path) -> list[dict]:
    """Hs and Tp on the seas of the tests."""
    rows = []
    for hs_m, tp_s, swell, list_deg in buoy.SEAS:
        true_m, _, second = buoy.sea_run(folder, hs_m, tp_s, swell, list_deg)
        error = second[2]["10"] / 100 / true_m - 1
        what = f"buoy: Hs {true_m:.2f} m, Tp {tp_s} s, list {list_deg:.0f} deg"
        rows.append({"what": f"{what}: error of Hs", "value": round(100 * error, 1), "unit": "%", "limit": "within 10 %",
                     "holds": abs(error) <= 0.10})  # fmt: skip
        rows.append({"what": f"{what}: Tp said", "value": second[2]["11"] / 10, "unit": "s"})
    return rows


def measure(quick: bool = False) -> dict:
    """Fill, occupancy and waves; every driver and service runs in real MicroPython on its chip models."""
    agreement, buoy = _tests("test_agreement"), _tests("test_buoy")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, plot = bins(agreement, folder)
        rows += bays(agreement, folder) + buoys(buoy, folder)
    text = "Noise, bias, quantisation and jitter are those of the data sheets; one echo in ten is false."
    return {"title": "What the services say, and the world", "text": text, "rows": rows, "plots": [plot]}
