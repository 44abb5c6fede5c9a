"""Write the table of cycles in docs/activations.md: `python docs/make/activation_cycles.py`; takes some minutes.

YOLOv8n at 320 x 320 with SiLU on `medium`, by the cycle model, beside the same network with ReLU.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.benchmarks.shapes import Builder
from roundel.benchmarks.yolov8n import silu, yolov8n
from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.cycles.bus import Memory
from roundel.golden.engine import EngineParams
from roundel.golden.network import Network
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "activations.md"
SHAPE = (320, 320, 3)
LANES, FIFOS = (2, 4, 8, 16), (32, 64, 128, 256)
DELAY = 20  # cycles of the outer memory


def cycles(network: Network, params: EngineParams) -> int:
    """Return the cycles of an image."""
    compiled = compile_network(network, SHAPE, params)
    return predict(params, np.frombuffer(compiled.image, np.uint8), memory=Memory(delay=DELAY))[1]


def main() -> None:
    medium = EngineParams.named("medium")
    plain = cycles(yolov8n(Builder(shape=SHAPE)), replace(medium, act_lanes=0))
    network = yolov8n(Builder(shape=SHAPE), silu())
    rows = []
    for lanes in LANES:
        taken = [cycles(network, replace(medium, act_lanes=lanes, act_fifo=fifo)) for fifo in FIFOS]
        rows.append([f"SiLU, `act_lanes` {lanes}", *(f"{total / plain - 1:+.2%}" for total in taken)])
    heads = [f"ReLU: {plain:,} cycles", *(f"`act_fifo` {fifo}" for fifo in FIFOS)]
    text = put(PAGE.read_text(encoding="utf-8"), "cycles", "\n".join(markdown_table(heads, rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
