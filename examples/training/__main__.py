"""Train networks again as integers: `python -m examples.training [NAME ...]` (needs `pip install -e .[train]`).

For each of `tasks.py` and of `VARIANTS`: `networks/NAME_VARIANT.npz`, and its figures in `records.json`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from examples.training import RECORDS, TRAINED
from examples.training.tasks import Detection, Digits, tasks
from roundel.golden.network import Network
from roundel.qat import ChannelPattern, QatOptions
from roundel.quantization import QuantizeOptions

SEED = 7
VARIANTS = {"4bit": (4, None), "4of8": (8, 4), "2of8": (8, 2), "4bit_4of8": (4, 4)}  # bits of weights, N of N:8


def options_of(variant: str, lanes: int, columns: int) -> QatOptions:
    """What a variant asks for, on an array of that size."""
    bits, kept = VARIANTS[variant]
    pattern = None if kept is None else ChannelPattern(kept=kept, lanes=lanes, columns=columns)
    return QatOptions(search=QuantizeOptions(weight_bits=bits), pattern=pattern)


def zeros(network: Network) -> float:
    """Part of all weights that are 0."""
    weights = np.concatenate([layer.weights.ravel() for layer in network.weighted])
    return float((weights == 0).mean())


def trained(task: Digits | Detection, variant: str, file: Path) -> dict[str, Any]:
    """Train, compare with golden, write, and return the figures."""
    began = time.process_time()
    model = task.prepare(options_of(variant, task.lanes, task.columns))
    before = task.score(model.network(), model.results)
    model = task.train(model, SEED)
    equal = model.check(task.images)
    network = model.export(file)
    return {
        "measure": task.measure,
        "images": len(task.images),
        "before": round(before, 2),
        "after": round(task.score(network, model.results), 2),
        "zeros": round(zeros(network), 4),
        "steps": task.steps,
        "equal": equal,
        "cpu_seconds": round(time.process_time() - began),
    }


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m examples.training", description=(__doc__ or "").partition("\n")[0])
    reader.add_argument("names", nargs="*", choices=["digits", "detector", "wide", []], help="all without any")
    reader.add_argument("--variant", action="append", choices=VARIANTS, help="all without any")
    reader.add_argument("--folder", type=Path, default=Path("build/training"), help="where float networks are kept")
    options = reader.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    options.folder.mkdir(parents=True, exist_ok=True)
    TRAINED.mkdir(exist_ok=True)
    known = tasks(options.folder)
    for name in options.names or known:
        task = known[name]
        records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
        figures = records.setdefault(name, {})
        figures["float"] = round(task.float_score(), 2)
        print(f"{name}: float {figures['float']:.2f}", flush=True)
        for variant in options.variant or VARIANTS:
            figures[variant] = trained(task, variant, TRAINED / f"{name}_{variant}.npz")
            print(f"{name}: {variant}: {figures[variant]}", flush=True)
            RECORDS.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
