"""Write the tables of docs/engine_cycles.md: `python docs/make/engine_cycles.py [FOLDER]`.

The first one compares the cycle model with the RTL on random networks, here and now (minutes, most of them for building
two simulators). The second is what `roundel bench engine -o FOLDER` measured, if FOLDER is given.
"""

import json
import sys
from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.benchmarks.show import tables
from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.cycles.bus import Memory
from roundel.golden.engine import CONFIGS, EngineParams, Opcode
from roundel.runtime.random_networks import engine_network
from roundel.sim.engine_run import place, simulate
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
NETWORKS = [("tiny", seed) for seed in range(6)] + [("small", seed) for seed in range(6)]
DELAY = 20  # cycles of the outer memory


def compare(config: str, seed: int) -> list[str]:
    """Cycles of a network, of its layers the worst: cells of a line."""
    params = EngineParams(**CONFIGS[config])
    network, image = engine_network(seed, layers=5, size=24, areas=False)
    compiled = compile_network(network, image.shape, params)
    regions = compiled.regions(image)
    bases, _ = place(regions)
    rows, total = predict(params, np.frombuffer(compiled.image, np.uint8), memory=Memory(delay=DELAY), bases=bases)
    run = simulate(params, regions, settings={"delay": DELAY})
    begun = min(row.start for row in run.rows) - min(row.start for row in rows)
    measured = {row.index: row.end - begun for row in run.rows}
    layers: dict[str, tuple[int, ...]] = {}
    before = (0, 0)
    for row in rows:
        if row.opcode is Opcode.COMPUTE:
            ends = (row.end, measured[row.index])
            spent = layers.get(compiled.tasks[row.index].layer, (0, 0))
            took = (new - old for new, old in zip(ends, before, strict=True))
            layers[compiled.tasks[row.index].layer] = tuple(map(sum, zip(spent, took, strict=True)))
            before = ends
    worst = max(layers.values(), key=lambda pair: abs(pair[0] - pair[1]))
    cycles = run.registers["cycles"]
    return [
        f"`{config}`, seed {seed}",
        str(len(layers)),
        f"{cycles:,}",
        f"{total:,}",
        f"{total / cycles - 1:+.2%}",
        f"{worst[0] - worst[1]:+d} of {worst[1]:,}",
    ]


def main(folder: Path | None) -> None:
    """Fill both tables."""
    heads = ["network", "layers", "RTL, cycles", "model", "difference", "worst layer"]
    text = put(
        PAGE.read_text(encoding="utf-8"),
        "near",
        "\n".join(markdown_table(heads, [compare(*network) for network in NETWORKS])),
    )
    if folder is not None:
        rows = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
        shown = ["\n".join([f"{title}:", "", *markdown_table(names, cells)]) for title, names, cells in tables(rows)]
        text = put(text, "bench", "\n\n".join(shown))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
