"""Comparisons of variants: which rows, on which cells, with which stimulus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roundel.evaluation import stimulus_decoder
from roundel.evaluation.nms_precision import precision_columns
from roundel.evaluation.stimulus import Accumulators, digits, from_file, runtime
from roundel.evaluation.stimulus_activation import Compared, activation_circuits
from roundel.evaluation.stimulus_mac import MacExample, mac_example
from roundel.evaluation.stimulus_nms import box_stream, variants
from roundel.golden.codec import DecoderParams
from roundel.golden.errors import InputError
from roundel.golden.mac import MacParams
from roundel.golden.requant import RequantParams, Scheme
from roundel.hw.emit import to_verilog
from roundel.hw.mac import MacArray
from roundel.hw.units import UNITS
from roundel.processes import in_parallel
from roundel.synth.cells import REFERENCE, join_libraries, mappable_library
from roundel.synth.fpga import place_ecp5
from roundel.synth.measure import (
    Operator,
    Params,
    decoder_scheme,
    measure_activation,
    measure_decoder,
    measure_mac,
    measure_nms,
    measure_operator,
    nms_scheme,
)
from roundel.ui import Done

Row = dict[str, Any]


def requant_variants(common: Mapping[str, Any]) -> list[RequantParams]:
    """One parameter object per scheme, `common` applied where the scheme has such a parameter.

    `threshold` gives 4 bits, as 8 would need 255 thresholds; `codebook` picks among 16 levels of `out_width` bits.
    """
    if fixed := common.keys() & {"scheme", "shift", "index_width"}:
        raise InputError(f"compare requant: {min(fixed)} cannot be set, all schemes are compared")
    own: dict[Scheme, dict[str, Any]] = {Scheme.SHIFT_CONST: {"shift": 9}, Scheme.THRESHOLD: {"out_width": 4}}
    variants = []
    for scheme in Scheme:
        shared = {key: value for key, value in common.items() if key not in scheme.fixed}
        variants.append(RequantParams(scheme=scheme, **(shared | own.get(scheme, {}))))
    return variants


@dataclass(frozen=True, kw_only=True)
class Job:
    """One measurement of a comparison: its name for the progress bar, and what makes its row."""

    name: str
    measure: Callable[[], Row]


def run_jobs(jobs: Sequence[Job], done: Done = lambda name: None) -> list[Row]:
    """Measure all jobs on all cores; `done` is called with the name of each finished one, rows keep the jobs' order."""

    def run_job(job: Job) -> Row:
        row = job.measure()
        done(job.name)
        return row

    return in_parallel(run_job, jobs)


def library_paths(names: Sequence[str]) -> list[Path]:
    """Liberty files by path, or `reference` for the built-in cells; each once.

    Parameters
    ----------
    names
        Each names one library; several files of one library are separated by commas.

    Raises
    ------
    InputError
        A file is not usable, or two have the same library name, by which reports tell them apart.
    """
    paths = list(dict.fromkeys(_library_path(name) for name in names))
    by_name: dict[str, Path] = {}
    for path in paths:
        library = mappable_library(path).name
        if library in by_name:
            raise InputError(
                f"{path}: holds the library {library!r} as {by_name[library]} does, expected different ones"
            )
        by_name[library] = path
    return paths


def _library_path(name: str) -> Path:
    """Return the file that a name stands for, joined from several where it has commas and no file is called so."""
    if name == "reference":
        return REFERENCE
    parts = [Path(part) for part in name.split(",") if part]
    return Path(name) if len(parts) < 2 or Path(name).is_file() else join_libraries(parts)


def requant_jobs(
    cells: Sequence[Path],
    accumulators: Accumulators,
    *,
    common: Mapping[str, Any] | None = None,
    fpga: bool = False,
) -> list[Job]:
    """Every scheme on every library.

    Parameters
    ----------
    cells
        Liberty files.
    accumulators
        The stimulus, the same for all schemes.
    common
        `RequantParams` keywords for all schemes, such as `acc_width`.
    fpga
        Place and route on ECP5 as well.
    """
    variants = requant_variants(common or {})
    if accumulators.bits() > variants[0].acc_width:
        raise InputError(f"{accumulators.source}: accumulators need {accumulators.bits()} bits, more than acc_width")

    def measure(library: Path, params: RequantParams) -> Row:
        stimulus = {"acc": accumulators.acc} | runtime(params, accumulators)
        row = measure_operator(params, library, stimulus, source=accumulators.source)
        for figure in ("area_{}um2", "energy_{}pj_per_op"):
            row[figure.format("with_input_")] = row[figure.format("")] + row[figure.format("input_register_")]
        return row | (fpga_figures(Operator(params), "operator") if fpga else {})

    return [
        Job(name=f"{params.scheme.value} on {library.name}", measure=partial(measure, library, params))
        for library in cells
        for params in variants
    ]


def activation_jobs(
    cells: Sequence[Path],
    accumulators: Accumulators,
    *,
    common: Mapping[str, Any] | None = None,
    fpga: bool = False,
) -> list[Job]:
    """Return jobs: lanes of the activation unit, and other circuits for a function of one value, on every library.

    Parameters
    ----------
    cells
        Liberty files.
    accumulators
        The stimulus, the same for all circuits.
    common
        `ActivationParams` keywords for all lanes, such as `in_width`.
    fpga
        Place and route on ECP5 as well.
    """

    def measure(library: Path, compared: Compared) -> Row:
        circuit = compared.circuit
        row = measure_activation(circuit, library, source=accumulators.source, columns=compared.columns)
        # A register between two stages belongs to the circuit, unlike those that all circuits have before them.
        row["area_nand2"] *= 1 + row["area_pipeline_register_um2"] / row["area_um2"]
        for figure in ("area_{}um2", "energy_{}pj_per_op"):
            row[figure.format("")] += row[figure.format("pipeline_register_")]
        return row | (fpga_figures(circuit.component, "operator") if fpga else {})

    return [
        Job(name=f"{compared.circuit.scheme} on {library.name}", measure=partial(measure, library, compared))
        for library in cells
        for compared in activation_circuits(accumulators, common or {})
    ]


def mac_jobs(
    cells: Sequence[Path], example: MacExample, *, common: Mapping[str, Any] | None = None, fpga: bool = False
) -> list[Job]:
    """Return jobs: the array with weights of 8 and 4 bits, in each structure, on every library.

    Parameters
    ----------
    cells
        Liberty files.
    example
        The layer whose operands drive the arrays.
    common
        Parameters for all arrays.
    fpga
        Place and route every array as well.
    """

    def measure(library: Path, variant: MacParams) -> Row:
        row = measure_mac(variant, library, example.beats, source=example.source)
        return row | (fpga_figures(MacArray(variant), "mac") if fpga else {})

    return [
        Job(
            name=f"{variant.structure.value}, {variant.weight_width} bits on {library.name}",
            measure=partial(measure, library, variant),
        )
        for library in cells
        for variant in example.variants(common or {})
    ]


def nms_jobs(cells: Sequence[Path], *, common: Mapping[str, Any] | None = None, fpga: bool = False) -> list[Job]:
    """PSRR-MaxpoolNMS in two pyramids and both semantics, GreedyNMS in two ways, on all libraries, same boxes."""
    rows = variants(common or {})
    stream = box_stream(rows[0][1].format, rows[0][1].capacity)

    def measure(library: Path, unit: str, params: Params) -> Row:
        row = measure_nms(unit, params, library, stream) | precision_columns(params)
        return row | (fpga_figures(UNITS[unit].component(params), unit) if fpga else {})

    return [
        Job(name=f"{nms_scheme(params)} on {library.name}", measure=partial(measure, library, unit, params))
        for library in cells
        for unit, params in rows
    ]


def decoder_jobs(cells: Sequence[Path], *, common: Mapping[str, Any] | None = None, fpga: bool = False) -> list[Job]:
    """Every format on every library, on weights of the digits network and on Laplace weights."""
    examples = stimulus_decoder.examples()

    def measure(library: Path, params: DecoderParams, example: stimulus_decoder.Example) -> Row:
        row = measure_decoder(params, library, example.streams(params))
        return row | (fpga_figures(UNITS["decoder"].component(params), "decoder") if fpga else {})

    return [
        Job(
            name=f"{decoder_scheme(params)} on {library.name}: {example.source}",
            measure=partial(measure, library, params, example),
        )
        for library in cells
        for params in stimulus_decoder.variants(common or {})
        for example in examples
    ]


def fpga_figures(component: Any, top: str) -> Row:
    """Return the columns of a report that place and route on ECP5 gives; Fmax includes paths from and to ports.

    A design that does not fit has its counts, no Fmax, and in `fpga_excess` what the device has too few of.
    """
    placed = place_ecp5(to_verilog(component, top), top)
    names = ("lut", "ff", "dsp", "bram", "fmax_mhz")
    figures = {"fpga": "ecp5"} | {name: getattr(placed, name) for name in names}
    return figures if placed.fits else figures | {"fpga_excess": placed.excess}


Jobs = Callable[[Sequence[Path], Mapping[str, Any], bool, int, Path | None], list[Job]]


def _requant(cells: Sequence[Path], common: Mapping[str, Any], fpga: bool, images: int, file: Path | None) -> list[Job]:
    accumulators = from_file(file) if file else digits(images)
    return requant_jobs(cells, accumulators, common=common, fpga=fpga)


def _activation(
    cells: Sequence[Path], common: Mapping[str, Any], fpga: bool, images: int, file: Path | None
) -> list[Job]:
    accumulators = from_file(file) if file else digits(images)
    return activation_jobs(cells, accumulators, common=common, fpga=fpga)


def _mac(cells: Sequence[Path], common: Mapping[str, Any], fpga: bool, images: int, file: Path | None) -> list[Job]:
    if file:
        raise InputError(f"{file}: compare mac takes no stimulus file, only images of the digits network")
    return mac_jobs(cells, mac_example(images), common=common, fpga=fpga)


def _nms(cells: Sequence[Path], common: Mapping[str, Any], fpga: bool, images: int, file: Path | None) -> list[Job]:
    if file:
        raise InputError(f"{file}: compare nms takes no stimulus file, only clustered boxes of its own")
    return nms_jobs(cells, common=common, fpga=fpga)


def _decoder(cells: Sequence[Path], common: Mapping[str, Any], fpga: bool, images: int, file: Path | None) -> list[Job]:
    if file:
        raise InputError(f"{file}: compare decoder takes no stimulus file, only weights of its own")
    return decoder_jobs(cells, common=common, fpga=fpga)


COMPARISONS: Mapping[str, Jobs] = MappingProxyType(
    {"requant": _requant, "activation": _activation, "mac": _mac, "nms": _nms, "decoder": _decoder}
)
"""Units that `roundel compare` knows: jobs of each, from libraries, `--set`, FPGA or not, images, stimulus file."""
