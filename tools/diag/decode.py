"""`jourdain decode`: one frame, opened with one secret, every field by name and unit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from firmware.wire.errors import WireError
from firmware.wire.frame import parse
from gateway.errors import HostError
from tools.diag.fields import SECRET_LEN, fields
from tools.errors import document, lines
from tools.i18n import _
from tools.keys import secrets
from tools.keys.options import NO_INPUT

# What each name means to who holds a single frame and a single secret: what happened, and what to do next.
_MEANING = {
    "short": ("the frame ends too early", "compare its length with what was received; copy the whole frame"),
    "long": ("the frame is longer than 255 bytes", "copy one frame alone"),
    "version": ("this is no frame of protocol version 1", "a LoRaWAN frame? foreign frames are heard on the same channel"),
    "format": ("the header is malformed: the counter's length, a leading zero, or counter 0", "a damaged or foreign frame"),
    "hop": ("the hop tag is wrong", "is it the secret of this key id? else the frame was damaged or forged"),
    "auth": ("the authentication tag is wrong", "is it the secret of this key id? else the frame was damaged or forged"),
    "cbor": ("authentic, but the payload is no canonical CBOR map", "look at the firmware that sent it"),
    "value": ("authentic, but a value has a wrong type or range", "look at the firmware that sent it, and at its batch"),
}


def text(found: Mapping[str, Any]) -> str:
    """What `fields` found, for people."""
    header = found["header"]
    direction = _("downlink") if header["direction"] == "down" else _("uplink")
    out = [
        _("{direction}, key id {kid}, counter {piv}, {bytes} bytes").format(**{**header, "direction": direction}),
        _("tag {tag}, nonce {nonce}").format(**found["security"]),
    ]
    if header["hop"]:
        out.append(_("hop tag {hop_tag}").format(**found["security"]))
    out.append("")
    out += _table(found["payload"])
    if len(found["readings"]) > 1:
        for reading in found["readings"]:
            kind = _("repeat") if reading["origin"] == "repeat" else _("direct")
            head = _("counter {piv}, {kind}, {offset_s} s before the newest").format(**{**reading, "kind": kind})
            out += ["", head, *_table(reading["values"])]
    return "\n".join(out)


def _table(fields: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for name, field in fields.items():
        primary = f"= {field['senml_value']} {field['senml_unit']}" if "senml_value" in field else ""
        rows.append((str(field["key"]), name, _shown(field["value"], field["unit"]), field.get("meaning", primary)))
    widths = [max(len(row[i]) for row in rows) if rows else 0 for i in range(3)]
    return [f"  {k:>{widths[0]}}  {n:<{widths[1]}}  {v:<{widths[2]}}  {p}".rstrip() for k, n, v, p in rows]


def _shown(value: Any, unit: str) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{said} x {unit}" if unit[:1].isdigit() else f"{said} {unit}".strip()


def refusal(name: str, frame_hex: str) -> HostError:
    """The three lines for a frame that cannot be opened: what, where, what next."""
    what, hint = _MEANING.get(name, (name, ""))
    try:
        frame = parse(bytes.fromhex(frame_hex))
        where = _("key id {kid}, counter {piv}, {bytes} bytes").format(kid=frame.kid.hex(), piv=frame.piv, bytes=len(frame.buf))
    except WireError:
        where = _("{bytes} bytes, of which the first is {first}").format(bytes=len(frame_hex) // 2, first=frame_hex[:2] or "-")
    return HostError(name, what, where, hint)


def _hex(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The digits of an argument; blanks between the bytes are allowed."""
    try:
        return bytes.fromhex(value).hex()
    except ValueError:
        raise click.BadParameter(_("no hexadecimal text: {value}").format(value=value[:40]), ctx, param) from None


def _secret(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The digits of a secret. What is wrong with them is said without them."""
    if value is None:
        return None
    try:
        secret = bytes.fromhex(value)
    except ValueError:
        raise click.BadParameter(_("a secret has hexadecimal digits only"), ctx, param) from None
    if len(secret) != SECRET_LEN:
        said = _("{count} hexadecimal digits are needed, not {found}").format(count=2 * SECRET_LEN, found=2 * len(secret))
        raise click.BadParameter(said, ctx, param)
    return secret.hex()


def _kept(path: Path, kid: str) -> str:
    """The secret of a key id from the file of secrets. Raises HostError (bad_keys, bad_passphrase)."""
    entry = secrets.read(path).get(kid)
    if entry is None:
        what = _("there is no secret for key id {kid}").format(kid=kid)
        raise HostError("bad_keys", what, str(path), _("name the file of the workshop that flashed the board: --secrets FILE"))
    return entry["secret"]


@click.command("decode", help="Open one frame with the secret of its board and name every field.")
@click.argument("frame", callback=_hex, metavar="FRAMEHEX")
@click.option("--secrets", "path", type=click.Path(path_type=Path), default=Path("secrets.json"),
              help="Where the board's secret is found by the frame's key id. Made by `jourdain keys new`.")  # fmt: skip
@click.option("--secret", callback=_secret, envvar="JOURDAIN_SECRET", metavar="HEX",
              help="The board's secret, 32 digits, for a frame of elsewhere.")  # fmt: skip
@NO_INPUT
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def decode(ctx: click.Context, frame: str, path: Path, secret: str | None, as_json: bool) -> None:
    """Exit code 1 and the error's name when the frame cannot be opened or understood. Raises HostError for the secrets."""
    try:
        found = fields(frame, secret or _kept(path, parse(bytes.fromhex(frame)).kid.hex()))
    except WireError as error:
        refused = refusal(error.name, frame)
        click.echo(lines(refused), err=True)
        if as_json:
            click.echo(document(refused))
        ctx.exit(1)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else text(found))
