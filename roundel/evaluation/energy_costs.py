"""Energy of an operation of each unit of the engine on gates, with a network's own data as stimulus."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from roundel.compiler import Compiled
from roundel.evaluation.comparison import Job, Row
from roundel.evaluation.stimulus import Accumulators, runtime
from roundel.golden.engine import EngineParams, Opcode, Region
from roundel.golden.head import Boxes
from roundel.golden.mac import MacParams, Schedule, schedule
from roundel.golden.network import Step, Weighted
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, limits
from roundel.hw.emit import to_verilog
from roundel.hw.mac import MacArray
from roundel.hw.units import unit_of
from roundel.sim.stimuli import BoxImage, image_of
from roundel.synth.analysis import Energy
from roundel.synth.cells import read_library
from roundel.synth.mapping import map_design
from roundel.synth.measure import (
    BoxStream,
    Circuit,
    WeightStreams,
    cached_row,
    code_digest,
    lane_circuit,
    measure_activation,
    measure_decoder,
    measure_nms,
    measure_operator,
    part_of,
    prove_and_estimate,
)

COLUMNS = 4  # of the array whose gates are simulated: all are alike
POSITIONS, PRODUCTS = 128, 144  # of the layer that drives it
OPERATIONS = 4096  # accumulators that drive the requantizer
WEIGHTS = 16_384  # at least so many drive the decoder, if there are
SCENES = 12  # whose boxes drive the NMS


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Energy of one operation of each unit, pJ.

    Attributes
    ----------
    cells
        The cell library.
    multiplication
        Energy in the array: product and addition, with weights, broadcast and its share of the requantizers' idling.
    weight
        Dense weight out of the decoder.
    requantization, activation
        Accumulator to byte; word to byte, None where no layer has an activation.
    box, box_tables
        A box through the NMS: its logic, and what its tables of windows move. Logic is None where its netlist is too
        large to simulate.
    """

    cells: str
    multiplication: float
    weight: float
    requantization: float
    box: float | None
    box_tables: float
    activation: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """A network's own data.

    Attributes
    ----------
    name
        Name of the network, for reports.
    steps
        Every layer's run on one image.
    accumulators
        What its requantizers take, see `sampled`.
    compiled
        Its program.
    boxes
        Boxes of at least two images, as they go to the NMS; fewer if it has none.
    """

    name: str
    steps: Sequence[Step]
    accumulators: Accumulators
    compiled: Compiled
    boxes: Sequence[Boxes]


def cost_jobs(stimulus: Stimulus, cells: Path) -> dict[str, Job]:
    """Return what to measure, by name, all of it cached."""
    params = stimulus.compiled.params
    source = f"{stimulus.name}, its own data"
    given = replace(params.mac.requant, scheme=Scheme.SHIFT)
    acc = stimulus.accumulators
    jobs: dict[str, Callable[[], Row]] = {
        "array": lambda: measure_array(params, cells, stimulus.steps, source=source),
        "decoder": lambda: measure_decoder(params.decoder, cells, weight_streams(stimulus.compiled, source)),
        "requantizer": lambda: measure_operator(given, cells, {"acc": acc.acc} | runtime(given, acc), source=source),
    }
    if circuit := activation_circuit(params, stimulus.steps):
        jobs["activation"] = lambda: measure_activation(circuit, cells, source=source, columns={})
    if params.nms is not None and len(stimulus.boxes) > 1:
        nms, stream = params.nms, BoxStream(source=source, images=box_images(params, stimulus.boxes))
        jobs["nms"] = lambda: measure_nms(unit_of(nms), nms, cells, stream)
    return {name: Job(name=f"{name} on {cells.stem}", measure=make) for name, make in jobs.items()}


def costs_of(rows: Mapping[str, Row]) -> Costs:
    """Return the rows of `cost_jobs`."""
    nms = rows.get("nms", {"energy_pj_per_op": None, "energy_tables_pj_per_op": 0.0})
    lane = rows.get("activation")
    activation = None if lane is None else lane["energy_pj_per_op"] + lane["energy_pipeline_register_pj_per_op"]
    return Costs(
        cells=rows["array"]["cells"],
        multiplication=rows["array"]["energy_pj_per_op"],
        weight=rows["decoder"]["energy_pj_per_op"],
        requantization=rows["requantizer"]["energy_pj_per_op"],
        box=nms["energy_pj_per_op"],
        box_tables=nms["energy_tables_pj_per_op"],
        activation=activation,
    )


def activation_circuit(params: EngineParams, steps: Sequence[Step]) -> Circuit | None:
    """Return a lane of the engine's activation unit, driven by words of the layer that has most; None without any."""
    words: Ints = np.zeros(0, np.int64)
    table = None
    for step in steps:
        layer = step.layer
        if isinstance(layer, Weighted) and layer.activation is not None and step.accumulators is not None:
            taken = np.ascontiguousarray(layer.requantize(step.accumulators).T).ravel().astype(np.int64)
            if taken.size > words.size:
                words, table = taken, layer.activation.table
    if params.activation is None or table is None:
        return None
    words = words[:: max(1, -(-words.size // OPERATIONS))]
    return lane_circuit("activation unit", params.activation, table, words, np.zeros_like(words))


def measure_array(params: EngineParams, cells: Path, steps: Sequence[Step], *, source: str) -> Row:
    """Measure the energy of a multiplication in an array like the engine's, its memory left out.

    Parameters
    ----------
    params
        The engine; its array is cut to `COLUMNS` columns, as all of them are alike.
    cells
        A Liberty file.
    steps
        Layers with their operands, of which the largest drives the array.
    source
        What the operands are, for the report.

    Returns
    -------
    dict
        `energy_pj_per_op` with its parts, and whether the netlist equalled golden.
    """
    mac = replace(params.mac, columns=min(params.columns, COLUMNS), depth=min(params.depth, POSITIONS))
    beats = layer_beats(mac, steps)
    given = [text for name, values in beats.arrays().items() for text in (name, values.tobytes())]
    key = [code_digest(), read_library(cells).digest, "engine array", json.dumps(mac.as_dict()), source, *given]
    return cached_row(key, lambda: _array_row(mac, cells, beats, source))


def _array_row(mac: MacParams, cells: Path, beats: Schedule, source: str) -> Row:
    component = MacArray(mac)
    mapped = map_design(to_verilog(component, "mac"), "mac", cells)
    config = {"params": mac.as_dict(), "latency": component.latency}
    result = prove_and_estimate(mapped, cells, bench="roundel.sim.benches.tb_mac", config=config, stimulus=beats.save)
    operations = len(beats.activations) * mac.lanes * mac.columns
    total = sum(result.power.by(part_of).values(), Energy()) * (result.cycles / operations)
    return {
        "unit": "array",
        "cells": read_library(cells).name,
        "params": mac.as_dict(),
        "energy_pj_per_op": total.total,
        "ops": operations,
        "stimulus": source,
        "verified": result.proof.passed,
    }


def layer_beats(mac: MacParams, steps: Sequence[Step]) -> Schedule:
    """Return the first positions, products and channels of the largest layer; its bytes are signed."""
    fitting = [step for step in steps if isinstance(step.layer, Weighted) and step.columns is not None]
    step = max(fitting, key=lambda step: min(step.layer.weights.shape[0], PRODUCTS) * len(step.columns))  # type: ignore
    layer = step.layer
    assert isinstance(layer, Weighted)
    assert step.columns is not None
    offset = 0 if layer.x.signed else 128
    acts, weights = step.columns[:POSITIONS, :PRODUCTS] - offset, layer.weights[:PRODUCTS, : mac.columns]
    bias = layer.aligned_bias[: mac.columns] + offset * weights.sum(axis=0)
    parts = digits(weights.astype(np.int64), mac.weight_width)
    acts, held = np.tile(acts, (1, len(parts))), np.concatenate(parts)
    shifts = {name: np.max(values) for name, values in layer.runtime().items()}
    return schedule(mac, acts, held, bias, shifts)


def digits(weights: Ints, width: int) -> list[Ints]:
    """Weights as an array of `width` bits takes them: as they are or, where they are wider, digit by digit.

    The sums of their products lack the digits' scales, which no column of `roundel.golden.mac` has.
    """
    low, high = limits(width, True)
    parts = []
    while (weights < low).any() or (weights > high).any():
        bits = 2 * max(1, width // 2)
        lower = ((weights + (1 << bits - 1)) & (1 << bits) - 1) - (1 << bits - 1)
        parts.append(lower)
        weights = (weights - lower) >> bits
    return [*parts, weights]


def weight_streams(compiled: Compiled, source: str) -> WeightStreams:
    """Return the streams of the longest layers, until they hold `WEIGHTS`."""
    places = {
        (descriptor.weights_offset, descriptor.weights_bytes)
        for descriptor in compiled.program.descriptors
        if descriptor.opcode is Opcode.COMPUTE and descriptor.weights_region == Region.PROGRAM
    }
    streams: list[bytes] = []
    for start, size in sorted(places, key=lambda place: (-place[1], place[0])):
        streams.append(compiled.image[start : start + size])
        if WeightStreams(source=source, streams=tuple(streams)).weights >= WEIGHTS:
            break
    return WeightStreams(source=source, streams=tuple(streams))


def box_images(params: EngineParams, boxes: Sequence[Boxes]) -> tuple[BoxImage, ...]:
    """Return the first images, and the first one once more behind them (see `BoxStream`)."""
    assert params.nms is not None
    some = list(boxes[:SCENES])
    form = params.nms.format
    return tuple(image_of(image.boxes, image.scores, image.labels, form) for image in (*some, some[0]))


def sampled(accumulators: Accumulators, most: int = OPERATIONS) -> Accumulators:
    """About `most` accumulators, equally many of each layer and spread over it."""
    share = max(1, most // len(accumulators.layers))

    def some(layer: Ints) -> Ints:
        return np.ascontiguousarray(layer[:: max(1, -(-len(layer) // share))])

    return replace(accumulators, layers=tuple(some(layer) for layer in accumulators.layers))
