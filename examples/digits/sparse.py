"""Prune the digits network to 80 % zeros of 4 bits, fine-tune it, and write `digits_sparse.onnx` beside itself.

Run `python examples/digits/sparse.py` (needs scikit-learn, torch and onnx: `pip install -e .[train]`), ten seconds on
one core. Masks and steps are those of `roundel.golden.opq.plan`; only codes and biases are trained, on the training
part of the data. `--choose` prints how the settings were chosen instead: on images of the training part that
fine-tuning leaves out. The held-out images take no part in either; their accuracy is printed once, at the end.
"""

import sys
from itertools import product

import numpy as np
import torch
from train import SEED, shifted, split

from roundel.compression import FinetuneOptions
from roundel.compression.finetuning import finetune
from roundel.compression.opq_table import opq_table
from roundel.data import DIGITS
from roundel.frontend import export_onnx, read_onnx
from roundel.golden.codec import CodecParams, Packing, encode
from roundel.golden.opq import OpqParams, Weighting, opq
from roundel.graph import Conv, Dense, Graph, fold, layer_codes, layer_weights

CHOSEN = FinetuneOptions(epochs=60, learning_rate=0.01, distill=0.5, weight_decay=0.1)
VALIDATION = 300  # training images that judge the settings


def plan(weighting: Weighting = Weighting.SIZE) -> OpqParams:
    """80 % zeros, at most 15 levels, steps that are shifts."""
    return OpqParams(sparsity=0.8, bits=4, max_width=4, power_of_two=True, weighting=weighting)


def accuracy(graph: Graph, images: np.ndarray, labels: np.ndarray) -> float:
    """Part of the images that the network gets right."""
    return float((graph.run(images).argmax(axis=1) == labels).mean())


def stream_bytes(graph: Graph) -> dict[str, int]:
    """What the weights of each layer take as a `rice` stream, positions and headers included."""
    params = CodecParams(packing=Packing.RICE, width=4, lanes=16, slices=4)
    return {name: len(encode(codes, params)) for name, codes in layer_codes(graph).items()}


def choose(float_network: Graph) -> None:
    """Print what several settings give on training images that are left out of fine-tuning."""
    images, labels = split()["training"]
    order = np.random.default_rng(SEED).permutation(len(images))
    judge, learn = order[:VALIDATION], order[VALIDATION:]
    print(
        "| weighting | epochs | learning rate | distillation | weight decay | images left out, right | stream bytes |"
    )
    print("|---|---|---|---|---|---|---|")
    rows = [(weighting, 60, 0.01, 0.5, 0.1) for weighting in Weighting]
    rows += [(Weighting.SIZE, *row) for row in product((30, 60), (0.005, 0.01), (0.0, 0.5), (0.0, 0.1))]
    for weighting, epochs, rate, distill, decay in rows:
        plans = opq(layer_weights(float_network), plan(weighting))
        params = FinetuneOptions(epochs=epochs, learning_rate=rate, distill=distill, weight_decay=decay)
        graph = finetune(float_network, plans, images[learn], labels[learn], params, augment=shifted).graph
        right = accuracy(graph, images[judge], labels[judge])
        cells = (
            weighting.value,
            epochs,
            rate,
            distill,
            decay,
            f"{right:.2%}",
            f"{sum(stream_bytes(graph).values()):,}",
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    float_network = fold(read_onnx(DIGITS / "digits.onnx"))
    if "--choose" in sys.argv[1:]:
        choose(float_network)
        return
    parts = split()
    plans = opq(layer_weights(float_network), plan())
    tuned = finetune(float_network, plans, *parts["training"], CHOSEN, augment=shifted).graph
    export_onnx(tuned, DIGITS / "digits_sparse.onnx")
    for name in ("training", "heldout"):
        before, after = (accuracy(graph, *parts[name]) for graph in (float_network, tuned))
        print(f"{name}: {before:.2%} right in float, {after:.2%} after fine-tuning")
    total = opq_table(plans, layer_codes(tuned), stream_bytes(tuned))[-1]
    biases = sum(len(node.bias) for node in tuned.nodes if isinstance(node, Conv | Dense))
    dense, sparse = total["float32_bytes"] + 4 * biases, total["stream_bytes"] + biases
    print(
        f"zeros: {total['zeros']:.2%}; weights and biases: {dense:,.0f} bytes in float32, {sparse:,} bytes as streams"
    )
    print(
        f"and biases of 8 bits, {dense / sparse:.1f} times smaller; streams {total['over_floor']:.1%} over the entropy"
    )


if __name__ == "__main__":
    main()
