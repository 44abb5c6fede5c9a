"""What each layer costs on an engine in each variant: counted in programs that the compiler makes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import Compiled, predicted_layers
from roundel.compression.budget.params import Cost
from roundel.compression.budget.variants import LayerVariant, LayerVariants
from roundel.evaluation import Costs, Stimulus, cost_jobs, costs_of, from_network, run_jobs, sampled, task_counts
from roundel.golden.engine import Opcode, Region
from roundel.golden.formats import digits_of
from roundel.golden.network import Network, steps
from roundel.golden.opq import pattern_name
from roundel.golden.rounding import Ints
from roundel.quantization import QuantizeOptions, quantize
from roundel.ui import Progress

POSITIONS = 64  # at which a sketch compares candidates
MOST_BITS = 8
BITS = (2, 3, 4, 6, 8)
UNITS = ("array", "decoder", "requantizer")  # whose energy counts

Compile = Callable[[Network], Compiled]
Measure = Callable[[Compiled, Network], Costs]


@dataclass(frozen=True, kw_only=True, eq=False)
class CostTable:
    """Costs of an image.

    Attributes
    ----------
    variants
        What each layer may be, by name.
    costs
        What it costs as each of them, by name.
    whole
        Cost of all layers at 8 bits and without patterns, and of what belongs to no layer.
    fixed
        The part of it that no choice changes.
    """

    variants: Mapping[str, tuple[LayerVariant, ...]]
    costs: Mapping[str, Ints]
    whole: int
    fixed: int


class Costing:
    """Programs of a network whose layers have these and those bits and patterns, and what they cost.

    Parameters
    ----------
    variants, images
        The network and its patterns, and calibration images, of which one sketches the integers.
    search
        How the network is to be quantized.
    compile_for
        The compiler, for the engine.
    cost
        What is counted.
    measure
        Gives the energy of operations, measured on the program of 8 bits; called for `Cost.ENERGY` only.
    """

    def __init__(
        self,
        variants: LayerVariants,
        images: NDArray[np.float32],
        search: QuantizeOptions,
        compile_for: Compile,
        cost: Cost,
        measure: Measure,
    ) -> None:
        self.variants, self.images, self.cost = variants, images[:1], cost
        self.search = replace(search, positions=POSITIONS)
        self._compile, self._measure = compile_for, measure
        self._energy: Costs | None = None

    def sketch(self, variant: LayerVariant) -> Compiled:
        """Return the program of integers that few positions of one image choose, all layers of one variant."""
        graph = self.variants.network(variant.kept)
        network = quantize(graph, self.images, replace(self.search, weight_bits=variant.bits)).network
        compiled = self._compile(network)
        if self.cost is Cost.ENERGY and self._energy is None:
            self._energy = self._measure(compiled, network)
        return compiled

    def layers(self, compiled: Compiled) -> tuple[Counter[str], int]:
        """Return the cost of each layer, and of all, those of no layer included."""
        match self.cost:
            case Cost.CYCLES:
                rows, cycles = predicted_layers(compiled)
                return Counter({row.layer: row.cycles for row in rows}), cycles
            case Cost.BYTES:
                return layer_bytes(compiled), len(compiled.image)
            case Cost.ENERGY:
                assert self._energy is not None
                energies = layer_energy(compiled, self._energy)
                return energies, energies.total()

    def table(self, layers: Sequence[str], array_bits: int, progress: Progress) -> CostTable:
        """Return what layers cost at the bits that count, with and without patterns.

        Parameters
        ----------
        layers
            Layers whose bits are free.
        array_bits
            Bits of the array's weights: cycles follow from the number of its digits, so that only the most bits of each
            number count.
        progress
            Told of every variant.
        """
        widths = candidates(array_bits, self.cost)
        tried = [LayerVariant(bits, kept) for kept in self.variants.every_kept for bits in widths]
        most = LayerVariant(MOST_BITS)
        found: dict[LayerVariant, Counter[str]] = {}
        with progress("costs on the engine", len(tried)) as step:
            for variant in reversed(tried):  # that of most bits, without a pattern, first: energies are measured on it
                found[variant], cost = self.layers(self.sketch(variant))
                if variant == most:
                    whole = cost
                step(f"{variant.bits} bits, {pattern_name(variant.kept)}")
        variants = {
            name: tuple(variant for variant in tried if variant.kept in self.variants.kept(name)) for name in layers
        }
        costs = {name: np.array([found[one][name] for one in own], np.int64) for name, own in variants.items()}
        fixed = whole - sum(found[most][name] for name in layers)
        return CostTable(variants=variants, costs=costs, whole=whole, fixed=fixed)


def candidates(array_bits: int, cost: Cost) -> tuple[int, ...]:
    """Return the bits that a layer may have: of equal digits the most, where nothing but these count."""
    if cost is not Cost.CYCLES:
        return BITS
    most = {digits_of(array_bits, bits): bits for bits in range(2, MOST_BITS + 1)}
    return tuple(sorted(most.values()))


def layer_bytes(compiled: Compiled) -> Counter[str]:
    """Return the bytes of each layer's weight and parameter streams; those that descriptors share count once."""
    layers: Counter[str] = Counter()
    seen: set[int] = set()
    for task in compiled.tasks:
        for what in ("weights", "parameters"):
            place = task.values.get(f"{what}_offset", 0)
            if task.opcode is not Opcode.COMPUTE or (task.values.get("has_gate") and what == "weights"):
                continue
            if task.values.get(f"{what}_region", Region.PROGRAM) == Region.PROGRAM and place not in seen:
                seen.add(place)
                layers[task.layer] += task.values.get(f"{what}_bytes", 0)
    return layers


def layer_energy(compiled: Compiled, costs: Costs) -> Counter[str]:
    """Return the energy of each layer in array, decoder and requantizers, pJ."""
    params, layers = compiled.params, Counter[str]()
    for task in compiled.tasks:
        counts = task_counts(params, task)
        energy = counts.beats * params.lanes * params.columns * costs.multiplication
        energy += counts.weights * costs.weight + counts.results * costs.requantization
        layers[task.layer] += round(energy)
    return layers


def measured(
    compiled: Compiled, network: Network, image: NDArray[np.float32], cells: Path, name: str, progress: Progress
) -> Costs:
    """Return the energy of an operation of array, decoder and requantizers; measured once, then cached.

    Parameters
    ----------
    compiled, network
        The program, whose engine is measured, and its network.
    image
        (1, *shape): what runs.
    cells
        A Liberty file.
    name
        Name of the network, for reports.
    progress
        Told of every unit.
    """
    codes = network.encode(image)
    stimulus = Stimulus(
        name=name,
        steps=list(steps(network, codes)),
        accumulators=sampled(from_network(network, codes, f"{name}, one calibration image")),
        compiled=compiled,
        boxes=(),
    )
    jobs = cost_jobs(stimulus, cells)
    with progress("energy on gates", len(UNITS)) as step:
        return costs_of(dict(zip(UNITS, run_jobs([jobs[unit] for unit in UNITS], step), strict=True)))
