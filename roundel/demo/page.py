"""The demo's page: one Markdown file with tables and pictures, and the same tables for the terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from roundel.demo.matching import RULE, SURE, in_words
from roundel.demo.measurement import DemoMeasurement
from roundel.demo.pictures import draw_cycles, draw_energy, draw_roofline, draw_scenes
from roundel.demo.tables import (
    DemoValues,
    accuracy,
    chain,
    energy,
    frames,
    layers,
    matches,
    modules,
    ratio_tables,
    traffic,
)
from roundel.detection import AGREES
from roundel.evaluation import report_tables, write_report
from roundel.golden.nms import ExactParams, TopKParams
from roundel.ui import Grid

TAIL = "What the engine does in place of the file's tail, compared with the tail itself in onnx's reference:"


def terminal_tables(figures: DemoValues) -> Iterator[Grid]:
    """Give the tables that fit a terminal, from what `demo.json` holds."""
    yield accuracy(figures)
    yield layers(figures).without("macs")
    yield frames(figures)
    yield matches(figures)
    if figures["energy"]:
        yield energy(figures).without("counted")
    yield from report_tables(figures["requant"])


def verdict(figures: DemoValues) -> str:
    """One sentence: equal or not."""
    if not figures["equal"]:
        return f"RTL DIFFERS from golden, first in {figures['differences'][0]}"
    compared = figures["compared"]
    return (
        f"RTL equal to golden in {figures['scenes']} scenes: {compared['elements']:,} values of {compared['tensors']} "
        f"layers, {compared['boxes']} boxes"
    )


def matches_in_words(figures: DemoValues) -> str:
    """Return what the boxes of all scenes are, in one sentence."""
    return f"RTL's boxes in {figures['scenes']} scenes, {in_words(figures['matching'])} ({RULE})"


def write_page(demo: DemoMeasurement, figures: DemoValues, folder: Path) -> None:
    """Write `demo.md`, its pictures and the report of the requantizers into `folder`."""
    draw_scenes(folder / "scenes.png", demo.scenes.images, demo.scenes.objects, figures["frames"])
    draw_cycles(folder / "cycles.png", figures["layers"])
    draw_roofline(
        folder / "roofline.png", figures["layers"], demo.params.lanes * demo.params.columns, demo.params.bus_bytes
    )
    text = [*_opening(figures), *_network(figures), *_time(figures)]
    if figures["energy"]:
        draw_energy(folder / "energy.png", figures["energy"]["rows"])
        text += _energy(figures)
    if figures["requant"]:
        text += _requantizers(figures, folder)
    text += _files()
    (folder / "demo.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


def agreement_in_words(figures: DemoValues) -> str:
    """Return how many of the float network's boxes the integers and the RTL have, in one sentence."""
    own = [row for row in figures["accuracy"] if row["nms"] == figures["nms"]["name"] and row["network"] == "integer"]
    whole, rtl = own[0], next(row for row in own if row["on"] == "RTL")
    return (
        f"of the float network's boxes of a probability of {SURE:g} or more, the integers have {whole['agreeing']:.1%} "
        f"in {whole['scenes']} scenes, the RTL {rtl['agreeing']:.1%} in {rtl['scenes']}: the same class, an IoU of at "
        f"least {AGREES:g}"
    )


def suppression_in_words(nms: Mapping[str, Any]) -> str:
    """Say which suppression the engine has, and why."""
    if nms["method"] == ExactParams.METHOD:
        return (
            f"GreedyNMS at an IoU of {nms['threshold']:.3g} (`exact`), which `compress` derives for heads with limits "
            "or many classes: it loses nothing in a crowd, and, unlike PSRR, needs no tables for each class"
        )
    if nms["method"] == TopKParams.METHOD:
        return f"no suppression, as the detector needs none: the {nms['capacity']} best boxes stay"
    return f"PSRR-MaxpoolNMS (`{nms['method']}`), which has neither sorting nor pairs of boxes"


def _opening(figures: DemoValues) -> list[str]:
    total, engine, head = figures["total"], figures["engine"], figures["head"]
    told = "Its tail was recognised by running it" if head["recognised"] else "A file says what its outputs are"
    return [
        f"# From `{figures['model']}` to boxes out of verified RTL",
        "",
        "A trained detector was compressed as it was exported, to integers with a shift for each channel.",
        f"{told}: `{head['form']}`. The network was compiled to a program of",
        f"the engine (`{figures['config']}`: {engine['lanes']} x {engine['columns']} multipliers,",
        f"{engine['memory'] // 1024} KiB on chip, AXI4 of {engine['bus']} bits), whose parameters `compile` derived",
        "([engine.toml](program/engine.toml)), and run on its RTL",
        f"({figures['tools']['simulator']}) from the image to the boxes, without a step of a host.",
        "",
        f"Result: **{verdict(figures)}**. An image takes {total['cycles']:,} cycles, {total['utilization']:.1%} of all",
        "multipliers doing useful work.",
        "",
        *(f"- {line}" for line in figures["differences"]),
        *(f"- Warning: {line}." for line in figures["warnings"]),
        *([""] if figures["differences"] or figures["warnings"] else []),
        "![Held-out scenes with the boxes that the RTL kept](scenes.png)",
        "",
        f"The {matches_in_words(figures)}.",
        "Solid boxes in the colour of their class are true, dotted ones false, thin ones do not count; objects are",
        "dashed white, and those that no box stands for thick, with their class. Neither training nor calibration",
        "saw these scenes.",
        "",
        *matches(figures).markdown[:-1],
        "",
        "## The tail",
        "",
        *([TAIL, ""] if head["notes"] else []),
        *(f"- {_capital(note)}." for note in head["notes"]),
        f"- The engine's suppression is {suppression_in_words(figures['nms'])}.",
        "",
        f"{_capital(agreement_in_words(figures))}.",
        "",
        "## Average precision",
        "",
        *accuracy(figures).markdown,
        "Scores, coordinates and NMS of the integer rows are integers. GreedyNMS and PSRR take the same boxes; the",
        "RTL has one of them. *agreeing* is the share of the float network's boxes, as above.",
        "",
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _network(figures: DemoValues) -> list[str]:
    size = figures["compression"]
    return [
        "## The network in integers",
        "",
        f"{size['weights']:,} weights, {size['zeros']:.0%} of them zero, take {size['stream_bytes']:,} bytes as",
        f"streams instead of {size['float32_bytes']:,}. A real number r is stored as `round(r * 2^N)`; N belongs to a",
        "whole tensor, of weights to a channel, and was chosen, module by module, for the least error on the",
        "calibration images. The last column is measured there, against the float network.",
        "",
        *modules(figures).markdown,
        "Float (as trained) against integers, on the scenes above:",
        "",
        *chain(figures).markdown,
    ]


def _time(figures: DemoValues) -> list[str]:
    return [
        "## Where the cycles go",
        "",
        "From the engine's own trace of one frame. *compute*: the array multiplies; *fill*: pipelines fill and drain,",
        "windows of depthwise layers, the box unit; *memory*: waiting for maps; *decoder*: waiting for weights and",
        "parameters. *model* is what the cycle model says without any simulation; *used*, the utilization, is",
        "useful products by cycles and multipliers.",
        "",
        *layers(figures).markdown,
        "![Cycles of each layer](cycles.png)",
        "",
        "![Roofline](roofline.png)",
        "",
        "## Frame by frame",
        "",
        *frames(figures).markdown,
        "*read* and *written* are beats of the bus; *boxes* come out of the heads, *kept* of the NMS. Bytes that",
        "each layer loads and stores, and its streams:",
        "",
        *traffic(figures).markdown,
    ]


def _energy(figures: DemoValues) -> list[str]:
    costs = figures["energy"]
    return [
        "## Energy of a frame",
        "",
        "Operations and accesses are counted on the RTL's run. Logic costs what each unit's gates cost, mapped to",
        f"{costs['cells']} and simulated with this network's own data; memories cost what the literature",
        "says (Horowitz, ISSCC 2014). The two are of different nodes and are not added up. Control, feeder and bus",
        "masters are not in it.",
        "",
        *energy(figures).markdown,
        f"Logic {costs['logic_nj'] / 1000:,.2f} µJ; memories {costs['memory_nj'] / 1000:,.2f} µJ.",
        "",
        "![Energy of each unit](energy.png)",
        "",
    ]


def _requantizers(figures: DemoValues, folder: Path) -> list[str]:
    inner = folder / "requant"
    inner.mkdir(exist_ok=True)
    write_report(figures["requant"], inner)
    row = figures["requant"][0]
    text = [
        "## What a requantizer costs",
        "",
        f"Each scheme, for accumulators of {row['params']['acc_width']} bits, was mapped to gates, and the gates ran",
        f"{row['ops']:,} of this network's accumulators; every result equalled golden. Area and energy are those of",
        "the operator with its output register; the whole [report](requant/report.md) has all parts apart.",
        "",
    ]
    for name in sorted(path.name for path in inner.glob("*.png")):
        text += [f"![Area and energy of each requantizer](requant/{name})", ""]
    for grid in ratio_tables(figures["requant"]):
        text += [grid.title + ":", "", *grid.markdown]
    return text


def _files() -> list[str]:
    return [
        "## Files",
        "",
        "- [`demo.json`](demo.json): all figures of this page",
        "- [`network/`](network/report.md): the integer network, its streams and their report, as `roundel compress`",
        "  writes them",
        "- [`program/`](program/program.lst): program, listing, memory map and engine, as `roundel compile` writes",
        "  them, and the engine's Verilog as simulated",
    ]
