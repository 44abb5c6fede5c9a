"""The training loop of fine-tuning. Needs torch, which nothing else imports but `torch_graph` beside it."""

from collections.abc import Mapping
from math import cos, isfinite, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from roundel.compression.finetune_options import Augment, FinetuneOptions
from roundel.compression.torch_graph import run, supports
from roundel.golden.errors import InputError
from roundel.golden.opq import LayerPlan
from roundel.graph import Conv, Dense, Graph
from roundel.ui import Progress

WARM_UP = 0.1  # of all steps

Arrays = dict[str, NDArray[Any]]


class FrozenLevels:
    """The weights of one layer, of which only the integers may change.

    Parameters
    ----------
    weights
        Real weights: the start of training.
    plan
        Its mask, step and greatest code; None leaves the layer real.
    """

    def __init__(self, weights: NDArray[Any], plan: LayerPlan | None):
        self.mask = torch.tensor(np.ones_like(weights) if plan is None else plan.mask, dtype=torch.float32)
        self.levels = plan.levels if plan else None
        self.latent = (torch.tensor(weights, dtype=torch.float32) * self.mask).requires_grad_()

    def __call__(self) -> Tensor:
        """`Q(W * M)`: exactly `k * step`, while the gradient is that of `W * M`."""
        masked = self.latent * self.mask
        if self.levels is None:
            return masked
        limit = 2 ** (self.levels.width - 1) - 1
        quantized = (masked / self.levels.step).round().clamp(-limit, limit) * self.levels.step
        return masked - masked.detach() + quantized.detach()  # 0 with a gradient, plus the value without one


def train(
    graph: Graph,
    plans: Mapping[str, LayerPlan],
    images: NDArray[Any],
    labels: NDArray[Any] | None,
    params: FinetuneOptions,
    augment: Augment | None,
    progress: Progress,
) -> tuple[Arrays, Arrays, tuple[float, ...]]:
    """Train what OPQ left free; parameters as `roundel.compression.finetuning.finetune`.

    Returns
    -------
    tuple
        Weights and biases of each layer, by name, and the mean loss of each epoch.

    Raises
    ------
    InputError
        An operator that cannot be fine-tuned, or a loss that is not finite.
    """
    for node in graph.nodes:
        if not supports(node):
            raise InputError(f"{graph.file}: node {node.name}: {type(node).__name__} cannot be fine-tuned")
    layers = [node for node in graph.nodes if isinstance(node, Conv | Dense)]
    levels = {node.name: FrozenLevels(node.weights, plans.get(node.name)) for node in layers}
    biases = {node.name: torch.tensor(node.bias, dtype=torch.float32, requires_grad=True) for node in layers}
    loss_of = _Loss(graph, params)
    x = torch.tensor(images, dtype=torch.float32)
    y = None if labels is None else torch.tensor(labels, dtype=torch.long)

    latents = [layer.latent for layer in levels.values()]
    groups = [
        {"params": latents, "weight_decay": params.weight_decay},
        {"params": list(biases.values()), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, params.learning_rate)
    steps = params.epochs * -(-len(x) // params.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    generator = torch.Generator().manual_seed(params.seed)
    losses: list[float] = []
    with progress("fine-tuning", params.epochs) as step:
        for _ in range(params.epochs):
            total = 0.0
            for index in torch.randperm(len(x), generator=generator).split(params.batch):
                batch = x[index] if augment is None else augment(x[index], generator)
                weights = {name: layer() for name, layer in levels.items()}
                loss = loss_of(batch, run(graph, batch, weights, biases), None if y is None else y[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(index)
            losses.append(total / len(x))
            if not isfinite(losses[-1]):
                raise InputError(f"fine-tuning diverged: expected a learning_rate below {params.learning_rate}")
            step(f"loss {losses[-1]:.4f}")
    trained = {name: layer().detach().numpy() for name, layer in levels.items()}
    return trained, {name: bias.detach().numpy() for name, bias in biases.items()}, tuple(losses)


class _Loss:
    """`(1 - distill)` times cross entropy with the labels plus `distill` times the distance to the float network.

    The distance of scores (batch, classes) is `T^2 KL(softmax(float / T) || softmax(tuned / T))` where there are
    labels; otherwise, of every result, the mean squared difference relative to the float network's mean square.
    """

    def __init__(self, graph: Graph, params: FinetuneOptions):
        self.graph, self.params = graph, params
        layers = [node for node in graph.nodes if isinstance(node, Conv | Dense)]
        self.weights = {node.name: torch.tensor(node.weights) for node in layers}
        self.biases = {node.name: torch.tensor(node.bias) for node in layers}

    def __call__(self, images: Tensor, results: dict[str, Tensor], labels: Tensor | None) -> Tensor:
        share, t = self.params.distill, self.params.temperature
        if not share and labels is not None:
            return functional.cross_entropy(results[self.graph.result], labels)
        with torch.no_grad():
            expected = run(self.graph, images, self.weights, self.biases)
        if labels is None:
            errors = [(results[name] - expected[name]).square().mean() for name in self.graph.results]
            powers = [expected[name].square().mean() + 1e-12 for name in self.graph.results]
            return torch.stack([error / power for error, power in zip(errors, powers, strict=True)]).mean()
        scores, target = results[self.graph.result], expected[self.graph.result]
        soft = functional.kl_div(
            (scores / t).log_softmax(1), (target / t).log_softmax(1), reduction="batchmean", log_target=True
        )
        return (1 - share) * functional.cross_entropy(scores, labels) + share * t**2 * soft


def _rate(part: float) -> float:
    """Learning rate, of its greatest, when this part of all steps is done."""
    return (part + 1e-3) / WARM_UP if part < WARM_UP else (1 + cos(pi * (part - WARM_UP) / (1 - WARM_UP))) / 2
