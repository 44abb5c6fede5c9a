"""Write the tables of docs/advisor.md: `python docs/make/advisor.py [--area]`, half a minute; with `--area` minutes.

Needs onnxruntime. Without `--area` the table of areas stays as it is. Nothing between the page's markers is written by
hand.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from figures import replace as put

from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Network, outputs
from roundel.golden.requant import Scheme
from roundel.graph import Graph, load_images
from roundel.quantization import QuantizeOptions, quantize
from roundel.scales import advice_lines, advise, layer_areas, tables
from roundel.scales.measure import finite_db
from roundel.scales.refitting import refit
from roundel.scales.report import AREAS
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
DIGITS, NETWORKS = PAGE.parents[1] / "roundel" / "data" / "digits", PAGE.parents[1] / "tests" / "data" / "networks"
SCHEMES = (Scheme.FLOAT32, Scheme.FIXED32, Scheme.FIXED16)


class Case:
    """A quantized network, the float network it came from, and images: to calibrate on, and to judge by."""

    def __init__(self, name: str) -> None:
        digits = name == "digits_qdq"
        self.name, self.path = name, (DIGITS if digits else NETWORKS) / f"{name}.onnx"
        original = DIGITS / "digits.onnx" if digits else NETWORKS / name.replace("_qdq", "_script.onnx")
        self.graph, self.original = read_onnx(self.path), read_onnx(original)
        rng = np.random.default_rng(7)
        self.labels = None
        if digits:
            held_out = load_images(DIGITS / "heldout.npz", self.graph)
            self.calibration = load_images(DIGITS / "calibration.npz", self.graph).images
            self.images, self.labels = held_out.images, held_out.labels
        else:
            self.calibration, self.images = (
                rng.normal(size=(count, *self.graph.shape)).astype(np.float32) for count in (32, 64)
            )

    def kept(self, scheme: Scheme) -> Network:
        return quantize(self.graph, self.calibration, QuantizeOptions(requant=scheme)).network

    def moved(self) -> Network:
        fitted = refit(self.graph, self.calibration[:32])
        return quantize(fitted.graph, self.calibration, fitted.options(QuantizeOptions())).network

    def searched(self) -> Network:
        """From the float network."""
        return quantize(self.original, self.calibration, QuantizeOptions(per_channel=True, bias_bits=16)).network

    def results(self, network: Network) -> list[np.ndarray[Any, Any]]:
        """Real results in ONNX's order."""
        formats = {layer.name: layer.output for layer in network.layers}
        codes_by_name = outputs(network, network.encode(self.images)).items()
        values = [formats[name].decode(codes) for name, codes in codes_by_name]
        return [tensor.transpose(0, 3, 1, 2) if tensor.ndim == 4 else tensor for tensor in values]

    def judged(self, results: list[np.ndarray[Any, Any]]) -> str:
        """Digits right, if it is digits, and SQNR."""
        expected = list(self.original.outputs(self.images).values())
        signal, got = (np.concatenate([tensor.ravel() for tensor in values]) for values in (expected, results))
        ratio = f"{finite_db(signal, got):.1f} dB"
        if self.labels is None:
            return ratio
        return f"{(results[0].argmax(axis=1) == self.labels).mean():.2%}, {ratio}"


def refused(case: Case) -> list[str]:
    """What `compress` says without either option, as it does on its own error output."""
    try:
        quantize(case.graph, case.calibration)
    except InputError as error:
        return ["```", f"roundel: {str(error).replace(f'{PAGE.parents[1]}/', '')}", "```"]
    raise SystemExit("expected a refusal")


def kept_table(cases: list[Case]) -> list[str]:
    """Results that differ from onnxruntime's, and by how much at most."""
    rows = []
    for case in cases:
        expected, cells = runtime(case), []
        for scheme in SCHEMES:
            network = case.kept(scheme)
            formats = {layer.name: layer.output for layer in network.layers}
            steps = [formats[name].scale for name in network.output_names]
            results = zip(expected, case.results(network), steps, strict=True)
            parts = [
                np.rint(np.abs(runtime_values - values) / step).ravel() for runtime_values, values, step in results
            ]
            apart = np.concatenate(parts)
            cells.append(f"{np.mean(apart > 0):.1%}, at most {apart.max():.0f}")
        rows.append([case.name, *cells])
    return markdown_table(["results that differ", *(f"`{scheme.value}`" for scheme in SCHEMES)], rows)


def runtime(case: Case) -> list[np.ndarray[Any, Any]]:
    """What onnxruntime gives for the results, before what is left to the host."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    proto = with_outputs(case.path, case.graph)
    session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: case.images.astype(np.float32)}))


def with_outputs(path: Path, graph: Graph) -> bytes:
    """The file with the graph's results as its outputs: what the host computes afterwards is left out."""
    import onnx

    proto = onnx.load(path)
    del proto.graph.output[:]
    for name in graph.results:
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return bytes(proto.SerializeToString())


def cost_table(cases: list[Case]) -> list[str]:
    """The file, scales kept, scales moved, and the float network quantized here."""
    rows = []
    for case in cases:
        networks = (case.kept(Scheme.FLOAT32), case.kept(Scheme.FIXED16), case.moved(), case.searched())
        file = case.judged(list(case.graph.outputs(case.images).values()))
        rows.append([case.name, file, *(case.judged(case.results(network)) for network in networks)])
    heads = [
        "",
        "the file in float",
        "`--requant float32`",
        "`--requant fixed16`",
        "`--refit`",
        "from the float network",
    ]
    return markdown_table(heads, rows)


def advice_part(case: Case, text: str, *, area: bool) -> list[str]:
    """The tables that the command prints; areas are those of the page unless they are asked for."""
    advised = advise(case.graph, case.calibration)
    if area and advised.kept:
        advised = replace(advised, areas=layer_areas(advised.kept.network))
    report = advised.as_dict()
    lines = [line for columns, cells in tables(report) for line in [*markdown_table(columns, cells), ""]]
    lines += advice_lines(report)
    if area:
        return lines
    old = text.partition("<!-- advice -->")[2].partition("<!-- /advice -->")[0].splitlines()
    heads = [index for index, line in enumerate(old) if line.startswith(f"| {AREAS[0]} |")]
    if not heads:
        return lines
    end = heads[0] + old[heads[0] :].index("")
    place = lines.index(advice_lines(report)[0])
    total = [line for line in old if line.startswith("- Requantizers, ")]
    return [*lines[:place], *old[heads[0] : end + 1], *lines[place:-1], *total, lines[-1]]


def main(page: Path = PAGE, *, area: bool = False) -> None:
    cases = [Case(name) for name in ("digits_qdq", "separable_qdq", "two_scales_qdq")]
    text = page.read_text(encoding="utf-8")
    for name, lines in {
        "refused": refused(cases[0]),
        "kept": kept_table(cases),
        "advice": advice_part(cases[0], text, area=area),
        "costs": cost_table(cases),
    }.items():
        text = put(text, name, "\n".join(lines))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(area="--area" in sys.argv[1:])
