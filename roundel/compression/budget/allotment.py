"""Bits and patterns of layers under a budget: the least loss that the budget allows, and the front of all others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf, log10
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import Compiled
from roundel.compression.budget.costs import Compile, Costing, CostTable, measured
from roundel.compression.budget.knapsack import Front, front
from roundel.compression.budget.params import Budget
from roundel.compression.budget.sensitivity import Weighted, sensitivities
from roundel.compression.budget.variants import LayerVariant, LayerVariants
from roundel.golden.errors import InputError
from roundel.golden.opq import DENSE
from roundel.quantization import QuantizeOptions
from roundel.synth.cells import REFERENCE
from roundel.ui import Progress

ATTEMPTS = 6  # programs that are made until one keeps the budget
SHOWN = 12  # points of the front at most
NEAR = 1e-3  # of the budget, by which an attempt that is too expensive falls below it next time


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the front.

    Attributes
    ----------
    ratio
        Its cost, as part of that of weights of 8 bits: the sum over layers, which may overlap in time.
    loss
        Sum of the layers' losses.
    bits
        Mean bits of a weight.
    kept
        Part of the weights that patterns keep.
    """

    ratio: float
    loss: float
    bits: float
    kept: float = 1.0

    @property
    def db(self) -> float:
        """The loss as a ratio of signal to noise; infinite without any."""
        return -10 * log10(self.loss) if self.loss else inf


@dataclass(frozen=True, kw_only=True, eq=False)
class Allotment:
    """The bits and the pattern of every layer.

    Attributes
    ----------
    budget, engine
        What was asked for, and on which engine.
    whole
        Cost of the network with weights of 8 bits.
    least
        The least cost that bits and patterns reach, as part of it: the sum over layers.
    bits, kept
        Bits of each layer, and channels of eight that its pattern keeps.
    chosen
        What that costs and loses, in sum over the layers.
    ratio
        What the network's program costs in fact, as part of `whole`.
    points
        The front, from the least cost to the greatest: corners that a Lagrange multiplier finds.
    exact
        Whether no other choice of bits has less loss at this sum of costs.
    """

    budget: Budget
    engine: str
    whole: int
    least: float
    bits: Mapping[str, int]
    kept: Mapping[str, int]
    chosen: Point
    ratio: float
    points: tuple[Point, ...]
    exact: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "budget": self.budget.as_dict(),
            "engine": self.engine,
            "whole": self.whole,
            "least": self.least,
            "bits": dict(self.bits),
            "kept": dict(self.kept),
            "chosen": vars(self.chosen),
            "ratio": self.ratio,
            "front": [vars(point) for point in self.points],
            "exact": self.exact,
        }


@dataclass(frozen=True, kw_only=True)
class Target:
    """The engine that a budget is counted on.

    Attributes
    ----------
    engine
        Its name, for messages.
    array_bits
        Bits of its array's weights.
    compile_for
        The compiler, for it.
    realize
        Quantizes the network with layers like these and compiles it; the last call makes what is kept.
    """

    engine: str
    array_bits: int
    compile_for: Compile
    realize: Callable[[Mapping[str, LayerVariant]], Compiled]


def allot(
    variants: LayerVariants,
    images: NDArray[np.float32],
    search: QuantizeOptions,
    budget: Budget,
    target: Target,
    progress: Progress,
) -> Allotment:
    """Choose the bits, and the pattern, of every layer whose weights are free.

    Costs of layers are counted in each of their variants, but layers overlap in time, and streams depend on formats:
    what a choice costs in fact is counted in its own program, and the sum that is allowed is lowered until that keeps
    the budget.

    Parameters
    ----------
    variants, images
        The network and its patterns, and calibration images.
    search
        How it is to be quantized.
    budget
        The budget.
    target
        The engine.
    progress
        Told of all parts.

    Raises
    ------
    InputError
        No layer's bits are free, or the budget is below the least that bits reach.
    """
    graph = variants.graph
    sizes = {n.name: n.weights.size for n in graph.nodes if isinstance(n, Weighted) and n.step is None}
    if not sizes:
        raise InputError(f"--budget: expected layers whose weights are free, but {graph.file} has none")
    energy = partial(measured, image=images[:1], cells=REFERENCE, name=Path(graph.file).name, progress=progress)
    costing = Costing(variants, images, search, target.compile_for, budget.cost, energy)
    table = costing.table(list(sizes), target.array_bits, progress)
    losses = sensitivities(variants, images, table.variants, search, budget.sensitivity, progress)
    found = front([table.costs[name] for name in sizes], [losses[name] for name in sizes])
    points = _Points(found, table, sizes)
    _check_reach(budget, target, points)
    point, ratio = _within(budget, target, points, costing, progress)
    if ratio > budget.ratio and not point:
        raise _unmet(budget, target, ratio, points)
    return Allotment(
        budget=budget,
        engine=target.engine,
        whole=table.whole,
        least=points.at(0).ratio,
        bits={name: variant.bits for name, variant in points.variants(point).items()},
        kept={name: variant.kept for name, variant in points.variants(point).items()},
        chosen=points.at(point),
        ratio=ratio,
        points=tuple(points.at(corner) for corner in _some(found.hull)),
        exact=found.exact,
    )


def _within(
    budget: Budget, target: Target, points: "_Points", costing: Costing, progress: Progress
) -> tuple[int, float]:
    """Return the point whose own program keeps the budget, and what that costs; else the last that was tried."""
    found, table = points.found, points.table
    allowed, attempt = budget.ratio * table.whole - table.fixed, 0
    with progress("programs within the budget", ATTEMPTS) as step:
        while True:
            place = found.within(allowed)
            point = 0 if place is None else place
            ratio = costing.layers(target.realize(points.variants(point)))[1] / table.whole
            attempt += 1
            step(f"{budget.cost.value} {ratio:.4f}")
            if ratio <= budget.ratio or not point or attempt == ATTEMPTS:
                return point, ratio
            over = (ratio - budget.ratio + NEAR * budget.ratio) * table.whole
            allowed = min(allowed, float(found.costs[point])) - over


class _Points:
    """Points of a front in the words of a user."""

    def __init__(self, found: Front, table: CostTable, sizes: Mapping[str, int]) -> None:
        self.found, self.table, self.sizes = found, table, sizes

    def variants(self, point: int) -> dict[str, LayerVariant]:
        chosen = zip(self.sizes, self.found.choice(point), strict=True)
        return {name: self.table.variants[name][place] for name, place in chosen}

    def at(self, point: int) -> Point:
        chosen, whole = self.variants(point), sum(self.sizes.values())
        bits = sum(self.sizes[name] * variant.bits for name, variant in chosen.items()) / whole
        kept = sum(self.sizes[name] * variant.kept for name, variant in chosen.items()) / whole / DENSE
        cost = int(self.found.costs[point]) + self.table.fixed
        return Point(ratio=cost / self.table.whole, loss=float(self.found.losses[point]), bits=bits, kept=kept)


def _check_reach(budget: Budget, target: Target, points: _Points) -> None:
    """Raise InputError if no choice comes near the budget, by the sum over layers."""
    least = points.at(0).ratio
    if budget.ratio < 1 and all(len(own) == 1 for own in points.table.variants.values()):
        raise InputError(
            f"--budget {budget}: bits are no lever for cycles on {target.engine}, whose array multiplies weights of "
            f"{target.array_bits} bits in one step: expected an engine of weight_width=4 or 2, or a budget of bytes or "
            "energy"
        )
    if least > budget.ratio * 1.05:  # overlap in time may make up for less
        raise _unmet(budget, target, least, points)


def _unmet(budget: Budget, target: Target, least: float, points: _Points) -> InputError:
    shown = np.ceil(least * 1000) / 1000
    what = "bits and patterns" if any(v.kept < DENSE for own in points.table.variants.values() for v in own) else "bits"
    return InputError(
        f"--budget {budget}: the nearest that {what} reach on {target.engine} is {budget.cost.value}={shown:g}: "
        "expected at least that"
    )


def _some(corners: list[int]) -> list[int]:
    """Return at most `SHOWN` of them, the ends among them."""
    places = np.linspace(0, len(corners) - 1, min(SHOWN, len(corners))).round().astype(int)
    return [corners[place] for place in dict.fromkeys(places.tolist())]
