"""Figures of the golden model of networks: seconds an image, beside onnxruntime's float network of the same shapes.

`python -m roundel.benchmarks.golden` prints the table of `docs/quantization.md`. Each row is a process of its own with
that many threads for BLAS and for onnxruntime; both take turns in it, and the fastest of `TURNS` counts.
"""

import json
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from roundel.benchmarks.float_twin import float_twin
from roundel.benchmarks.shapes import NETWORKS, Builder, centerface, yolov5n
from roundel.golden.errors import ToolError
from roundel.golden.network import Network, outputs
from roundel.processes import run_child
from roundel.ui import Row, row, seconds

MODULE = "roundel.benchmarks.golden"
TURNS = 7
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that libraries of BLAS read when NumPy is loaded."""
SHAPES: Mapping[str, tuple[Callable[[Builder], Network], tuple[int, int, int]]] = MappingProxyType(
    {
        "resnet50": NETWORKS["resnet50"],
        "yolov5n": (yolov5n, (320, 320, 3)),
        "centerface": (centerface, (480, 640, 3)),
    }
)
"""As `NETWORKS`."""


@dataclass(frozen=True)
class Image:
    """One image through one network.

    Parameters
    ----------
    network
        A row of `SHAPES`.
    threads
        Of BLAS and of onnxruntime.
    """

    network: str
    threads: int

    def rows(self, seed: int) -> list[Row]:
        """Seconds of both, their ratio, memory; golden alone where onnxruntime is not installed."""
        command = [sys.executable, "-m", MODULE, self.network, str(self.threads), str(seed), str(TURNS)]
        ended = run_child(command, variables=dict.fromkeys(THREADS, str(self.threads)))
        if ended.code:
            raise ToolError(f"golden of {self.network}: {ended}: {ended.errors.strip().splitlines()[-1:]}")
        figures = json.loads(ended.output)
        about = {"network": self.network, "threads": self.threads, "seed": seed}
        units = {"seconds": "s", "float": "s", "over_float": "times", "memory": "MiB"}
        return [row(f"golden.{name}", value, units[name], about) for name, value in figures.items()]


def variants() -> Sequence[Image]:
    """List every network, with one thread and with two."""
    return [Image(name, threads) for name in SHAPES for threads in (1, 2)]


def measure(network: Network, shape: tuple[int, int, int], *, threads: int, seed: int, turns: int) -> dict[str, float]:
    """Time one image, and measure what golden holds in memory beside the network.

    Parameters
    ----------
    network
        What runs.
    shape
        (rows, columns, channels) of an image.
    threads
        Of onnxruntime; those of BLAS are what this process has.
    seed
        Of the image.
    turns
        How often each runs.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(*network.input.limits, (1, *shape), endpoint=True)
    outputs(network, image)
    calls: dict[str, Callable[[], Any]] = {"seconds": lambda: outputs(network, image)}
    if session := _session(float_twin(network, shape), threads):
        real = np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32)
        calls["float"] = lambda: session.run(None, {network.source: real})
        calls["float"]()
    times = [{name: seconds(call, repeats=1) for name, call in calls.items()} for _ in range(turns)]
    figures = {name: min(turn[name] for turn in times) for name in calls}
    if session:
        figures["over_float"] = figures["seconds"] / figures["float"]
    tracemalloc.start()
    outputs(network, image)
    figures["memory"] = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return figures


def _session(model: bytes, threads: int) -> Any:
    """Return onnxruntime's session for a file; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main(arguments: Sequence[str]) -> None:
    """Print the figures of one network as JSON, or the table of all."""
    if arguments:
        name, (threads, seed, turns) = arguments[0], map(int, arguments[1:])
        build, shape = SHAPES[name]
        network = build(Builder(shape=shape, seed=seed))
        print(json.dumps(measure(network, shape, threads=threads, seed=seed, turns=turns)))
        return
    print("| network | threads | golden, ms | onnxruntime float, ms | ratio | golden's memory, MiB |")
    print("|---|---|---|---|---|---|")
    for variant in variants():
        values = {item["name"].removeprefix("golden."): item["value"] for item in variant.rows(seed=1)}
        times = (f"{1000 * values['seconds']:.0f}", f"{1000 * values['float']:.0f}", f"{values['over_float']:.1f}")
        print(f"| {variant.network} | {variant.threads} | {' | '.join(times)} | {values['memory']:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
