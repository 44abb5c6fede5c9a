"""The main job from start to end: a trained network, its integers, its layers on RTL, and what its arithmetic costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from golden.errors import InputError
from golden.layers import Step, Weighted
from golden.network import run, steps
from golden.requant import RequantParams
from golden.rounding import Ints
from hw.emit import manifest, to_verilog
from hw.requant import Requantizer
from roundel.array import NetworkRun, differences, rounds, run_on_array
from roundel.array_design import Array, array_params, build_arrays, generate_arrays, unsupported
from roundel.compare import Row, requant_jobs, run_jobs
from roundel.graph import Graph, Reals
from roundel.images import Images, load_images
from roundel.onnx_import import import_onnx
from roundel.output import write_json
from roundel.progress import Progress, silent
from roundel.quantize import Quantized, quantize
from roundel.stimulus import DIGITS, from_network
from sim.verilator import find_verilator
from synth.reader import read_library
from synth.reference import REFERENCE

TOOLS = ("roundel", "amaranth", "cocotb", "pyosys")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the demo works on.

    Parameters
    ----------
    model, calibration, held_out
        The trained network, images for choosing fractional bits, and images with labels that training never saw.
    digits
        How many of the held-out images run on the RTL.
    measured
        How many of those give the accumulators of the requantizer comparison.
    cells
        Liberty files of that comparison; none leaves it out.
    lanes, columns
        Size of the array.
    """

    model: Path = DIGITS / "digits.onnx"
    calibration: Path = DIGITS / "calibration.npz"
    held_out: Path = DIGITS / "heldout.npz"
    digits: int = 100
    measured: int = 8
    cells: tuple[Path, ...] = (REFERENCE,)
    lanes: int = 16
    columns: int = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Demo:
    """All that the demo found.

    Attributes
    ----------
    options
        What it worked on.
    held_out
        All held-out images with their labels.
    quantized
        The integer network and its table of choices.
    scores, integers
        The float and the integer network's results on all held-out images, (images, classes).
    golden
        Every layer's run in NumPy on the images that went through the RTL.
    rtl
        The same on the RTL.
    different
        Where the two differ, one line per layer; empty as it should be.
    designs
        Generated units by name: Verilog and manifest.
    requant
        Rows of the requantizer comparison.
    """

    options: Options
    held_out: Images
    quantized: Quantized = field(repr=False)
    scores: Reals = field(repr=False)
    integers: Ints = field(repr=False)
    golden: tuple[Step, ...] = field(repr=False)
    rtl: NetworkRun = field(repr=False)
    different: tuple[str, ...]
    designs: Mapping[str, tuple[str, dict[str, Any]]] = field(repr=False)
    requant: tuple[Row, ...] = field(repr=False)

    def accuracy(self, scores: Any, count: int | None = None) -> float:
        """Part of the first `count` held-out images, all by default, that `scores` gets right."""
        assert self.held_out.labels is not None
        return self.held_out.first(count).accuracy(scores[:count])


def run_demo(options: Options, progress: Progress = silent) -> Demo:
    """Do everything but write it down.

    Raises
    ------
    InputError
        A file is missing or not what it should be, or the network cannot run on the array.
    ToolError
        A simulation or the synthesis crashed.
    """
    for cells in options.cells:
        read_library(cells)  # a bad one is better found now than after the simulations
    graph, calibration, held_out = _load(options)
    with progress("quantize", 1) as done:
        quantized = quantize(graph, calibration.images)
        done("")
    network = quantized.network
    for layer in network.weighted:
        if why := unsupported(layer):
            raise InputError(f"{options.model}: layer {layer.name} {why}")
    inputs = network.encode(held_out.images)
    some = inputs[: options.digits]
    with progress("build simulators", 1) as done:
        arrays = generate_arrays(array_params(network, lanes=options.lanes, columns=options.columns))
        build_arrays(arrays.values())
        done("")
    with progress("layers on RTL", rounds(some) * len(network.weighted)) as done:
        rtl = run_on_array(network, some, arrays, done)
    golden = tuple(steps(network, some))
    accumulators = from_network(network, some[: options.measured], f"{options.model.stem}, its own accumulators")
    jobs = requant_jobs(options.cells, accumulators)
    with progress("compare requantizers", len(jobs)) as done:
        rows = run_jobs(jobs, done)
    return Demo(
        options=options,
        held_out=held_out,
        quantized=quantized,
        scores=graph.run(held_out.images),
        integers=run(network, inputs),
        golden=golden,
        rtl=rtl,
        different=tuple(differences(rtl, golden)),
        designs=_designs(arrays),
        requant=tuple(rows),
    )


def write_demo(demo: Demo, folder: Path) -> dict[str, Any]:
    """Write Verilog, manifests, reports, pictures, the page `demo.md` and `demo.json`, whose content it returns."""
    from roundel.demo_page import write_page  # matplotlib takes its time

    for name, (text, sheet) in demo.designs.items():
        (folder / "verilog").mkdir(exist_ok=True)
        (folder / "verilog" / f"{name}.v").write_text(text)
        write_json(folder / "verilog" / f"{name}.json", sheet)
    found = summary(demo)
    write_json(folder / "demo.json", found)
    write_page(demo, found, folder)
    return found


def summary(demo: Demo) -> dict[str, Any]:
    """Everything in figures, as plain values that JSON can hold."""
    count = demo.options.digits
    choices = [asdict(choice) for choice in demo.quantized.choices]
    for choice in choices:
        choice["sqnr_db"] = choice["sqnr_db"] if isfinite(choice["sqnr_db"]) else None
    return {
        "model": demo.options.model.name,
        "equal": not demo.different,
        "differences": list(demo.different),
        "accuracy": {
            "on_rtl": {
                "images": count,
                "float": demo.accuracy(demo.scores, count),
                "integer": demo.accuracy(demo.integers, count),
                "rtl": demo.accuracy(demo.rtl.result, count),
            },
            "held_out": {
                "images": len(demo.scores),
                "float": demo.accuracy(demo.scores),
                "integer": demo.accuracy(demo.integers),
            },
        },
        "modules": choices,
        "layers": [asdict(row) | {"beats_per_cycle": row.beats_per_cycle} for row in demo.rtl.layers],
        "accumulators": [accumulator_figures(step) for step in demo.golden if isinstance(step.layer, Weighted)],
        "verilog": [f"verilog/{name}.v" for name in demo.designs],
        "requant": list(demo.requant),
        "tools": {"simulator": str(find_verilator())} | {name: version(name) for name in TOOLS},
    }


def accumulator_figures(step: Step) -> dict[str, Any]:
    """What the requantizer of a weighted layer does to its accumulators: extremes, and how many of them clamp."""
    assert isinstance(step.layer, Weighted)
    assert step.accumulators is not None
    acc, (low, high) = step.accumulators, window(step.layer)
    return {
        "layer": step.layer.name,
        "shift": step.layer.shift,
        "least": int(acc.min()),
        "greatest": int(acc.max()),
        "window": [low, high],
        "below": float((acc < low).mean()),
        "above": float((acc > high).mean()),
    }


def window(layer: Weighted) -> tuple[int, int]:
    """Least and greatest multiple of `2**shift` that the output can stand for: beyond them the requantizer clamps."""
    low, high = layer.output.limits
    return low << layer.shift, high << layer.shift


def _load(options: Options) -> tuple[Graph, Images, Images]:
    graph = import_onnx(options.model)
    calibration, held_out = load_images(options.calibration, graph), load_images(options.held_out, graph)
    if held_out.labels is None:
        raise InputError(f"{options.held_out}: expected an array named labels")
    if options.digits > len(held_out.images):
        raise InputError(f"{options.held_out}: expected at least {options.digits} images, not {len(held_out.images)}")
    return graph, calibration, held_out


def _designs(arrays: Mapping[str, Array]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The arrays as they were simulated, and their requantizer alone."""
    designs = {array.name: (array.verilog, array.manifest) for array in arrays.values()}
    for params in dict.fromkeys(array.mac.requant for array in arrays.values()):
        name = _requant_name(params)
        component = Requantizer(params)
        designs[name] = (to_verilog(component, name), manifest(name, component, params))
    return designs


def _requant_name(params: RequantParams) -> str:
    return f"requant_{params.scheme.value}_{params.acc_width}_{'s' if params.out_signed else 'u'}{params.out_width}"
