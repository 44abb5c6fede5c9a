"""Prune the large layers of the detector to 60 % zeros of 5 bits, fine-tune it, and write `detector_sparse.onnx`.

Run `python examples/detector/sparse.py` after `train.py` (needs `pip install -e .[train]`). Masks and steps are those
of `roundel.golden.opq.plan`, fixed before fine-tuning; codes, biases and the small layers are trained, with the loss
and the kind of scenes that trained the float network. Small layers (the first, depthwise ones, heads) have 8 % of the
weights and the most to lose: they stay real, to be quantized to 8 bits.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from network import OUTPUTS, PIXEL
from scenes import glyphs, scenes
from train import BATCH, Targets, batch_of, loss_of

from roundel.compression.torch_graph import run
from roundel.compression.torch_training import FrozenLevels
from roundel.data import DETECTOR
from roundel.frontend import export_onnx, read_onnx
from roundel.golden.opq import LayerPlan, OpqParams, opq
from roundel.graph import Conv, Graph, fold, layer_weights

SEED = 11
STEPS = 2_000
RATE = 2e-3
SMALL = 1_500  # weights of a layer that OPQ leaves alone
PLAN = OpqParams(sparsity=0.6, bits=5, max_width=5, power_of_two=True)  # steps that are shifts


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
    levels = {name: FrozenLevels(node.weights, plans.get(name)) for name, node in layers.items()}
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
    node = replace(node, weights=levels[node.name]().detach().numpy(), bias=biases[node.name].detach().numpy())
    found = plans[node.name].levels if node.name in plans else None
    return node if found is None else replace(node, step=np.float32(found.step), code_width=found.width)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    graph = scaled(fold(read_onnx(DETECTOR / "detector.onnx")), PIXEL)
    large = {name: weights for name, weights in layer_weights(graph).items() if weights.size >= SMALL}
    plans = opq(large, PLAN)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else DETECTOR / "detector_sparse.onnx"
    export_onnx(scaled(finetune(graph, plans, steps), 1 / PIXEL), target)
    weights = sum(plan.mask.size for plan in plans.values())
    kept = sum(int(plan.mask.sum()) for plan in plans.values())
    print(f"{kept:,} of {weights:,} weights of {len(plans)} layers are left")


if __name__ == "__main__":
    main()
