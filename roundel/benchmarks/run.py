"""Figures of speed: work per clock cycle of each unit's RTL, and how fast simulation and golden models run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roundel.benchmarks import codec as bench_codec
from roundel.benchmarks import decoder as bench_decoder
from roundel.benchmarks import engine as bench_engine
from roundel.benchmarks import golden as bench_golden
from roundel.benchmarks import networks as bench_networks
from roundel.benchmarks import nms as bench_nms
from roundel.benchmarks import search as bench_search
from roundel.benchmarks.array import clock, generate_array, simulate
from roundel.evaluation import Accumulators, requant_variants, runtime
from roundel.golden.errors import InputError, MismatchError
from roundel.golden.mac import MacParams, schedule
from roundel.golden.network import Window, im2col
from roundel.golden.requant import RequantParams
from roundel.golden.rounding import limits
from roundel.hw.emit import to_verilog
from roundel.hw.requant import Requantizer
from roundel.processes import work_folder
from roundel.sim.runner import Design, run
from roundel.ui import Done, Row, row, seconds

MAP, CHANNELS, OUTPUTS = 16, 64, 64  # the layer that the array is measured on: 3 x 3, padded, stride 1
RESULTS = 20_000  # that a requantizer is measured on


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """How a unit is measured: the parameter objects, and what makes rows of one of them and a seed.

    `variants` of a benchmark of `OF_AN_ENGINE` take the engine's parameters.
    """

    variants: Callable[..., Sequence[Any]]
    measure: Callable[[Any, int], list[Row]]


def measure_rows(names: Sequence[str], *, seed: int, params: Any = None, done: Done = lambda name: None) -> list[Row]:
    """Measure units; rows of `name` (unit.what), `value`, `unit` and `params`.

    Parameters
    ----------
    names
        Names of `BENCHES`; all if empty.
    seed
        Seed of the data.
    params
        Of the engine that the one benchmark of `OF_AN_ENGINE` measures; None: the usual ones.
    done
        Called after each measurement, `measurements(names, params)` times.

    Raises
    ------
    InputError
        An unknown name, or parameters that the engine or the benchmark does not take.
    ToolError
        RTL and golden differ, or a tool crashed.
    """
    rows = []
    for name in _known(names):
        for variant in _variants(name, names, params):
            rows += BENCHES[name].measure(variant, seed)
            done(name)
    return rows


def measurements(names: Sequence[str], params: Any = None) -> int:
    """How many measurements `measure_rows` makes."""
    return sum(len(_variants(name, names, params)) for name in _known(names))


def _variants(name: str, names: Sequence[str], params: Any) -> Sequence[Any]:
    if params is None:
        return BENCHES[name].variants()
    if set(names) != {name} or name not in OF_AN_ENGINE:
        raise InputError(f"parameters of an engine: expected one of {', '.join(OF_AN_ENGINE)} alone with them")
    return BENCHES[name].variants(params)


def _known(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in BENCHES:
            raise InputError(f"unit {name!r} has no benchmark, expected one of {', '.join(BENCHES)}")
    return list(dict.fromkeys(names)) or list(BENCHES)


def _mac(params: MacParams, seed: int) -> list[Row]:
    """Run a 3 x 3 convolution through the array, without stalls."""
    rng = np.random.default_rng(seed)
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    image = rng.integers(*limits(params.act_width, params.act_signed), (1, MAP, MAP, CHANNELS), endpoint=True)
    weights = rng.integers(*limits(params.weight_width, True), (window.taps * CHANNELS, OUTPUTS), endpoint=True)
    columns = im2col(image, window)
    beats = schedule(params, columns, weights, 0, {"shift": 12})
    replay = simulate(generate_array("mac", params), beats)
    if replay.faults:
        raise MismatchError(f"the array's RTL differs from golden: {replay.faults[0]}")
    macs = columns.size * OUTPUTS
    layer = f"3x3 convolution, {CHANNELS} to {OUTPUTS} channels, {MAP}x{MAP} output"
    about = {"lanes": params.lanes, "columns": params.columns, "layer": layer, "seed": seed}
    return [
        row("mac.beats_per_cycle", len(beats.position) / replay.cycles, "beats/cycle", about),
        row("mac.macs_per_cycle", macs / replay.cycles, "MAC/cycle", about),
        row("mac.simulation_speed", replay.speed, "cycles/s", about),
        row("mac.golden_speed", macs / seconds(lambda: params.accumulate(columns, weights)), "MAC/s", about),
    ]


def _requant(params: RequantParams, seed: int) -> list[Row]:
    """Random and corner accumulators through a requantizer, without stalls."""
    component = Requantizer(params)
    design = Design(sources=(to_verilog(component, "requant"),), top="requant")
    config = {"params": params.as_dict(), "latency": component.latency, "beats": RESULTS}
    with work_folder() as folder:
        result = run(design, "roundel.sim.benches.tb_requant", seed=seed, config=config, folder=folder)
        if not result.passed:
            what = f"the RTL of requantizer {params.scheme.value}"
            raise MismatchError(f"{what} differs from golden: {result.failures[0]} (log in {folder})")
        cycles, taken = clock(folder)
    acc = np.random.default_rng(seed).integers(*limits(params.acc_width, True), RESULTS, endpoint=True)
    given = runtime(params, Accumulators(source="uniform", layers=(acc,), shifts=(params.acc_width - 8,)))
    about = params.as_dict() | {"results": RESULTS, "seed": seed}
    return [
        row("requant.results_per_cycle", RESULTS / cycles, "results/cycle", about),
        row("requant.simulation_speed", cycles / taken, "cycles/s", about),
        row("requant.golden_speed", RESULTS / seconds(lambda: params.compute(acc, given)), "results/s", about),
    ]


OF_AN_ENGINE = ("networks",)
"""Benchmarks that take an engine's parameters."""

BENCHES: Mapping[str, Benchmark] = {
    "mac": Benchmark(variants=lambda: [MacParams()], measure=_mac),
    "requant": Benchmark(variants=lambda: requant_variants({}), measure=_requant),
    "codec": Benchmark(variants=bench_codec.variants, measure=lambda variant, seed: variant.rows(seed)),
    "decoder": Benchmark(variants=bench_decoder.variants, measure=lambda variant, seed: variant.rows(seed)),
    "search": Benchmark(variants=bench_search.variants, measure=lambda variant, seed: variant.rows(seed)),
    "engine": Benchmark(variants=bench_engine.variants, measure=lambda variant, seed: variant.rows(seed)),
    "networks": Benchmark(variants=bench_networks.variants, measure=lambda variant, seed: variant.rows(seed)),
    "golden": Benchmark(variants=bench_golden.variants, measure=lambda variant, seed: variant.rows(seed)),
    "nms": Benchmark(variants=bench_nms.variants, measure=lambda variant, seed: variant.rows(seed)),
}
