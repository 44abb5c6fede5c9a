"""Runs the weighted layers of an integer network on the RTL of the MAC array, and compares with golden.

Layers between them (pooling, flattening, what the array cannot do) run in golden; each layer on the array is fed with
what the array itself gave for the layers before it, so the network's result is the RTL's. `bounds` clamp behind it.
"""

import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.errors import ToolError
from golden.layer_tiling import layer_outputs, layer_schedule
from golden.layers import Step, Weighted
from golden.network import Network
from golden.rounding import Ints
from golden.tiling import Schedule
from roundel.array_design import Array
from sim.bench import PERIOD_NS
from sim.runner import run

BENCH, SPARSE_BENCH = "sim.tb_mac", "sim.tb_sparse_mac"
BATCH = 50  # images per simulation; fixed, so that no figure depends on the number of cores
SEED = 1  # of cocotb, which draws nothing here: beats are given and nobody stalls
OUTPUTS = "outputs.npz"  # what the bench leaves in its folder


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """One layer on the array.

    Attributes
    ----------
    layer, array
        Names of the layer and of the array it ran on.
    positions, products, channels
        Output positions of all images, products in each sum, output channels.
    beats, cycles
        Beats of activations, and clock cycles until the last result, weight loading and pipeline included.
    faults
        What the bench reported, one line each; empty when the RTL did what golden says for the same input.
    """

    layer: str
    array: str
    positions: int
    products: int
    channels: int
    beats: int
    cycles: int
    faults: tuple[str, ...] = ()

    @property
    def beats_per_cycle(self) -> float:
        """At most 1; what is missing is the first block of weights and the pipeline's latency, once per simulation."""
        return self.beats / self.cycles


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """A network on the array.

    Attributes
    ----------
    layers
        One row per weighted layer, in dataflow order.
    outputs
        What the RTL gave for each of them, by name: (images, ..., channels).
    results
        The network's results by name, (images, ..., channels).
    """

    layers: tuple[LayerRun, ...]
    outputs: dict[str, Ints] = field(repr=False)
    results: dict[str, Ints] = field(repr=False)

    @property
    def result(self) -> Ints:
        """The network's result; of several, the last."""
        return list(self.results.values())[-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """A schedule that ran on the RTL.

    Attributes
    ----------
    outputs
        Output beats (beats, columns) as they came, right or wrong.
    cycles
        From the end of reset to the last output.
    faults
        What the bench reported; empty when all is as golden says.
    speed
        Clock cycles that the simulation did in a second, the bench's own work included.
    """

    outputs: Ints
    cycles: int
    faults: tuple[str, ...]
    speed: float


def simulate(array: Array, beats: Schedule, stream: bytes | None = None) -> Replay:
    """Run a schedule through the RTL, without stalls.

    Parameters
    ----------
    array
        What is built.
    beats
        What is driven.
    stream
        The weights of a tile for an array behind a decoder: they come again for each tile, instead of those of `beats`.

    Raises
    ------
    ToolError
        The simulation crashed, or gave no results.
    """
    folder = Path(tempfile.mkdtemp(prefix="roundel-"))  # stays, with its log, where anything below raises
    beats.save(folder / "stimulus.npz")
    config = {"params": array.params.as_dict(), "latency": array.latency, "stimulus": str(folder / "stimulus.npz")}
    if stream is not None:
        (folder / "stream.rws").write_bytes(stream)
        config["stream"] = str(folder / "stream.rws")
    bench = BENCH if stream is None else SPARSE_BENCH
    result = run(array.design, bench, seed=SEED, config=config, folder=folder)
    if not (folder / OUTPUTS).exists():
        raise ToolError(f"{array.name} gave no results: {', '.join(result.failures)}\nlog: {folder / 'run.log'}")
    cycles, seconds = clock(folder)
    with np.load(folder / OUTPUTS) as archive:
        outputs, counted = archive["outputs"], int(archive["cycles"])
    shutil.rmtree(folder)
    return Replay(outputs=outputs, cycles=counted, faults=result.failures, speed=cycles / seconds)


def clock(folder: Path) -> tuple[int, float]:
    """Clock cycles that a bench, run in `folder`, took from start to end, and seconds."""
    cases = list(ElementTree.parse(folder / "results.xml").iter("testcase"))
    times = [item for case in cases for item in case.iter("property") if item.get("name") == "sim_time_duration"]
    cycles = sum(float(item.get("value", 0)) for item in times) / PERIOD_NS
    return round(cycles), sum(float(case.get("time", 0)) for case in cases)


def run_on_array(
    network: Network,
    images: Ints,
    arrays: Mapping[str, Array],
    done: Callable[[str], None] = lambda _: None,
    *,
    streams: Mapping[str, bytes] = MappingProxyType({}),
) -> NetworkRun:
    """Run `network` with weighted layers on the RTL.

    Parameters
    ----------
    network
        What to run.
    images
        As `Network.encode` gives them.
    arrays
        The array of each layer that is to run on one, by its name; the others run in golden.
    done
        Called with a layer's name whenever `BATCH` images are through it: `rounds(images)` times per layer.
    streams
        The weights of each layer whose array is behind a decoder, by its name.
    """
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    one = partial(_run_batch, network, arrays=arrays, streams=streams, done=done)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        runs = list(pool.map(one, batches))
    return NetworkRun(
        layers=tuple(_total(rows) for rows in zip(*(run.layers for run in runs), strict=True)),
        outputs={name: np.concatenate([run.outputs[name] for run in runs]) for name in runs[0].outputs},
        results={name: np.concatenate([run.results[name] for run in runs]) for name in runs[0].results},
    )


def rounds(images: Ints) -> int:
    """How many batches `run_on_array` makes of `images`."""
    return -(-len(images) // BATCH)


def differences(run: NetworkRun, golden: Iterable[Step]) -> list[str]:
    """One line for each layer that is not golden's: how many outputs differ, and the first of them, or another fault.

    Parameters
    ----------
    run
        What the RTL gave.
    golden
        What `golden.network.steps` gives for the same images.
    """
    expected = {step.layer.name: step.outputs for step in golden}
    lines = []
    for row in run.layers:
        found = difference(row.layer, run.outputs[row.layer], expected[row.layer])
        lines += found or [f"{row.layer}: {fault}" for fault in row.faults[:1]]
    return lines


def difference(layer: str, outputs: NDArray[Any], expected: NDArray[Any]) -> list[str]:
    """Empty where `outputs` equal `expected`, else one line: layer, element, both values."""
    wrong = np.argwhere(outputs != expected)
    if not len(wrong):
        return []
    index = tuple(int(place) for place in wrong[0])
    found, golden = int(outputs[index]), int(expected[index])
    return [
        f"{layer}: {len(wrong)} of {expected.size} outputs differ, first {list(index)}: RTL {found}, golden {golden}"
    ]


def _run_batch(
    network: Network,
    images: Ints,
    arrays: Mapping[str, Array],
    streams: Mapping[str, bytes],
    done: Callable[[str], None],
) -> NetworkRun:
    values = {network.source: images}
    rows: list[LayerRun] = []
    outputs: dict[str, Ints] = {}
    for layer in network.layers:
        step = layer.compute(*(values[name] for name in layer.sources))
        values[layer.name] = step.outputs
        if isinstance(layer, Weighted) and layer.name in arrays:
            row, result = _run_layer(layer, step, arrays[layer.name], streams.get(layer.name))
            rows.append(row)
            values[layer.name] = outputs[layer.name] = result
            done(layer.name)
    results = {name: values[name] for name in network.output_names}
    return NetworkRun(layers=tuple(rows), outputs=outputs, results=results)


def _run_layer(layer: Weighted, step: Step, array: Array, stream: bytes | None) -> tuple[LayerRun, Ints]:
    """`step` gives the operands and the shape of the result; its outputs are not used."""
    assert step.columns is not None
    positions, channels = len(step.columns), layer.weights.shape[1]
    beats = layer_schedule(array.mac, layer, step.columns)
    replay = simulate(array, beats, stream)
    row = LayerRun(
        layer=layer.name,
        array=array.name,
        positions=positions,
        products=len(layer.weights),
        channels=channels,
        beats=len(beats.position),
        cycles=replay.cycles,
        faults=replay.faults,
    )
    return row, layer_outputs(array.mac, layer, replay.outputs, positions).reshape(step.outputs.shape)


def _total(rows: tuple[LayerRun, ...]) -> LayerRun:
    """One layer's rows of all batches as one."""
    summed = {name: sum(getattr(row, name) for row in rows) for name in ("positions", "beats", "cycles")}
    return replace(rows[0], faults=tuple(fault for row in rows for fault in row.faults), **summed)
