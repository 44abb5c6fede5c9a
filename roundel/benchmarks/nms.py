"""Figures of the suppression units: boxes per cycle, against GreedyNMS in hardware and in software, and accuracy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from roundel.benchmarks.exact_nms import exact_variants, topk_variants
from roundel.detection import accuracy
from roundel.evaluation import BOXES, crowd
from roundel.golden.nms import BoxFormat, Detections, GreedyParams, NmsParams, greedy_nms, psrr_nms
from roundel.hw.units import UNITS
from roundel.sim.nms_run import run_images
from roundel.sim.stimuli import BoxImage
from roundel.ui import Row, row, seconds

IMAGES = 6  # back to back
FORMAT = BoxFormat(classes=1)
CLOCK_MHZ = 100  # at which cycles are set against seconds of software: what both pyramids reach on ECP5
SOFTWARE_BOXES = (1000, 5000)
NAMED: dict[str, dict[str, Any]] = {
    "psrr parallel": {"method": "psrr", "semantics": "parallel"},
    "psrr cascade": {"method": "psrr", "semantics": "cascade"},
    "guarded parallel": {"method": "guarded"},
    "guarded cascade": {"method": "guarded", "semantics": "cascade"},
}


def image(seed: int, count: int) -> BoxImage:
    """Draw `count` boxes of a crowded image."""
    return crowd(np.random.default_rng([seed, count]), FORMAT, count)


@dataclass(frozen=True)
class NmsRate:
    """Boxes per cycle of the suppression unit, images back to back."""

    scheme: str
    lanes: int

    def rows(self, seed: int) -> list[Row]:
        """Run images back to back and one alone on the RTL; with parallel semantics also GreedyNMS on one image."""
        params = NmsParams(format=FORMAT, lanes=self.lanes, **NAMED[self.scheme])
        boxes = image(seed, BOXES)
        run = run_images(UNITS["nms"], params, [boxes] * IMAGES, seed=seed)
        arrivals, last = run["arrivals"], run["ends"] - 1
        # From the end of one image to the end of another: what filling and draining cost is left out.
        steady = (IMAGES - 1) * BOXES / (arrivals[last[-1]] - arrivals[last[0]])
        alone = run_images(UNITS["nms"], params, [boxes], seed=seed)
        about = {"scheme": self.scheme, "lanes": self.lanes, "boxes": BOXES, "images": IMAGES, "seed": seed}
        beats = -(-BOXES // self.lanes)
        rows = [
            row("nms.boxes_per_cycle", steady, "boxes/cycle", about),
            row("nms.cycles_per_image", BOXES / steady, "cycles", about),
            row("nms.kept", len(alone["kept"]), "boxes", about),
            row("nms.first_kept_after", alone["arrivals"][0] - beats, "cycles", about),
        ]
        if self.scheme.endswith("parallel"):
            greedy = run_images(UNITS["greedy_nms"], GreedyParams(format=FORMAT, lanes=self.lanes), [boxes], seed=seed)
            rows += [
                row("greedy_nms.cycles_per_image", greedy["cycles"], "cycles", about),
                row("greedy_nms.kept", len(greedy["kept"]), "boxes", about),
                row("nms.speedup_over_greedy", greedy["cycles"] * steady / BOXES, "times", about),
                row("nms.speedup_over_greedy_one_image", greedy["cycles"] / alone["cycles"], "times", about),
            ]
        return rows


@dataclass(frozen=True)
class Classes:
    """The same when every class of an image is sent as an image: sizes that differ a lot."""

    banks: int

    def rows(self, seed: int) -> list[Row]:
        """Run 80 images of 1 to 256 boxes, geometrically distributed, on the RTL."""
        params = NmsParams(format=FORMAT, banks=self.banks, capacity=256)
        rng = np.random.default_rng(seed)
        sizes = np.minimum(rng.geometric(1 / 20, 80), params.capacity)
        images = [image(seed + number, int(size)) for number, size in enumerate(sizes)]
        run = run_images(UNITS["nms"], params, images, seed=seed)
        rate = sizes.sum() / run["cycles"]
        about = {"scheme": "guarded parallel", "banks": self.banks, "classes": len(sizes), "boxes": int(sizes.sum())}
        return [row("nms.boxes_per_cycle_by_class", rate, "boxes/cycle", about | {"seed": seed})]


@dataclass(frozen=True)
class Software:
    """Time that NumPy and a compiled GreedyNMS take for the same boxes."""

    boxes: int

    def rows(self, seed: int) -> list[Row]:
        """Time every method in NumPy, and GreedyNMS compiled, on one crowded image."""
        given = image(seed, self.boxes)
        detections = Detections(boxes=given.boxes.astype(float), scores=given.scores.astype(float))
        params = {name: NmsParams(format=FORMAT, **keywords).pyramid for name, keywords in NAMED.items()}
        times = {name: seconds(partial(psrr_nms, detections, pyramid)) for name, pyramid in params.items()}
        numpy_greedy = seconds(lambda: greedy_nms(detections, 0.5))
        compiled = seconds(call) if (call := _compiled(detections, 0.5)) else None
        about = {"boxes": self.boxes, "seed": seed}
        rows = [row("software.greedy_numpy", 1e6 * numpy_greedy, "us", about)]
        if compiled is not None:
            rows.append(row("software.greedy_compiled", 1e6 * compiled, "us", about))
        for name, time in times.items():
            named = about | {"scheme": name}
            rows += [
                row("software.psrr_numpy", 1e6 * time, "us", named),
                row("software.psrr_numpy_over_greedy_numpy", numpy_greedy / time, "times", named),
            ]
            if compiled is not None:
                rows.append(row("software.psrr_numpy_over_greedy_compiled", compiled / time, "times", named))
        hardware = self.boxes / (CLOCK_MHZ * 1e6)
        clock = about | {"clock_mhz": CLOCK_MHZ}
        rows.append(row("nms.over_greedy_numpy", numpy_greedy / hardware, "times", clock))
        if compiled is not None:
            rows.append(row("nms.over_greedy_compiled", compiled / hardware, "times", clock))
        return rows


@dataclass(frozen=True)
class NmsAccuracy:
    """Average precision of every suppression on scenes with known objects."""

    def rows(self, seed: int) -> list[Row]:
        """Measure average precision; `seed` draws the scenes."""
        return accuracy(seed=seed)


def variants() -> Sequence[Any]:
    """List everything that is measured."""
    rates = [
        NmsRate(scheme, lanes) for scheme in NAMED for lanes in (1, 2, 4) if lanes == 1 or scheme.endswith("parallel")
    ]
    return [
        *rates,
        *exact_variants(),
        *topk_variants(),
        Classes(2),
        Classes(4),
        *map(Software, SOFTWARE_BOXES),
        NmsAccuracy(),
    ]


def _compiled(detections: Detections, threshold: float) -> Callable[[], Any] | None:
    """Return a call of onnxruntime's NonMaxSuppression, compiled C++, on one thread; None if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    from onnx import TensorProto, helper

    names = ("boxes", "scores", "most", "iou")
    node = helper.make_node("NonMaxSuppression", [*names], ["kept"])
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT)
    shapes = ([1, None, 4], [1, 1, None], [1], [1])
    inputs = [helper.make_tensor_value_info(*item) for item in zip(names, kinds, shapes, strict=True)]
    output = helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])
    graph = helper.make_graph([node], "nms", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {
        "boxes": detections.boxes[None].astype(np.float32),
        "scores": detections.scores[None, None].astype(np.float32),
        "most": np.array([len(detections)], np.int64),
        "iou": np.array([threshold], np.float32),
    }
    return lambda: session.run(None, given)
