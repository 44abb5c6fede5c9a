"""Write the tables of docs/nms_accuracy.md: `python docs/make/nms_accuracy.py`, about three minutes on one core.

Puts them between the markers of the page. Nothing between the markers is written by hand.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from figures import replace as put

from roundel.detection import accuracy
from roundel.detection.precision import GREEDY, METHODS, PRECISIONS, SCENES, SEED, Method, pooled
from roundel.detection.scenes import KINDS, SIZE, scenes
from roundel.evaluation.nms_precision import precision_columns
from roundel.golden.nms import BoxFormat, Detections, ExactParams, NmsParams, PsrrParams, greedy_nms, preset
from roundel.golden.nms.psrr_params import Kernel, Means
from roundel.golden.rounding import Ints
from roundel.ui import Row, markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
CHOICE = {"scenes": 360, "seed": 101}  # from which `guarded` was chosen
CHECK = {"scenes": 360, "seed": 2}  # neither those nor the table's
CLASSES = max(params.classes for params in KINDS.values())


def kinds_table() -> str:
    """How large the scenes are."""
    cells = []
    for kind, params in KINDS.items():
        images = scenes(params, SCENES, seed=SEED)
        counts = (sum(len(image.boxes) for image in images), sum(len(image.detections) for image in images))
        cells.append([kind, *(f"{count / len(images):.1f}" for count in counts)])
    return "\n".join(markdown_table(["scenes", "objects per image", "detections per image"], cells))


def precisions(rows: list[Row]) -> str:
    """AP50, AP75, AP50:95 and boxes kept, a row for each method."""
    figures_of = by_method(rows)
    cells = []
    for name, values in figures_of.items():
        scores = [" ".join(f"{values[kind, figure]:.3f}" for figure in PRECISIONS) for kind in KINDS]
        cells.append([name, *scores, " / ".join(f"{values[kind, 'nms.kept']:.1f}" for kind in KINDS)])
    return "\n".join(markdown_table(["method", *KINDS, "boxes kept"], cells))


def losses(methods: Mapping[str, PsrrParams], about: dict[str, int]) -> str:
    """Points of AP50 and AP75 below the better GreedyNMS, a row for each pyramid."""
    chosen = {name: METHODS[name] for name in GREEDY} | {name: pooled(params) for name, params in methods.items()}
    figures_of = by_method(accuracy(methods=chosen, **about))
    cells = []
    for name, params in methods.items():
        lost = [
            " / ".join(f"{figures_of[name][kind, f'nms.{figure}_lost']:.1f}" for figure in ("ap50", "ap75"))
            for kind in KINDS
        ]
        words = max(params.window_count(pooling) for pooling in params.passes)
        cells.append(
            [name, *lost, f"{figures_of[name]['sloppy', 'nms.kept']:.1f}", str(len(params.passes)), str(words)]
        )
    heads = ["pyramid", *KINDS, "boxes kept, sloppy", "passes", "windows, largest pass"]
    return "\n".join(markdown_table(heads, cells))


def by_method(rows: list[Row]) -> dict[str, dict[tuple[str, str], float]]:
    """Values by method, then by scene and name of the figure."""
    values: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        values.setdefault(row["params"]["method"], {})[row["params"]["scene"], row["name"]] = row["value"]
    return values


def neighbours() -> dict[str, PsrrParams]:
    """`guarded`, and what differs from it in one thing, or in alpha and stride."""
    chosen = preset("guarded")
    largest = tuple(replace(pooling, kernel=Kernel.LARGEST) for pooling in chosen.passes)
    half_octaves = {"areas": preset("adjacent").areas}
    return (
        {"`guarded`": chosen}
        | {f"guard {guard}": preset("guarded", guard=guard) for guard in (0.3, 0.35, 0.4, 0.42, 0.46, 0.5)}
        | {
            f"alpha {alpha}, stride {stride}": preset("guarded", alpha=alpha, stride=stride)
            for stride in (8, 16)
            for alpha in (0.5, 0.75, 1.0, 1.25, 1.5)
            if (alpha, stride) != (chosen.alpha, chosen.stride)
        }
        | {f"shift {shift}": preset("guarded", shift=shift) for shift in ("none", "diagonal")}
        | {
            "cascade": preset("guarded", semantics="cascade"),
            "largest kernel of a group": replace(chosen, passes=largest),
            "area thresholds halfway": replace(chosen, means=Means.ARITHMETIC),
            "7 scales": preset("guarded", **half_octaves),
            "7 scales, alpha 1.25": preset("guarded", **half_octaves, alpha=1.25),
            "`adjacent` with the guard": preset("adjacent", guard=chosen.guard),
            "`adjacent` with the guard, alpha 1.0": preset("adjacent", guard=chosen.guard, alpha=1.0),
        }
    )


def published() -> dict[str, PsrrParams]:
    """The paper's pyramid, and what differs from it in one thing the paper leaves open, or in alpha."""
    paper = preset("psrr")
    largest = tuple(replace(pooling, kernel=Kernel.LARGEST) for pooling in paper.passes)
    return (
        {"`psrr`": paper}
        | {f"alpha {alpha}": preset("psrr", alpha=alpha) for alpha in (0.5, 1.0)}
        | {
            "parallel": preset("psrr", semantics="parallel"),
            "shift none": preset("psrr", shift="none"),
            "shift quad": preset("psrr", shift="quad"),
            "largest kernel of a group": replace(paper, passes=largest),
            "area thresholds at geometric means": preset("psrr", means="geometric"),
        }
    )


def rounded() -> dict[str, Method]:
    """What integers do to the result: coordinates on a grid, scores of few bits, so that many are equal."""
    methods: dict[str, Method] = {}
    for name in ("psrr", "guarded"):
        params = preset(name)
        methods |= {f"`{name}`, float": pooled(params)}
        methods |= {f"`{name}`, integer, 1/{1 << fraction} pixel": integer(name, fraction) for fraction in (0, 4)}
        methods |= {f"`{name}`, {bits}-bit scores": coarse(pooled(params), bits) for bits in (8, 4)}
    greedy = {
        f"greedy 0.4, {bits}-bit scores": coarse(lambda detections: greedy_nms(detections, 0.4), bits)
        for bits in (8, 4)
    }
    return methods | {"greedy 0.4, float": METHODS["greedy 0.4"]} | greedy


def integer(method: str, fraction: int) -> Method:
    """The hardware's golden model, on coordinates with so many fraction bits."""
    form = BoxFormat(width=SIZE, height=SIZE, fraction=fraction, classes=CLASSES)
    params = NmsParams(format=form, method=method, class_key=True, capacity=2048)

    def method_of(detections: Detections) -> Ints:
        return params.compute(*form.encode(detections), detections.labels).kept

    return method_of


def coarse(method: Method, bits: int) -> Method:
    """The method on scores rounded to so many bits."""

    def method_of(detections: Detections) -> Ints:
        scores = np.rint(detections.scores * ((1 << bits) - 1))
        return method(Detections(boxes=detections.boxes, scores=scores, classes=detections.labels))

    return method_of


def units() -> str:
    """Points that the units lose, in whole pixels: means over the seeds of `roundel compare nms`."""
    form: dict[str, Any] = {"classes": 1}
    compared = {
        "`exact_nms`": ExactParams(format=form),  # type: ignore[arg-type]
        "`guarded`": NmsParams(format=form),  # type: ignore[arg-type]
        "`guarded`, cascade": NmsParams(format=form, semantics="cascade"),  # type: ignore[arg-type]
        "`psrr`, parallel": NmsParams(format=form, method="psrr", semantics="parallel"),  # type: ignore[arg-type]
        "`psrr`": NmsParams(format=form, method="psrr", semantics="cascade"),  # type: ignore[arg-type]
    }
    cells = []
    for name, params in compared.items():
        lost = precision_columns(params)
        pairs = [(lost[f"ap50_lost_{kind}"], lost[f"ap75_lost_{kind}"]) for kind in KINDS]
        cells.append([name, *(f"{fifty + 0.0:.2f} / {more + 0.0:.2f}" for fifty, more in pairs)])
    return "\n".join(markdown_table(["unit", *KINDS], cells))


def main() -> None:
    about: dict[str, Any] = {"scenes": SCENES, "seed": SEED}
    checked = {"`guarded`": preset("guarded"), "`guarded`, shift diagonal": preset("guarded", shift="diagonal")}
    text = PAGE.read_text(encoding="utf-8")
    for name, make in {
        "scenes": kinds_table,
        "precisions": lambda: precisions(accuracy(**about)),
        "checked": lambda: losses(checked | {"`psrr`": preset("psrr"), "`adjacent`": preset("adjacent")}, CHECK),
        "units": units,
        "neighbours": lambda: losses(neighbours(), CHOICE),
        "published": lambda: losses(published(), CHOICE),
        "rounded": lambda: precisions(accuracy(methods=rounded(), **about)),
    }.items():
        print(f"{name} ...", flush=True)
        text = put(text, name, make())
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
