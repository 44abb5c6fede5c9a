"""Write the engine's figures: `python docs/make/engine_figures.py FOLDER`.

FOLDER/demo/demo.json is what `roundel demo` left; its table goes to README.md. FOLDER/bench/bench.json is what `roundel
bench engine` left, FOLDER/fpga/with_nms and FOLDER/fpga/without_nms what `roundel generate engine --set config=small
--fpga ecp5` left, the latter with `--set nms=null`; their tables go to docs/results.md. What is missing stays as it is.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from figures import write

from roundel.detection import AGREES

FIGURES = {
    "engine.utilization": "{:.3f}",
    "engine.weight_stalls": "{:.2%} of cycles wait for weights",
    "engine.simulation_speed": "{:,.0f} cycles simulated a second",
}


def detector(demo: Mapping[str, Any]) -> str:
    """What the demo reached."""
    accuracy = {(row["network"], row["nms"], row["on"], row["scenes"]): row["ap50"] for row in demo["accuracy"]}
    most = max(row["scenes"] for row in demo["accuracy"])
    total, compared = demo["total"], demo["compared"]
    lines = [f"| `{demo['model']}` as it was exported, on the engine (`small`), `make demo` | |", "| --- | ---: |"]
    for (network, nms, on, scenes), value in accuracy.items():
        if scenes == most or on == "RTL":
            where = "NumPy" if network == "float" else on
            lines.append(f"| AP50, {network} + {nms}, {where}, {scenes} scenes | {100 * value:.1f} |")
    lines += [
        f"| boxes of the float network that {on} has too, IoU >= {AGREES}, {scenes} scenes | {100 * value:.1f}% |"
        for on, scenes, value in agreeing(demo)
    ]
    lines += [
        f"| values of {compared['tensors']} layers compared with golden, {demo['scenes']} scenes | "
        f"{compared['elements']:,}, {'all equal' if demo['equal'] else 'NOT EQUAL'} |",
        f"| cycles of an image, useful share of all multipliers | {total['cycles']:,}, {total['utilization']:.1%} |",
    ]
    return "\n".join(lines)


def agreeing(demo: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Where, in how many scenes, and what share: of all scenes on golden, and on RTL."""
    own = [row for row in demo["accuracy"] if row["network"] == "integer" and row["nms"] == demo["nms"]["name"]]
    return [(row["on"], row["scenes"], row["agreeing"]) for row in (own[0], own[-1])]


def engine(rows: Sequence[Mapping[str, Any]]) -> str:
    """What `bench engine` measured, a line for each workload."""
    lines = ["| engine, `roundel bench engine` | on | useful of all multiplications | |", "| --- | --- | ---: | --- |"]
    workloads: dict[str, dict[str, float]] = {}
    for row in rows:
        about = row["params"]
        if row["name"] in FIGURES:
            zeros = f"{about['zeros']:.0%} zeros, {about['weight_width']} bits" if "zeros" in about else None
            parts = (about.get("network"), about.get("layer"), zeros, f"`{about['config']}`")
            what = f"{', '.join(filter(None, parts))} | {'RTL' if about['on'] == 'rtl' else 'model'}"
            workloads.setdefault(what, {})[row["name"]] = row["value"]
    for what, values in workloads.items():
        more = [FIGURES[name].format(values[name]) for name in list(FIGURES)[1:] if name in values]
        lines.append(
            f"| {what} | {FIGURES['engine.utilization'].format(values['engine.utilization'])} | {'; '.join(more)} |"
        )
    gains: dict[str, list[str]] = {}
    for row in rows:
        if row["name"] == "engine.zero_block_speedup":
            text = f"{row['value']:.2f} at {row['params']['zeros']:.0%}"
            gains.setdefault(row["params"]["pruning"], []).append(text)
    names = {"opq": "weight by weight (OPQ)", "blocks": "in blocks of the array's shape"}
    lines += [
        f"| times faster than dense, zeros {names[pruning]}: {', '.join(speed_ups)} | model | | |"
        for pruning, speed_ups in gains.items()
    ]
    return "\n".join(lines)


def fpga(builds: Mapping[str, Mapping[str, Any]]) -> str:
    """What `small` takes on the FPGA."""
    lines = [
        "| `small` on ECP5-85F | LUT4 | LUT4 per MAC | MULT18X18D | DP16KD | MHz |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, build in builds.items():
        unit = build["resources"]["unit"]
        cells = f"{unit['lut']:,} | {build['lut_per_mac']:.0f} | {unit['dsp']} | {unit['bram']}"
        lines.append(f"| {name} | {cells} | {build['fmax_mhz']:.1f} |")
    return "\n".join(lines)


def main(folder: Path) -> None:
    """Write a table for each result that FOLDER holds."""
    if (path := folder / "demo" / "demo.json").exists():
        write("README.md", {"detector": detector(json.loads(path.read_text(encoding="utf-8")))})
    if (path := folder / "bench" / "bench.json").exists():
        write("docs/results.md", {"engine": engine(json.loads(path.read_text(encoding="utf-8")))})
    named = {"with box unit and NMS": "with_nms", "without": "without_nms"}
    paths = {name: folder / "fpga" / part / "fpga.json" for name, part in named.items()}
    if builds := {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}:
        write("docs/results.md", {"fpga": fpga(builds)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
