"""The syntax of Liberty files: groups of attributes and groups, read in one pass.

Yosys' own reader ends the process at the first error and reads a file that was cut short without a word; this one says
what is wrong and in which line.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError

_BLANK = r"(?:[\s;]|\\\n|/\*(?s:.*?)\*/|//[^\n]*)*+"
_STATEMENT = re.compile(
    _BLANK
    + r"""(?:(?P<close>\})
    |(?P<name>[A-Za-z_]\w*)\s*(?:
        \((?P<arguments>(?:[^()"]++|"[^"]*")*+)\)\s*(?P<open>\{)?
        |:\s*(?P<value>"[^"]*"|[^;{}\n]*)))""",
    re.VERBOSE,
)
_END = re.compile(_BLANK + r"\Z")
_JUNK = str.maketrans('",\\\n', "    ")


MAX_LIBERTY = 256 << 20
"""Most bytes of a file, unpacked: a megabyte of gzip can hold gigabytes."""


@dataclass(eq=False)
class LibertyGroup:
    """One group: its kind (`cell`, `pin`, ...), arguments, attributes (the last of a name wins) and groups.

    `start` and `end` are the places of its first letter and behind its closing brace in the text.
    """

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["LibertyGroup"] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def all(self, kind: str) -> Iterator["LibertyGroup"]:
        """Yield the groups of `kind` inside this one, in the order of the file."""
        return (group for group in self.groups if group.kind == kind)

    def first(self, kind: str) -> "LibertyGroup | None":
        """Return the first group of `kind` inside this one; None if there is none."""
        return next(self.all(kind), None)

    @property
    def name(self) -> str:
        """The first argument, or nothing."""
        return self.arguments[0] if self.arguments else ""

    def number(self, name: str, default: float) -> float:
        """Attribute `name` as a number."""
        text = self.attributes.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{self.kind} attribute {name} is {text!r}, expected a number") from None

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """Attribute `name` as a flat list of numbers, None where it is absent."""
        text = self.attributes.get(name)
        return None if text is None else np.array(text.translate(_JUNK).split(), dtype=np.float64)

    def flag(self, name: str) -> bool:
        """Attribute `name` is `true`."""
        return self.attributes.get(name, "").lower() == "true"


def read_text(path: Path) -> str:
    """Text of a file that may be packed with gzip.

    Raises
    ------
    InputError
        The file is missing, damaged, no text, or longer than `MAX_LIBERTY` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIBERTY + 1)
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(MAX_LIBERTY + 1)
        if len(data) > MAX_LIBERTY:
            raise InputError(f"{path}: expected a Liberty file of at most {MAX_LIBERTY >> 20} MiB, unpacked")
        return data.decode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}), expected a Liberty file") from error
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not text or a damaged gzip file, expected a Liberty file") from error


def parse(text: str) -> LibertyGroup:
    """Parse the text of a Liberty file into its `library` group.

    Raises
    ------
    ValueError
        What is wrong, with the line.
    """
    root = LibertyGroup("", ())
    stack = [root]
    at = 0
    while not _END.match(text, at):
        match = _STATEMENT.match(text, at)
        if match is None or (len(stack) == 1 and match["open"] is None):
            cut = len(stack) > 1 and not text.rstrip().endswith("}")
            raise ValueError(f"line {_line(text, at)}: {'the file is cut short' if cut else 'not a Liberty statement'}")
        at = match.end()
        name = match["name"]
        if name is None:
            stack.pop().end = at
        elif match["open"]:
            words = tuple(word.strip(' "\n') for word in match["arguments"].split(","))
            group = LibertyGroup(name, words, start=match.start("name"))
            stack[-1].groups.append(group)
            stack.append(group)
        else:
            value = match["arguments"] if match["value"] is None else match["value"].strip(' "\t\r')
            stack[-1].attributes[name] = value
    if len(stack) > 1:
        raise ValueError(f"ends within {stack[-1].kind} {stack[-1].name!r}: a '}}' is missing, the file is cut short")
    if len(root.groups) != 1 or root.groups[0].kind != "library":
        raise ValueError("expected one 'library (NAME) { ... }' group")
    return root.groups[0]


def _line(text: str, at: int) -> int:
    """Line number of the first thing that is not blank from `at` on."""
    blank = re.compile(_BLANK).match(text, at)
    return text.count("\n", 0, blank.end() if blank else at) + 1
