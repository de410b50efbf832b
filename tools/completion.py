"""Completion for shells, by click's own mechanism; and what completes: names of boards, ports, key ids.

A press of the tab key may not wait for libraries: subcommands and names of boards are answered before any command is imported,
and boards.yaml is read by its lines. Whatever else (options, their values) click answers from the command itself.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from tools.i18n import _

Items = list[CompletionItem[str]]
PROGRAM, VARIABLE = "jourdain", "_JOURDAIN_COMPLETE"
# Shell -> where its script belongs.
PLACES = {
    "bash": "~/.local/share/bash-completion/completions/jourdain",
    "zsh": "~/.zfunc/_jourdain",
    "fish": "~/.config/fish/completions/jourdain.fish",
}
_KIDS = re.compile(r"\bkids:\s*\[([^]]*)\]")
_NAME = re.compile(r"( +)([A-Za-z0-9][\w.-]*):")


class Row(Protocol):
    """A row of the command table (cli.Lazy). takes: "board" where its first word is one, "boards" where each is."""

    @property
    def help(self) -> str: ...
    @property
    def takes(self) -> str: ...


@click.command(
    help="Print the script that lets the tab key complete commands, options, boards, ports and key ids.",
    epilog=_("Examples: `source <(jourdain completion bash)` for this shell, `jourdain completion fish` for one that stays."),
)
@click.argument("shell", type=click.Choice(tuple(PLACES)))
def completion(shell: str) -> None:
    """The script on stdout, where to put it as its comment, and on stderr too where a person looks on."""
    head, newline, rest = _complete(click.Group(), shell).source().partition("\n")
    lines = [_("jourdain completion {shell} > {place}").format(shell=shell, place=PLACES[shell])]
    if shell == "zsh":  # its first line is for zsh
        lines.append(_("and in ~/.zshrc, before compinit: fpath=(~/.zfunc $fpath)"))
    comment = "".join(f"# {line}\n" for line in lines)
    click.echo(f"{head}\n{comment}{rest}" if shell == "zsh" else comment + head + newline + rest, nl=False)
    if sys.stdout.isatty():
        click.echo(_("To install it:"), err=True)
        for line in lines:
            click.echo(f"  {line}", err=True)


def answer(root: click.Group, rows: Mapping[str, Row]) -> int:
    """Answer the shell, which asks in the environment; the exit code."""
    shell, _bar, what = os.environ[VARIABLE].partition("_")
    if get_completion_class(shell) is None or what != "complete":
        return 1
    complete = _complete(root, shell)
    words, start = complete.get_completion_args()
    try:
        items = _quickly(rows, words, start)
        if items is None:
            items = complete.get_completions(words, start)
    except Exception:  # a library that is not here, a file that cannot be read: the line that is being typed stays clean
        if os.environ.get("JOURDAIN_DEBUG"):
            raise
        return 1
    click.echo("\n".join(complete.format_completion(item) for item in items).encode())
    return 0


def _complete(root: click.Group, shell: str) -> ShellComplete:
    made = get_completion_class(shell)
    assert made is not None
    return made(root, {}, PROGRAM, VARIABLE)


def _quickly(rows: Mapping[str, Row], words: Sequence[str], start: str) -> Items | None:
    """Subcommands and names of boards, without importing a command; None where that is not enough."""
    if start.startswith("-") or any(word.startswith("-") for word in words):
        return None
    if not words:
        return [CompletionItem(name, help=_(row.help)) for name, row in rows.items() if name.startswith(start)]
    row = rows.get(words[0])
    if row is not None and (row.takes == "boards" or (row.takes == "board" and len(words) == 1)):
        return _boards(Path("boards.yaml"), start, words[1:])
    return None


# What completes; each is a `shell_complete` of click.


def boards(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Names of boards, those that stand there already left out."""
    given = ctx.params.get(param.name or "")
    return _boards(_inventory(ctx), start, given if isinstance(given, tuple) else ())


def ports(_ctx: click.Context, _param: click.Parameter, start: str) -> Items:
    """Serial ports that have a board."""
    from tools.flash.ports import candidates  # noqa: PLC0415

    return [CompletionItem(each.device, help=f"{each.product} {each.serial}".strip() or None)
            for each in candidates() if each.device.startswith(start)]  # fmt: skip


def targets(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Names of boards, and ports once it begins like one."""
    return ports(ctx, param, start) if start.startswith("/") else boards(ctx, param, start)


def kids(ctx: click.Context, _param: click.Parameter, start: str) -> Items:
    """Key ids of boards.yaml."""
    found = {kid: name for name, lines in _entries(_inventory(ctx)) for listed in _KIDS.findall("".join(lines))
             for kid in re.findall(r"[0-9a-f]+", listed)}  # fmt: skip
    return [CompletionItem(kid, help=name) for kid, name in sorted(found.items()) if kid.startswith(start)]


def _boards(path: Path, start: str, but: Sequence[str]) -> Items:
    found = [(name, lines) for name, lines in _entries(path) if name.startswith(start) and name not in but]
    return [CompletionItem(name, help=_title(lines)) for name, lines in found]


def _title(lines: Sequence[str]) -> str | None:
    return next((line.partition(":")[2].strip() for line in lines if line.lstrip().startswith("title:")), None)


def _inventory(ctx: click.Context) -> Path:
    """The boards.yaml that the words so far name, by --inventory or by the --config of a gateway."""
    found: Any = None
    while found is None and ctx is not None:
        named = next((param.name or "" for param in ctx.command.params if "--inventory" in param.opts), "")
        found = ctx.params.get(named) or _of_gateway(ctx.params.get("config"))
        ctx = ctx.parent  # type: ignore[assignment]
    return Path(found or "boards.yaml")


def _of_gateway(config: Any) -> Path | None:
    if not isinstance(config, Path):
        return None
    try:
        said = re.search(r'^\s*inventory\s*=\s*"([^"]+)"', config.read_text(encoding="utf-8"), re.M)
    except (OSError, UnicodeDecodeError):
        return None
    return config.parent / (said[1] if said else "boards.yaml")


def _entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(name, lines) of each board, found by the indentation: quick, and also in a file that has faults elsewhere."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    section = re.search(r"^boards:[^\n]*\n((?:(?:[ #][^\n]*)?\n|[ #][^\n]+\Z)*)", text, re.M)
    lines = section[1].splitlines() if section else []
    first = next((found[1] for line in lines if (found := _NAME.match(line))), "")
    name, entry = "", list[str]()
    for line in lines:
        found = _NAME.match(line)
        if found and found[1] == first:
            if name:
                yield name, entry
            name, entry = found[2], []
        entry.append(line)
    if name:
        yield name, entry
