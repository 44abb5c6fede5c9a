"""The grid of docs/onnx.md: a quantizer in every place, by rounding, range and zero point, under three requantizers.

`python -m tests.support.quantizer_grid` writes the table into the page; a test compares it.
"""

import re
import tempfile
from pathlib import Path
from textwrap import wrap

import numpy as np

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import outputs
from roundel.golden.requant import Scheme
from roundel.graph import fold
from roundel.quantization import QuantizeOptions, integer_order, quantize
from tests.support.onnx_models import saved
from tests.support.places import ROOT
from tests.support.quantizer_places import MAP, PLACES, RANGES, ROUND_BY_TEXT, Builder, expected

PAGE = ROOT / "docs" / "onnx.md"
MARKS = "<!-- quantizers -->\n", "<!-- /quantizers -->"
QDQ = "QDQ"
ROUNDINGS = (QDQ, *ROUND_BY_TEXT)
SCHEMES = (Scheme.SHIFT, Scheme.FIXED16, Scheme.FLOAT32)
REASONS = {
    "a": (
        "at most 8 bits after its zero point",
        "a shift has no zero point, and the integers less the zero point need 9 bits: `--requant` keeps it",
    ),
    "b": (
        "rounds values of both signs by",
        "no requantizer turns round at 0; of unsigned integers, or behind ReLU, these are `FLOOR`, `CEIL` or halves to "
        "one side",
    ),
    "c": (
        "rounds halves to odd",
        "QONNX adds the zero point before it rounds, so that an odd one sends halves to odd: no requantizer does",
    ),
    "d": ("has a rounding of its own", "`float32` rounds halves to even, and nothing else"),
    "e": (
        "rescales its operands does not round by",
        "a sum of rescaled operands has no bias that could make up for the rounding: shifts, or `FLOOR`",
    ),
    "f": (
        "which turns round at the integer 0",
        "the file turns round at its integer 0, which is not the number 0 where there is a zero point",
    ),
}
"""What a refusal says, and why it is one."""


def images():
    """Integers and sixteenths: halves, numbers next to them, and far beyond the ranges."""
    rng = np.random.default_rng(1)
    sixteenths = [rng.integers(-most, most + 1, (3, *MAP)) for most in (2400, 160)]
    return (np.concatenate(sixteenths) / 16).astype(np.float32)


def outcomes(place, rounding, folder):
    """By (scheme, range, zero point): "exact", the letter of a refusal, or what is wrong with the result."""
    results, x = {}, images()
    for form in RANGES:
        for zero in form.zeros:
            proto = PLACES[place](Builder(form, zero, None if rounding == QDQ else rounding))
            try:
                graph = read_onnx(saved(folder, proto))
            except InputError as error:
                results |= {(scheme, form.name, zero): letter(str(error)) for scheme in SCHEMES}
                continue
            wanted = expected(proto, x)
            for name, values in graph.outputs(x).items():
                np.testing.assert_array_equal(values, wanted[name])
            for scheme in SCHEMES:
                results[scheme, form.name, zero] = outcome(graph, x, wanted, scheme)
    return results


def outcome(graph, x, wanted, scheme):
    """As `outcomes`, of one network; results without a quantizer, which none of these is about, may differ."""
    try:
        quantized = quantize(graph, x, QuantizeOptions(requant=scheme))
    except InputError as error:
        return letter(str(error))
    network, folded = quantized.network, fold(graph)
    codes, formats = outputs(network, network.encode(x)), {layer.name: layer.output for layer in network.layers}
    for tensor, layer in quantized.results.items():
        real = integer_order(folded, tensor, wanted[tensor])
        part = np.mean(formats[layer].decode(codes[layer]) != real)
        if tensor != "r" and part:
            return f"{tensor}: {part:.1%} wrong"
    return "exact"


def letter(message):
    """The letter of a refusal; the message itself if it is none of them."""
    return next((name for name, (said, _) in REASONS.items() if said in message), message)


def cell(results, scheme):
    """What the table says of one scheme: what most ranges and zero points have, then all others, named."""
    mine = {(name, zero): said for (of, name, zero), said in results.items() if of is scheme}
    kinds = sorted(set(mine.values()), key=lambda kind: (-list(mine.values()).count(kind), kind))
    parts = []
    for kind in kinds:
        where = ", ".join(f"{name} ({zero})" for (name, zero), said in mine.items() if said == kind)
        said = "exact" if kind == "exact" else f"refused [{kind}]"
        parts.append(f"{said}: {where}" if parts else said)
    return "; ".join(parts)


def lines(cells):
    """The table and its legend, from cells by (place, rounding); places of the same cells share a row."""
    head = ["place", "rounding", *(f"`{scheme.value}`" for scheme in SCHEMES)]
    rows = [head, ["---"] * len(head)]
    for rounding in ROUNDINGS:
        groups = {}
        for place in PLACES:
            groups.setdefault(cells[place, rounding], []).append(place)
        rows += [["; ".join(places), f"`{rounding}`", *said] for said, places in groups.items()]
    legend = [
        line for name, (_, why) in REASONS.items() for line in wrap(f"- [{name}] {why}.", 100, subsequent_indent="  ")
    ]
    return [f"| {' | '.join(row)} |" for row in rows] + ["", *legend]


def written():
    """The cells of the page by (place, rounding)."""
    rows = [line.strip("| ").split(" | ") for line in section().splitlines() if line.startswith("|")]
    return {(place, row[1].strip("`")): tuple(row[2:]) for row in rows[2:] for place in row[0].split("; ")}


def section():
    """The part of the page between the marks."""
    return PAGE.read_text().split(MARKS[0])[1].split(MARKS[1])[0]


def main():
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder:
        cells = {}
        for place in PLACES:
            for rounding in ROUNDINGS:
                results = outcomes(place, rounding, Path(folder))
                cells[place, rounding] = tuple(cell(results, scheme) for scheme in SCHEMES)
    body = "\n".join(lines(cells)) + "\n"
    pattern = re.compile(re.escape(MARKS[0]) + ".*" + re.escape(MARKS[1]), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda match: MARKS[0] + body + MARKS[1], PAGE.read_text()))


if __name__ == "__main__":
    main()
