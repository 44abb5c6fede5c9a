"""The result of an inspection: tables for a terminal, JSON, and a picture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundel.inspection.engine_part import EnginePart
from roundel.inspection.picture import picture
from roundel.inspection.rows import Block, OperatorRow, RunsOn
from roundel.ui import Grid, Result, shortened, write_json

FIGURES, PICTURE = "inspect.json", "inspect.svg"
SHOWN = 3  # names of operators that a line of the table of blocks has


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection(Result):
    """What is in a network, and what of it runs where.

    Attributes
    ----------
    model
        Name of the file.
    shape
        Of an image: (channels, rows, columns) or (features,).
    host
        What was left to the host: `tail` or `any`.
    operators
        All operators, in the file's order.
    edges
        Operators by number, the one before and the one behind, that a tensor connects.
    blocks
        Why the engine cannot do some of them, and the way on.
    parts
        Parts of the engine.
    shares
        Part of all products that the engine computes, 0 to 1, with `tail` and with `any`.
    counts
        Parts of the engine with each.
    config
        Name of the engine that cycles are for; None without one.
    head
        What the tail of a detector is, a line each; empty where there is none.
    """

    model: str
    shape: tuple[int, ...]
    host: str
    operators: tuple[OperatorRow, ...] = field(repr=False)
    edges: tuple[tuple[int, int], ...] = field(repr=False)
    blocks: tuple[Block, ...]
    parts: tuple[EnginePart, ...] = field(repr=False)
    shares: Mapping[str, float]
    counts: Mapping[str, int]
    config: str | None = None
    head: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Part of all products that the engine computes."""
        return self.shares[self.host]

    @property
    def macs(self) -> int:
        """Products for one image."""
        return sum(row.macs for row in self.operators)

    @property
    def weights(self) -> int:
        """Weights of all operators."""
        return sum(row.weights for row in self.operators)

    def as_dict(self) -> dict[str, Any]:
        """Give what `inspect.json` holds."""
        return {
            "model": self.model,
            "shape": list(self.shape),
            "host": self.host,
            "macs": self.macs,
            "weights": self.weights,
            "share": self.share,
            "shares": dict(self.shares),
            "engine_parts": dict(self.counts),
            "places": self._places(),
            "operators": [row.as_dict() for row in self.operators],
            "blocks": [block.as_dict() for block in self.blocks],
            "parts": [part.as_dict() for part in self.parts],
            "config": self.config,
            "head": list(self.head),
        }

    def tables(self) -> Iterable[Grid]:
        """Give the operators that multiply, the modules, and what blocks."""
        rows = [row for row in self.operators if row.macs or row.weights]
        if rows:
            yield Grid("operators that multiply", ("operator", "kind", "result", "MACs", "weights", "runs on"),
                       shortened([_cells(row) for row in rows]))  # fmt: skip
        modules = [row for part in self.parts for row in part.modules]
        if modules:
            yield Grid("unified modules", ("module", "operators"),
                       shortened([row.module, ", ".join(row.operators)] for row in modules))  # fmt: skip
        layers = [row for part in self.parts for row in part.layers]
        if layers:
            cells = ([row.layer, f"{row.macs:,}", f"{row.cycles:,}", f"{row.utilization:.3f}"] for row in layers)
            yield Grid(f"cycles on {self.config}, predicted", ("layer", "MACs", "cycles", "used"), shortened(cells))

    def lines(self) -> Iterable[str]:
        """Give the share of the engine, each reason that blocks, and what to do about it."""
        places = ", ".join(f"{count} {place}" for place, count in self._places().items() if count)
        yield f"{len(self.operators)} operators ({places}), {self.macs:,} MACs, {self.weights:,} weights"
        yield from self._share_lines()
        yield from self.head
        for block in self.blocks:
            more = f" and {len(block.names) - SHOWN} more" if len(block.names) > SHOWN else ""
            yield f"{len(block.names)} {block.operator} ({', '.join(block.names[:SHOWN])}{more}): {block.reason}"
            yield f"  way on: {block.way_on}"
        for part in self.parts:
            if part.cycles is not None:
                yield f"{part.cycles:,} cycles an image on {self.config}, predicted with random images"
            elif part.not_compiled:
                yield f"no cycles on {self.config}: {part.not_compiled}"

    def _share_lines(self) -> Iterable[str]:
        if not self.blocks:
            yield "all of it runs on the engine"
            return
        for host, share in self.shares.items():
            count = self.counts[host]
            parts = f"in {count} part{'s' if count != 1 else ''}"
            yield f"on the engine with --host {host}: {share:.2%} of the MACs, {parts}; the rest runs on the host"

    def _places(self) -> dict[str, int]:
        return {place.value: sum(row.place is place for row in self.operators) for place in RunsOn}

    def write(self, folder: Path) -> None:
        """Write `inspect.json`, and the picture `inspect.svg`."""
        write_json(folder / FIGURES, self.as_dict())
        (folder / PICTURE).write_text(picture(self.title, self.operators, self.edges), encoding="utf-8")

    @property
    def title(self) -> str:
        """What the picture says above all."""
        return f"{self.model}: {self.share:.2%} of {self.macs:,} MACs on the engine (--host {self.host})"


def _cells(row: OperatorRow) -> list[str]:
    sizes = "?" if row.shape is None else " x ".join("?" if size is None else str(size) for size in row.shape[1:])
    return [row.name, row.operator, sizes, f"{row.macs:,}", f"{row.weights:,}", row.place.value]
