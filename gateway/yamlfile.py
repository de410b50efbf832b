"""A YAML file as nodes that know their line: the safe subset that people need, with every fault named.

Read event by event instead of by a loader, for three reasons: the text as written survives (`0004300000000530` is still
there to be put in quotes), nothing recurses on hostile depth, and no object is ever constructed from a tag.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_BYTES = 2_000_000
MAX_DEPTH = 16
MAX_NODES = 60_000

_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,20}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Fault(NamedTuple):
    """One fault of a file: `path:line:col: what`, lines and columns from 1.

    `text` is the sentence with `{names}`, `values` what stands there, so that a tool can say it in another language.
    """

    path: str
    line: int
    col: int
    text: str
    values: dict[str, object] = {}  # noqa: RUF012 - never written to

    @property
    def what(self) -> str:
        """The sentence in English."""
        return self.text.format(**self.values)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.col}: {self.what}"


class YamlError(Exception):
    """A file that cannot be read at all, or not without doubt; `faults` says where."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(slots=True)
class Node:
    """A value with its place. `text` is a scalar as written; `key_at` is where the key stands that leads here."""

    value: Any
    line: int
    col: int
    text: str = ""
    key_at: tuple[int, int] = (1, 1)

    def get(self, key: str | int) -> "Node | None":
        """The child of that name or index, if there is one."""
        if isinstance(self.value, dict):
            found = self.value.get(str(key))
            return found if isinstance(found, Node) else None
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            child = self.value[key]
            return child if isinstance(child, Node) else None
        return None

    def find(self, loc: tuple[str | int, ...]) -> "Node":
        """The node at a path of keys, or the deepest one on the way to it."""
        here = self
        for key in loc:
            here = here.get(key) or here
        return here


@dataclass(slots=True)
class _Open:
    """A collection that is still being read."""

    node: Node
    key: Node | None = None
    seen: set[str] = field(default_factory=set)


def plain(node: Node) -> Any:
    """The value as dicts, lists and scalars. Depth is bounded by what `read` lets through."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def read(path: Path) -> Node:
    """Read a file whose top is a mapping. Raises YamlError: not readable, not UTF-8, not YAML, too big, too deep."""
    return parse(_text(path), str(path.name))


def parse(text: str, name: str) -> Node:
    """Nodes of a YAML text with a mapping at its top; `name` stands in the faults. Raises YamlError."""
    reader = _Reader(name)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            reader.take(event)
    except _Refused as refused:
        reader.faults.append(refused.fault)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reader.fault(line, col, "not YAML: {why}", why=error.problem or error.context or "cannot be read")
    except (YAMLError, ValueError) as error:
        reader.fault(1, 1, "not YAML: {why}", why=str(error).splitlines()[0])
    if not reader.faults and (reader.top is None or not isinstance(reader.top.value, dict)):
        reader.fault(1, 1, "is empty or no mapping: it must begin with a line such as `sites:`")
    if reader.faults:
        raise YamlError(sorted(reader.faults, key=lambda fault: fault[:3]))
    assert reader.top is not None
    return reader.top


def _text(path: Path) -> str:
    def refuse(text: str, line: int = 1, **values: object) -> YamlError:
        return YamlError([Fault(str(path.name), line, 1, text, values)])

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise refuse("cannot be read: {why}", why=error.strerror or str(error)) from None
    if len(raw) > MAX_BYTES:
        raise refuse("is larger than {limit} bytes: split the fleet by site", limit=MAX_BYTES)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refuse("is not UTF-8 (byte 0x{byte:02x}): save it as UTF-8", line, byte=raw[error.start]) from None


class _Refused(Exception):  # noqa: N818 - carries one fault from deep inside the reader to parse()
    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.top: Node | None = None
        self.stack: list[_Open] = []
        self.count = 0
        self.documents = 0

    def fault(self, line: int, col: int, text: str, **values: object) -> None:
        self.faults.append(Fault(self.name, line, col, text, values))

    def stop(self, event: Any, text: str, **values: object) -> None:
        raise _Refused(Fault(self.name, event.start_mark.line + 1, event.start_mark.column + 1, text, values))

    def take(self, event: Any) -> None:
        """One parser event onto the tree."""
        self.count += 1
        if self.count > MAX_NODES:
            self.stop(event, "more than {limit} values", limit=MAX_NODES)
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.stop(event, "a second document begins (`---`); one is read")
        elif isinstance(event, AliasEvent):
            self.stop(event, "the alias *{name} is not allowed: write the value out", name=event.anchor)
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            self.stack.pop()
        elif isinstance(event, NodeEvent):
            self._node(event)

    def _node(self, event: Any) -> None:
        mark = event.start_mark
        line, col = mark.line + 1, mark.column + 1
        if event.tag is not None and str(event.tag) != "!":
            self.stop(event, "the tag {tag} is not allowed", tag=str(event.tag))
        if isinstance(event, ScalarEvent):
            value = scalar(event.value) if event.style is None else event.value
            self._place(Node(value, line, col, event.value), is_key=True)
            return
        if len(self.stack) >= MAX_DEPTH:
            self.stop(event, "nested deeper than {limit} levels", limit=MAX_DEPTH)
        node = Node({} if isinstance(event, MappingStartEvent) else [], line, col)
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)
        self._place(node, is_key=False)
        self.stack.append(_Open(node))

    def _place(self, node: Node, *, is_key: bool) -> None:
        if not self.stack:
            self.top = node
            return
        into = self.stack[-1]
        if isinstance(into.node.value, list):
            node.key_at = (node.line, node.col)
            into.node.value.append(node)
        elif into.key is None:
            if not is_key:
                raise _Refused(Fault(self.name, node.line, node.col, "a key must be a word"))
            into.key = node
        else:
            key = into.key.text
            if key in into.node.value:
                self.fault(into.key.line, into.key.col, "'{key}' stands here a second time", key=key)
            node.key_at = (into.key.line, into.key.col)
            into.node.value[key] = node
            into.key = None


def scalar(text: str) -> Any:
    """A plain (unquoted) word by the core schema of YAML 1.2: null, bool, int, float, else text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
