"""Draw the picture of the READMEs: the live view of a real run of the town, `picture.py OUT.svg`."""

import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tools.twin.town import Options, Town
from tools.twin.view import Screen

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    console = Console(record=True, width=104, height=40, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    view = Screen()
    view._console = view._live.console = console  # a paper instead of the terminal
    view._live.start = view._live.stop = lambda: None
    view._live.update = lambda *args, **kwargs: None
    with tempfile.TemporaryDirectory() as folder:
        town = Town(Options(inventory=ROOT / "boards.yaml", seconds=55, speed=60), Path(folder), view)
        try:
            town.start()
            town.live()
            console.print(view.drawing())
        finally:
            town.close()
    svg = console.export_svg(title="jourdain twin")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # the reader's own monospace font will do
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    Path(sys.argv[1]).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
