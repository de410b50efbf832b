"""`jourdain bundle` and `jourdain bundle check`."""

import json
import re
import sys
from pathlib import Path

import click

from gateway import bundle as release_file
from gateway.errors import HostError
from gateway.inventory import load
from gateway.presets import BoardType, Presets
from tools.bundle import make
from tools.bundle.fetch import fetch
from tools.bundle.file import FILE, FILE_MAX, Bundle, cached, described, facts, holds, write, write_whole
from tools.errors import exit_code, report
from tools.i18n import _, n_

_inventory = click.option("--inventory", type=click.Path(path_type=Path), default=Path("boards.yaml"), help="The fleet.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(
    invoke_without_command=True,
    help="Put all that flashing needs into one file, for places without a network. The one command that asks the network.",
    epilog="Examples: `jourdain bundle`, `jourdain bundle --source /media/stick`, `jourdain bundle check jourdain.bundle`.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file; by default jourdain.bundle beside boards.yaml.")
@click.option("--source", metavar="URL|FOLDER", envvar="JOURDAIN_SOURCE",
              help="Where images are; by default the download site of MicroPython.")  # fmt: skip
@click.option("--image", "given", metavar="TYPE=FILE", multiple=True, help="Your own image for a board type; can be repeated.")
@click.option("--release", "releases", type=click.Path(path_type=Path), multiple=True,
              help="A signed release to bring along; can be repeated.")  # fmt: skip
@_inventory
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be fetched; fetch and write nothing.")
@_json
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.pass_context
def bundle(  # noqa: PLR0917 - one argument an option
    ctx: click.Context,
    out: Path | None,
    source: str | None,
    given: tuple[str, ...],
    releases: tuple[Path, ...],
    inventory: Path,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a bundle. HostError: no_image, bad_image, transfer, timeout, bad_release, compile, missing_tool, disk_error."""
    if ctx.invoked_subcommand is not None:
        return
    say = Say(quiet)
    inv = load(inventory)
    wanted = make.needs(inv)
    out = out or inventory.parent / FILE
    named = _named(given, wanted, inv.presets)
    old = _old(out, say)
    todo = [name for name in wanted.kinds if name not in named and not _kept(old, name)]
    if dry_run:
        _plan(wanted, todo, source or facts().source, as_json)
        return
    images = {}
    for name, kind in wanted.kinds.items():
        if name in named:
            images[name] = make.judged(name, kind, _bytes(named[name]), str(named[name]), facts())
        elif name in todo:
            images[name] = _fetched(name, kind, source or facts().source, say)
        elif old is not None:
            path = old.manifest.images[name][0]
            images[name] = make.fetched(name, kind, old.read(path), str(out), facts())
        say.image(name, images[name])
    manifest, files = make.compose(wanted, images, {path.name: _release(path) for path in releases})
    write(out, manifest, files)
    said = {"file": str(out), "bytes": out.stat().st_size, **described(manifest)}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    elif not quiet:
        _print(said)


class Say:
    """Progress on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.live = quiet, sys.stderr.isatty() and not quiet

    def line(self, text: str) -> None:
        """A step is finished."""
        if not self.quiet:
            click.echo(("\r\033[K" if self.live else "") + text, err=True)

    def progress(self, name: str, there: int, size: int) -> None:
        """A file is coming."""
        if self.live and size:
            click.echo(f"\r\033[K{name}: {there * 100 // size} %", err=True, nl=False)

    def image(self, name: str, image: make.Picture) -> None:
        """An image is there. One whose hash nobody told us is said to be so."""
        text = _("{image}: MicroPython {version}, {size} bytes, its SHA-256 is the known one")
        if not image.known:
            text = _("{image}: MicroPython {version}, {size} bytes; its SHA-256 is not known here and was recorded as it came")
        self.line(text.format(image=name, version=image.version, size=len(image.data)))


def _named(given: tuple[str, ...], wanted: make.Needs, presets: Presets) -> dict[str, Path]:
    """{image: file} of TYPE=FILE, where TYPE is a board type or the name of an image."""
    found = {}
    for words in given:
        name, equals, path = words.partition("=")
        image = presets.boards[name].micropython.image if name in presets.boards else name
        if not equals or image not in wanted.kinds:
            names = ", ".join(kind.name for kind in wanted.kinds.values())
            raise click.UsageError(_("{words}: TYPE=FILE is wanted, TYPE one of {names}").format(words=words, names=names))
        found[image] = Path(path)
    return found


def _old(out: Path, say: Say) -> Bundle | None:
    """The bundle that is replaced, for the images in it; a broken one is replaced as well."""
    if not out.exists():
        return None
    try:
        old = Bundle(out)
        old.verify()
        return old
    except HostError as error:
        say.line(str(error).splitlines()[0])
        return None


def _kept(old: Bundle | None, name: str) -> bool:
    """Has the old bundle the very image that would be fetched?"""
    if old is None or name not in old.manifest.images:
        return False
    path, version = old.manifest.images[name]
    return version == facts().version and path.startswith(f"images/{name}-{facts().date}-")


def _fetched(name: str, kind: BoardType, source: str, say: Say) -> make.Picture:
    """From a folder, or a server; what a server sent is kept where its hash is known: a run that failed goes on where it was."""
    file = facts().file(name, kind.platform)
    known = facts().sha256.get(name) if "://" in source else None
    path = cached(known, file) if known else None
    if path and known and holds(path, known):
        return make.fetched(name, kind, path.read_bytes(), str(path), facts())
    data = fetch(source, file, lambda there, size: say.progress(file, there, size))
    found = make.fetched(name, kind, data, f"{source.rstrip('/')}/{file}", facts())
    if path:
        write_whole(path, data)
    return found


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_MAX:
            raise HostError("bad_image", _("the image is too large"), str(path), _("is it the right file?"))
        return path.read_bytes()
    except OSError as error:
        raise HostError("bad_image", _("the image cannot be read: {error}").format(error=error.strerror), str(path),
                        _("name another file")) from None  # fmt: skip


def _release(path: Path) -> bytes:
    release_file.read(path)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", path.name):
        raise HostError("bad_release", _("a release of that name cannot be put into a bundle"), str(path), _("name it otherwise"))
    return path.read_bytes()


def _plan(wanted: make.Needs, todo: list[str], source: str, as_json: bool) -> None:
    files = [facts().file(name, wanted.kinds[name].platform) for name in todo]
    if as_json:
        click.echo(json.dumps({"dry_run": True, "modules": len(wanted.modules), "source": source, "fetch": files}))
        return
    for file in files:
        click.echo(_("would fetch {file} from {source}").format(file=file, source=source))
    click.echo(n_("{count} module, nothing was written", "{count} modules, nothing was written", len(wanted.modules)).format(
        count=len(wanted.modules)))  # fmt: skip


@bundle.command(help="Verify all hashes of a bundle, and say what is in it and what this boards.yaml lacks there.")
@click.argument("path", metavar="[FILE]", required=False, envvar="JOURDAIN_BUNDLE", type=click.Path(path_type=Path))
@_inventory
@_json
@click.pass_context
def check(ctx: click.Context, path: Path | None, inventory: Path, as_json: bool) -> None:
    """HostError: bad_bundle; no_image where something is missing, with exit code 12."""
    found = Bundle(path or inventory.parent / FILE)
    found.verify()
    wanted = make.needs(load(inventory))
    lacks = make.missing(found, wanted)
    exact = found.manifest.needs == make.digest(wanted, found.compiler)
    said = {"file": str(found.path), **described(found.manifest), "missing": lacks, "exact": exact}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        _print(said)
    if not any(lacks.values()):
        if not as_json:
            click.echo(_("made for just this fleet") if exact else _("it has what this fleet needs, and more"))
        return
    what = _("the bundle lacks for this fleet: {names}").format(names=", ".join([*lacks["images"], *lacks["modules"]][:6]))
    error = HostError("no_image", what, str(found.path), _("make it again, with a network: jourdain bundle"))
    ctx.exit(exit_code(error) if as_json else report(error, as_json=False))


def _print(said: dict[str, object]) -> None:
    click.echo(_("{file}: firmware {firmware} (release {release}), {modules} modules by {compiler}").format(**said))
    images = said["images"]
    assert isinstance(images, dict)
    for name, image in images.items():
        text = _("  {name}: MicroPython {version}, SHA-256 {sha256}")
        click.echo(text.format(name=name, **image) + ("" if image["known"] else " " + _("(not known here)")))
    releases = said["releases"]
    assert isinstance(releases, list)
    for name in releases:
        click.echo(_("  release {name}").format(name=name))
