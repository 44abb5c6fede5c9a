"""Prune the detector to 70 % zeros of 4 bits, fine-tune it, and write `detector_sparse.onnx` beside itself.

Run `python examples/detector/sparse.py` after `train.py` (needs `pip install -e .[train]`). Masks and steps are of
`golden.opq`; only codes and biases are trained, with the loss and the kind of scenes that trained the float network.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from network import OUTPUTS, PIXEL
from scenes import glyphs, scenes
from train import BATCH, Targets, batch_of, loss_of

from golden.opq import LayerPlan, opq
from golden.opq_params import OpqParams
from roundel.fold import fold
from roundel.graph import Conv, Graph
from roundel.onnx_export import export_onnx
from roundel.onnx_import import import_onnx
from roundel.opq_report import layer_weights
from roundel.torch_graph import run
from roundel.torch_training import FrozenLevels

HERE = Path(__file__).parent
SEED = 11
STEPS = 4_000
RATE = 2e-3
PLAN = OpqParams(sparsity=0.7, bits=4, max_width=4, power_of_two=True)  # steps that are shifts


def scaled(graph: Graph, factor: float) -> Graph:
    """The network for images divided by `factor`, a power of two: Adam wants weights of about one size."""
    first = graph.nodes[0]
    assert isinstance(first, Conv)
    step = None if first.step is None else first.step * np.float32(factor)
    weights = first.weights * np.float32(factor)
    return replace(graph, nodes=(replace(first, weights=weights, step=step), *graph.nodes[1:]))


def finetune(graph: Graph, plans: dict[str, LayerPlan], steps: int) -> Graph:
    """The network with codes and biases trained; AdamW, whose learning rate rises for a tenth and falls as a cosine."""
    torch.manual_seed(SEED)
    layers = {node.name: node for node in graph.nodes if isinstance(node, Conv)}
    levels = {name: FrozenLevels(node.weights, plans[name]) for name, node in layers.items()}
    biases = {name: torch.tensor(node.bias, requires_grad=True) for name, node in layers.items()}
    trained = [*(layer.latent for layer in levels.values()), *biases.values()]
    optimizer = torch.optim.AdamW(trained, RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    targets, source = Targets(), scenes(glyphs()["training"], SEED)
    total = 0.0
    for step in range(1, steps + 1):
        images, *about = batch_of(source, BATCH, targets)
        values = run(graph, images, {name: layer() for name, layer in levels.items()}, biases)
        loss = loss_of(tuple(values[name] for name in OUTPUTS), *about, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % 200 == 0:
            print(f"step {step} of {steps}: loss {total / 200:.3f}", flush=True)
            total = 0.0
    return replace(graph, nodes=tuple(_tuned(node, levels, biases, plans) for node in graph.nodes))


def _tuned(node: object, levels: dict, biases: dict, plans: dict[str, LayerPlan]) -> object:
    """The node with what was trained."""
    if not isinstance(node, Conv):
        return node
    found = plans[node.name].levels
    assert found is not None
    weights, bias = levels[node.name]().detach().numpy(), biases[node.name].detach().numpy()
    return replace(node, weights=weights, bias=bias, step=np.float32(found.step), code_width=found.width)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    graph = scaled(fold(import_onnx(HERE / "detector.onnx")), PIXEL)
    plans = opq(layer_weights(graph), PLAN)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / "detector_sparse.onnx"
    export_onnx(scaled(finetune(graph, plans, steps), 1 / PIXEL), target)
    weights = sum(plan.mask.size for plan in plans.values())
    kept = sum(int(plan.mask.sum()) for plan in plans.values())
    print(f"{kept:,} of {weights:,} weights are left")


if __name__ == "__main__":
    main()
