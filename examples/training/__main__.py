"""Train networks again as integers: `python -m examples.training [NAME ...]` (needs `pip install -e .[train]`).

For each of `tasks.py` and of `VARIANTS`: `networks/NAME_VARIANT.npz`, and its figures in `records.json`. With `--check`
nothing is trained: the networks that lie there are scored and compiled again. With `--page` the figures that lie there
become the table of `docs/training.md`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from examples.training import RECORDS, TRAINED
from examples.training.page import VARIANTS, write
from examples.training.speed import bound, cycles
from examples.training.tasks import Detection, Digits, tasks
from roundel.golden.engine import EngineParams
from roundel.golden.network import Network, load, load_meta
from roundel.qat import ChannelPattern, QatOptions
from roundel.quantization import QuantizeOptions

SEED = 7

Task = Digits | Detection


def options_of(variant: str, config: str) -> QatOptions:
    """What a variant asks for, on an engine of that size."""
    bits, kept = VARIANTS[variant]
    params = EngineParams.named(config)
    pattern = None if kept is None else ChannelPattern(kept=kept, lanes=params.lanes, columns=params.columns)
    return QatOptions(search=QuantizeOptions(weight_bits=bits, per_channel=True), pattern=pattern, half_gradients=True)


def zeros(network: Network) -> float:
    """Part of all weights that are 0."""
    weights = np.concatenate([layer.weights.ravel() for layer in network.weighted])
    return float((weights == 0).mean())


def dense(task: Task) -> dict[str, Any]:
    """Figures of the network of 8 bits and all channels, not trained again."""
    model = task.prepare(QatOptions(search=QuantizeOptions(per_channel=True)))
    network = model.network()
    layers, whole = cycles(network, task.config, task.shape)
    return {"after": round(task.score(network, model.results), 2), "cycles": whole, "array": layers}


def figures_of(task: Task, variant: str, file: Path, base: dict[str, Any]) -> dict[str, Any]:
    """Figures of a network file: score, cycles, and what its weights allow, against the dense one of 8 bits."""
    network, options = load(file), options_of(variant, task.config)
    after = round(task.score(network, load_meta(file)["results"]), 2)
    _, whole = cycles(network, task.config, task.shape)
    return {
        "after": after,
        "zeros": round(zeros(network), 4),
        "bytes": file.stat().st_size,
        "cycles": whole,
        "speedup": round(base["cycles"] / whole, 3),
        "bound": round(bound(network, base["array"], options.search.weight_bits, options.pattern), 3),
    }


def train(task: Task, variant: str, file: Path) -> dict[str, Any]:
    """Train, compare with golden, write, and return how that went."""
    began = time.process_time()
    options = options_of(variant, task.config)
    steps, rate = task.steps[variant], task.rate * (1 if options.search.weight_bits < 8 else task.gentle)
    model = task.prepare(options)
    before = task.score(model.network(), model.results)
    model = task.train(model, steps, rate, SEED)
    equal = model.check(task.images)
    model.export(file)
    return {
        "before": round(before, 2),
        "steps": steps,
        "rate": rate,
        "seed": SEED,
        "equal": equal,
        "cpu_seconds": round(time.process_time() - began),
    }


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m examples.training", description=(__doc__ or "").partition("\n")[0])
    reader.add_argument("names", nargs="*", choices=["digits", "detector", "wide", []], help="all without any")
    reader.add_argument("--variant", action="append", choices=VARIANTS, help="all without any")
    reader.add_argument("--folder", type=Path, default=Path("build/training"), help="where float networks are kept")
    reader.add_argument("--check", action="store_true", help="score the networks that are there, train nothing")
    reader.add_argument("--page", action="store_true", help="write the table of docs/training.md from the records")
    options = reader.parse_args()
    if options.page:
        write(json.loads(RECORDS.read_text()))
        return
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    options.folder.mkdir(parents=True, exist_ok=True)
    TRAINED.mkdir(exist_ok=True)
    known = tasks(options.folder)
    for name in options.names or known:
        measure(name, known[name], options.variant or list(VARIANTS), check=options.check)


def measure(name: str, task: Task, variants: list[str], *, check: bool) -> None:
    """Train and score all variants of a task; records are written after each."""
    records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    kept = records.setdefault(name, {})
    base = dense(task)
    kept["measure"], kept["images"], kept["config"] = task.measure, len(task.images), task.config
    kept["8bit"] = {key: value for key, value in base.items() if key != "array"}
    if not check:
        kept["float"] = round(task.float_score(), 2)
    print(f"{name}: float {kept['float']:.2f}, 8 bits {base['after']:.2f}, {base['cycles']:,} cycles", flush=True)
    for variant in variants:
        file = TRAINED / f"{name}_{variant}.npz"
        told = kept.get(variant, {}) if check else train(task, variant, file)
        told |= figures_of(task, variant, file, base)
        kept[variant] = told | {"lost": round(kept["float"] - told["after"], 2)}
        print(f"{name}: {variant}: {kept[variant]}", flush=True)
        RECORDS.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
