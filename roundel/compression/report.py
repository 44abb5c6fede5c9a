"""The report of a compression: one JSON value, and the same as a page a person can read."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from roundel.compression.budget_report import FRONT_NOTE, budget_grid, budget_lines
from roundel.compression.chain import Chain, chain_lines
from roundel.compression.drift import Drift
from roundel.compression.opq_table import opq_table
from roundel.compression.pattern_report import NOTE as PATTERN_NOTE
from roundel.compression.pattern_report import pattern_grid, pattern_lines
from roundel.compression.pipeline import Compressed
from roundel.frontend import ImportCheck
from roundel.golden.network import Layer, Requantized, Weighted
from roundel.golden.opq import OpqParams
from roundel.graph import layer_codes
from roundel.quantization import Choice, LayerStream, has_stream, modules_table
from roundel.scales import advice_lines, advice_table
from roundel.ui import markdown_table

ReportPart = dict[str, Any]
CURES = {"rounding": "Weights rounded by a layer's results", "bias": "Biases corrected"}


def report(result: Compressed, files: Mapping[str, str], chain: Chain | None = None) -> ReportPart:
    """Everything that is known of `result`, as JSON has it.

    Parameters
    ----------
    result
        What compression made.
    files
        The stream file of each weighted layer.
    chain
        What a host computes beside it, if there is anything.
    """
    table = modules_table(result.graph, result.quantized.modules)
    sizes = {stream.layer: len(stream.data) for stream in result.streams}
    layers = {layer.name: layer for layer in result.network.layers}
    return {
        "model": Path(result.graph.file).name,
        "warnings": list(result.warnings),
        "options": _options(result),
        "calibration": result.statistics.as_dict(),
        "size": size(result),
        "accuracy": _accuracy(result),
        "quantizations": {"before": table.before, "after": table.after},
        "modules": [vars(row) | {"operators": list(row.operators)} for row in table.rows],
        "advice": result.advised.as_dict() if result.advised else None,
        "layers": [_layer(choice, layers[choice.name]) for choice in result.quantized.choices],
        "cures": _cures(result),
        "functions": [vars(row) for row in result.quantized.functions],
        "opq": opq_table(result.plans, layer_codes(result.tuned), sizes) if result.plans else [],
        "patterns": [row.as_dict() for row in result.patterns],
        "streams": [_stream(stream, files) for stream in result.streams],
        "host": [{"tensor": item.tensor, "operator": item.operator} for item in result.graph.host],
        "chain": None if chain is None else chain.as_dict(),
        "losses": list(result.losses),
        "import": result.imported.as_dict(),
        "engine": None if result.engine is None else dict(result.engine),
        "budget": None if result.allotment is None else result.allotment.as_dict(),
        "drift": None if result.drift is None else vars(result.drift),
        "notes": [*result.graph.notes, *result.quantized.notes],
    }


def size(result: Compressed) -> ReportPart:
    """Bytes of all weights and biases: as float32; as streams, integers, and parameters of the requantizers.

    `codes_bytes` leaves out where the weights are that are not zero: the rate that papers quote, which no file has.
    """
    layers = result.network.weighted
    biases = sum((len(layer.bias) * layer.b.width + 7) // 8 for layer in layers)
    count = sum(layer.weights.size for layer in layers)
    dense = 4 * (count + sum(len(layer.bias) for layer in layers))
    nonzero = {layer.name: int(np.count_nonzero(layer.weights)) for layer in layers}
    codes = sum(nonzero[layer.name] * layer.w.width for layer in layers) / 8
    wide = [layer for layer in layers if not has_stream(layer)]  # stored as they are
    streams = sum(len(stream.data) for stream in result.streams)
    streams += sum((layer.weights.size * layer.w.width + 7) // 8 for layer in wide)
    settings = sum(parameter_bits(layer) for layer in layers) / 8
    rest = biases + ceil(settings)
    return {
        "weights": count,
        "zeros": 1 - sum(nonzero.values()) / count if count else 0.0,
        "float32_bytes": dense,
        "stream_bytes": streams,
        "bias_bytes": biases,
        "parameter_bytes": ceil(settings),
        "total_bytes": streams + rest,
        "codes_bytes": codes,
        "ratio": dense / (streams + rest) if count else 1.0,
        "ratio_without_positions": dense / (codes + rest) if count else 1.0,
    }


def parameter_bits(layer: Weighted) -> int:
    """Bits of the run-time parameters of a layer's requantizer: once, or where channels differ for each of them."""
    values, fields = layer.runtime(), layer.requantizer.runtime_fields
    copies = len(layer.bias) if any(len(np.unique(values[field.name])) > 1 for field in fields) else 1
    return copies * sum(field.width for field in fields)


def report_lines(values: ReportPart) -> list[str]:
    """Return the lines of `report.md`."""
    parts = [
        [f"# {values['model']}, compressed", "", *summary(values), *_warnings(values)],
        ["## Layers", "", *_table(LAYERS if values["options"]["requant"] == "shift" else SCALED, values["layers"])],
        ["## Weight streams", "", *_table(STREAMS, values["streams"])],
    ]
    if values.get("functions"):
        parts.insert(2, ["## Activations", "", *_table(FUNCTIONS, values["functions"]), "", FUNCTIONS_NOTE])
    if values["advice"]:
        parts.append(["## Scales", "", *advice_lines(values["advice"]), "", *advice_table(values["advice"])])
    if values.get("budget"):
        parts.insert(1, ["## Budget", "", *budget_grid(values["budget"]).markdown, FRONT_NOTE])
    if values.get("patterns"):
        parts.insert(1, ["## Patterns of channels", "", *pattern_grid(values["patterns"]).markdown, PATTERN_NOTE])
    if values["opq"]:
        parts.append(["## Pruning and quantization (OPQ)", "", *_table(OPQ, values["opq"]), "", OPQ_NOTE])
    saved = "{before} quantization operations one operator at a time, {after} as modules.".format(
        **values["quantizations"]
    )
    parts.append(["## Unified modules", "", *_table(MODULES, values["modules"]), "", saved])
    return [line for part in parts for line in (*part, "")][:-1]


def _warnings(values: ReportPart) -> list[str]:
    return ["", "## Warnings", "", *(f"- {line}." for line in values["warnings"])] if values.get("warnings") else []


def summary(values: ReportPart) -> list[str]:
    """Return the figures that matter most, one line each."""
    sizes, accuracy = values["size"], values["accuracy"]
    lines = [
        f"- {sizes['weights']:,} weights, {sizes['zeros']:.1%} of them zero.",
        f"- {sizes['float32_bytes']:,} bytes in float32, "
        f"{sizes['total_bytes']:,} as weight streams, integer biases and requantizer parameters: "
        f"{sizes['ratio']:.1f}x smaller, positions and headers counted; "
        f"{sizes['ratio_without_positions']:.1f}x without positions.",
    ]
    if accuracy:
        right = f"{accuracy['integer']:.2%} of {accuracy['images']} held-out images right"
        lines.append(f"- {right}, {accuracy['float32']:.2%} in float: {accuracy['points_lost']:.2f} points lost.")
    if values["advice"]:
        how = (
            "moved to powers of two (--refit)"
            if values["options"]["refit"]
            else f"kept by {values['advice']['requant']}"
        )
        lines.append(f"- Scales that are not powers of two: {how}.")
    if values.get("functions"):
        worst = max(values["functions"], key=lambda row: row["greatest"])
        lines.append(
            f"- {len(values['functions'])} activations by tables, the greatest error {worst['greatest']:.2f} steps of "
            f"the output (ULP; {worst['function']} of {worst['layer']})."
        )
    lines += [f"- {line}" for line in values.get("cures", ())]
    lines += [f"- Left to the host: {item['operator']} of {item['tensor']}." for item in values["host"]]
    if values.get("chain") and not values["host"]:
        lines += [f"- {line}." for line in chain_lines(values["chain"])]
    if values.get("import"):
        lines.append(f"- {ImportCheck(**values['import'])}")
    if engine := values.get("engine"):
        which = f"{engine['name']}, scheme={engine['scheme']} and rounding={engine['rounding']}"
        lines.append(f"- Runs on the engine {which}: a program of {engine['program_bytes']:,} bytes.")
    if values.get("budget"):
        lines += [f"- {line}" for line in budget_lines(values["budget"])]
    if values.get("patterns"):
        name = values["engine"]["name"] if values.get("engine") else None
        lines += [f"- {line}" for line in pattern_lines(values["patterns"], name)]
    if values.get("drift"):
        lines.append(f"- {Drift(**values['drift'])}")
    return lines + [f"- {note}." for note in values.get("notes", ())]


def worst_layers(values: ReportPart, most: int) -> list[ReportPart]:
    """Return the layers of which quantization leaves least, the worst first, with the sizes of their weights."""
    streams = {row["layer"]: row for row in values["streams"]}
    rows = sorted(values["layers"], key=lambda row: inf if row["sqnr_db"] is None else row["sqnr_db"])
    sizes = [streams.get(row["name"], {"weights": None, "bytes": None}) for row in rows[:most]]
    return [row | {key: size[key] for key in ("weights", "bytes")} for row, size in zip(rows, sizes, strict=False)]


def _options(result: Compressed) -> ReportPart:
    options, search = result.options, result.options.search
    if options.refit and result.advised:  # widths of the file
        search = result.advised.refit.options(search)
    return {
        "calibration": result.calibration,
        "opq": _opq(options.opq),
        "weight_bits": search.weight_bits,
        "activation_bits": search.activation_bits,
        "bias_bits": search.bias_bits,
        "per_channel": search.per_channel,
        "equalize": options.equalize,
        "correct_biases": search.correct_biases,
        "round_to_results": search.round_to_results,
        "activation_error": search.activation_error,
        "rounding": _roundings(result),
        "requant": search.requant.value,
        "refit": options.refit,
        "streams": options.streams.as_dict(),
    }


def _cures(result: Compressed) -> list[str]:
    """Say what each cure of the error gained."""
    even = "" if result.evened is None else f"{result.evened:.1f} dB less noise, by the model that chose them"
    lines = [f"Factors between layers: {even}."] if even else []
    for row in result.quantized.cures:
        what = CURES[row.name]
        where = f"{row.better} of {row.layers} layers better on the calibration images"
        lines.append(f"{what}: {where}, by {row.gain_db:.2f} dB in the mean of all.")
    return lines


def _roundings(result: Compressed) -> str:
    """Name the roundings of all requantizers; a file or a scheme may differ from what was asked for."""
    roundings = {layer.rounding.value for layer in result.network.layers if isinstance(layer, Requantized)}
    return ", ".join(sorted(roundings))


def _opq(params: OpqParams | None) -> ReportPart | None:
    if params is None:
        return None
    return {
        "sparsity": params.sparsity,
        "bits": params.bits,
        "max_width": params.max_width,
        "weighting": params.weighting.value,
        "power_of_two": params.power_of_two,
    }


def _accuracy(result: Compressed) -> ReportPart | None:
    accuracy = result.accuracy
    return None if accuracy is None else vars(accuracy) | {"points_lost": accuracy.points_lost}


def _layer(choice: Choice, layer: Layer) -> ReportPart:
    row = vars(choice) | {
        "weight_bits": layer.w.width if isinstance(layer, Weighted) else None,
        "output_bits": layer.output.width,
    }
    return row | {"sqnr_db": row["sqnr_db"] if isfinite(row["sqnr_db"]) else None}


def _stream(stream: LayerStream, files: Mapping[str, str]) -> ReportPart:
    return {
        "layer": stream.layer,
        "file": files[stream.layer],
        "weights": stream.weights,
        "nonzero": stream.nonzero,
        "bytes": len(stream.data),
        "bits_per_weight": stream.bits_per_weight,
        "blocks": stream.blocks,
        "zero_blocks": stream.zero_blocks,
    }


Column = tuple[str, str, str]
"""Head, key and format of a column."""
LAYERS: tuple[Column, ...] = (
    ("layer", "name", ""),
    ("N_x", "n_x", ""),
    ("N_w", "n_w", ""),
    ("N_b", "n_b", ""),
    ("N_o", "n_o", ""),
    ("shift", "shift", ""),
    ("weight bits", "weight_bits", ""),
    ("output bits", "output_bits", ""),
    ("SQNR, dB", "sqnr_db", ".1f"),
)
WORST: tuple[Column, ...] = (
    ("layer", "name", ""),
    ("SQNR, dB", "sqnr_db", ".1f"),
    ("output bits", "output_bits", ""),
    ("weight bits", "weight_bits", ""),
    ("weights", "weights", ","),
    ("stream bytes", "bytes", ","),
)
SCALED: tuple[Column, ...] = (
    ("layer", "name", ""),
    ("requantizer", "requant", ""),
    ("scale", "scale", ".6g"),
    ("zero point", "zero_point", ""),
    ("weight bits", "weight_bits", ""),
    ("output bits", "output_bits", ""),
    ("SQNR, dB", "sqnr_db", ".1f"),
)
FUNCTIONS: tuple[Column, ...] = (
    ("layer", "layer", ""),
    ("function", "function", ""),
    ("fold", "fold", ""),
    ("N of a word", "word", ""),
    ("N_o", "n_o", ""),
    ("greatest error, ULP", "greatest", ".2f"),
    ("mean", "mean", ".2f"),
)
STREAMS: tuple[Column, ...] = (
    ("layer", "layer", ""),
    ("file", "file", ""),
    ("weights", "weights", ","),
    ("not zero", "nonzero", ","),
    ("bytes", "bytes", ","),
    ("bits per weight", "bits_per_weight", ".2f"),
    ("blocks", "blocks", ","),
    ("all zero", "zero_blocks", ","),
)
OPQ: tuple[Column, ...] = (
    ("layer", "layer", ""),
    ("weights", "weights", ","),
    ("pruned", "pruned", ".1%"),
    ("zeros", "zeros", ".1%"),
    ("bits", "width", ""),
    ("step", "step", ".3g"),
    ("Laplace b", "laplace_scale", ".3g"),
    ("distance from Laplace", "laplace_distance", ".3f"),
    ("pruning error, predicted", "pruning_predicted", ".2e"),
    ("measured", "pruning_measured", ".2e"),
    ("rounding error, predicted", "rounding_predicted", ".2e"),
    ("measured", "rounding_measured", ".2e"),
    ("float32 bytes", "float32_bytes", ",.0f"),
    ("codes", "codes_bytes", ",.0f"),
    ("floor", "floor_bytes", ",.0f"),
    ("entropy", "entropy_bytes", ",.0f"),
    ("stream", "stream_bytes", ",.0f"),
    ("over entropy", "over_floor", ".1%"),
)
MODULES: tuple[Column, ...] = (
    ("module", "module", ""),
    ("operators", "operators", ""),
    ("quantizations before", "before", ""),
    ("after", "after", ""),
)


OPQ_NOTE = (
    "Errors: predicted under a Laplace model, measured on the weights, before any fine-tuning. `codes` leaves "
    "positions out; `floor` is the least under the Laplace model, `entropy` that of the codes as they are, both with "
    "positions."
)


FUNCTIONS_NOTE = (
    "Functions by tables of 16 pieces, on words of 11 bits (docs/activations.md): error in steps of "
    "the output, against the float function of the unrounded sum, the greatest at any input between those of "
    "calibration and the mean over these inputs."
)


def cells(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Format the rows; empty text where there is nothing."""
    return [[_cell(row[key], form) for _, key, form in columns] for row in rows]


def _table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return markdown_table([head for head, *_ in columns], cells(columns, rows))


def _cell(value: Any, form: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return format(value, form)
