"""Fine-tuning with frozen masks and steps: surviving weights stay `k * step`, and k and the biases are trained.

[P] masks and steps are fixed before fine-tuning. [R] how: the network runs with `W~ = Q(W * M)`, the gradient passes
straight through Q and is masked by M; distillation from the float network. docs/finetuning.md describes it.

Needs torch (`pip install roundel[train]`), which is imported only when a network is trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compression.finetune_options import Augment, FinetuneOptions
from roundel.golden.errors import InputError
from roundel.golden.opq import LayerPlan
from roundel.graph import Conv, Dense, Graph, Node, fold
from roundel.ui import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """A fine-tuned network.

    Parameters
    ----------
    graph
        Folded; the layers that have a plan hold `k * step`, and say so in `step` and `code_width`.
    losses
        Mean loss of each epoch.
    """

    graph: Graph
    losses: tuple[float, ...]


def finetune(
    graph: Graph,
    plans: Mapping[str, LayerPlan],
    images: NDArray[Any],
    labels: NDArray[Any] | None = None,
    params: FinetuneOptions | None = None,
    *,
    augment: Augment | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Train what one-shot pruning and quantization left free. The same seed gives the same network on one machine.

    Parameters
    ----------
    graph
        The float network, which is also the one to distil from.
    plans
        Plans of `roundel.golden.opq.plan.opq`, by layer, made from the weights of `fold(graph)`. Layers without a plan
        stay real and are trained too; a plan without levels fixes the mask alone.
    images
        Training images (count, *graph.shape).
    labels
        (count,) classes; None trains by distillation alone, which suits results that are no scores of classes.
    params
        How to train.
    augment
        Called with a batch of images and a `torch.Generator`; returns the batch to train on.
    progress
        Told of every epoch.

    Raises
    ------
    InputError
        torch is not installed, images or labels do not fit the network, or training diverged.
    ValueError
        A plan for a layer that the network does not have, or of another shape.
    """
    params = params or FinetuneOptions()
    graph = fold(graph)
    _check_plans(graph, plans)
    _check_images(graph, images, labels)
    if labels is None:
        params = replace(params, distill=1.0)
    try:
        from roundel.compression.torch_training import train
    except ImportError as error:
        raise InputError("fine-tuning needs torch, which is not installed: pip install 'roundel[train]'") from error
    weights, biases, losses = train(graph, plans, images, labels, params, augment, progress)
    nodes = tuple(_tuned(node, weights, biases, plans) for node in graph.nodes)
    return Tuned(graph=replace(graph, nodes=nodes), losses=losses)


def _tuned(
    node: Node, weights: dict[str, NDArray[Any]], biases: dict[str, NDArray[Any]], plans: Mapping[str, LayerPlan]
) -> Node:
    """Return the node with what was trained."""
    if not isinstance(node, Conv | Dense):
        return node
    plan = plans.get(node.name)
    levels = plan.levels if plan else None
    step = None if levels is None else np.asarray(levels.step, dtype=np.float32)
    width = None if levels is None else levels.width
    return replace(node, weights=weights[node.name], bias=biases[node.name], step=step, code_width=width)


def _check_plans(graph: Graph, plans: Mapping[str, LayerPlan]) -> None:
    shapes = {node.name: node.weights.shape for node in graph.nodes if isinstance(node, Conv | Dense)}
    for name, plan in plans.items():
        if name not in shapes:
            raise ValueError(f"{name}: a plan for a layer that the network does not have; it has {', '.join(shapes)}")
        if plan.mask.shape != shapes[name]:
            raise ValueError(f"{name}: a plan for weights {plan.mask.shape}, not {shapes[name]}")


def _check_images(graph: Graph, images: NDArray[Any], labels: NDArray[Any] | None) -> None:
    if images.shape[1:] != graph.shape or not len(images) or not np.isfinite(images).all():
        expected = f"finite numbers of shape (count, {', '.join(map(str, graph.shape))})"
        raise InputError(f"training images: expected {expected}, not {images.shape}")
    if labels is None:
        return
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
        raise InputError(f"training labels: expected {len(images)} integers, not {labels.dtype} of {labels.shape}")
    scores = graph.shapes[graph.result]
    if len(scores) != 1:
        raise InputError(f"training labels: expected a network of one score a class, not results of shape {scores}")
    if int(labels.min()) < 0 or int(labels.max()) >= scores[0]:
        raise InputError(f"training labels: expected 0 to {scores[0] - 1}, not {labels.min()} to {labels.max()}")
