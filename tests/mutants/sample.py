"""Draws the faults to try: seeded by the commit, the same for everyone who draws it."""

import ast
import random
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from tests.mutants.operators import Mutant, compiles, mutants

LINKS = ("golden", "hw", "sim", "synth")
DATA = {"hw/configs.py"}  # which configurations the tests prove is no code


class Fault(NamedTuple):
    """A mutant and what tells it from others in any commit: the text of its line, not its number."""

    mutant: Mutant
    key: str
    last: int  # line on which what it replaces ends
    imported: bool  # its line runs when the module is imported, and not in a function


def faults(root: Path, folder: str) -> list[Fault]:
    """All faults below a folder of the tree, in the order of paths and lines."""
    everything = []
    for file in sorted((root / folder).rglob("*.py")):
        path = file.relative_to(root)
        if str(path) in DATA or (path.parts[0] == "roundel" and path.parts[1] in LINKS):
            continue
        source = file.read_bytes()
        lines = source.decode().splitlines()
        inside = _inside(source)
        for mutant in mutants(str(path), source):
            key = f"{path} {mutant.operator} {lines[mutant.line - 1].strip()} {mutant.old} -> {mutant.new}"
            last = mutant.line + source[mutant.start : mutant.end].count(b"\n")
            everything.append(Fault(mutant, key, last, mutant.line not in inside))
    return everything


def _inside(source: bytes) -> set[int]:
    """Lines of the bodies of functions."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {line for node in functions for line in range(node.body[0].lineno, (node.end_lineno or 0) + 1)}


def draw(root: Path, folder: str, count: int, seed: str, seen: Container[str]) -> list[Fault]:
    """`count` faults of a folder that are not `seen`, no two on one line."""
    everything = faults(root, folder)
    random.Random(f"{seed} {folder}").shuffle(everything)
    drawn: list[Fault] = []
    lines: set[tuple[str, int]] = set()
    for fault in everything:
        mutant = fault.mutant
        place = (mutant.path, mutant.line)
        if len(drawn) == count:
            break
        if fault.key in seen or place in lines or not compiles(mutant, (root / mutant.path).read_bytes()):
            continue
        lines.add(place)
        drawn.append(fault)
    return drawn
