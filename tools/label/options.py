"""The option that commands share which read or write the record."""

from pathlib import Path

import click

from gateway import record

RECORD = click.option(
    "--record", "kept", type=click.Path(path_type=Path), envvar="JOURDAIN_RECORD", metavar="FILE",
    help="The record [default: commissioning.jsonl beside the fleet].",
)  # fmt: skip


def record_of(kept: Path | None, inventory: Path) -> Path:
    """The record that is meant: the one that was named, else the one beside boards.yaml."""
    return kept or inventory.with_name(record.FILE)
