"""Fine-tuning with frozen masks and steps. What trains needs torch; the network that was trained once does not."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roundel.compression import FinetuneOptions
from roundel.compression.finetuning import Tuned, finetune
from roundel.frontend import export_onnx, read_onnx
from roundel.golden.errors import InputError
from roundel.golden.opq import LayerPlan, OpqParams, opq
from roundel.graph import Conv, Dense, Graph, Pad, codes_of, graph, layer_weights
from tests.support.every_node import every_node, images, shaped
from tests.support.outside import need
from tests.support.told import Told

PARAMS = OpqParams(sparsity=0.5, bits=3, max_width=3, power_of_two=True)
SHORT = FinetuneOptions(epochs=8, learning_rate=0.02, batch=32)
CLASSES = 4


def teacher(seed: int) -> Graph:
    """A small classifier with random weights; images and classes are what it makes of noise."""
    rng = np.random.default_rng(seed)

    def real(*shape: int) -> np.ndarray:
        return rng.laplace(size=shape).astype(np.float32)

    nodes = (
        graph.Dense(name="in", inputs=("image",), output="a", weights=real(12, 24), bias=real(24)),
        graph.Relu(name="relu", inputs=("a",), output="b"),
        graph.Dense(name="out", inputs=("b",), output="y", weights=real(24, CLASSES), bias=real(CLASSES)),
    )
    return shaped(nodes, (12,), ("y",))


def task(seed: int) -> tuple[Graph, dict[str, LayerPlan], np.ndarray, np.ndarray]:
    """Network, plans, images and labels."""
    network = teacher(seed)
    x = images(512, seed, (12,))
    return network, opq(layer_weights(network), PARAMS), x, network.run(x).argmax(axis=1)


def planned(network: Graph, plans: Mapping[str, LayerPlan]) -> Graph:
    """The network as pruning and quantization leave it, before any training."""
    nodes = [
        replace(node, weights=plans[node.name].values.astype(np.float32)) if isinstance(node, Conv | Dense) else node
        for node in network.nodes
    ]
    return replace(network, nodes=tuple(nodes))


def right(network: Graph, x: np.ndarray, labels: np.ndarray) -> float:
    """Part of the images that the network gets right."""
    return float((network.run(x).argmax(axis=1) == labels).mean())


def weighted(network: Graph) -> list[Conv | Dense]:
    """The nodes with weights, in order."""
    return [node for node in network.nodes if isinstance(node, Conv | Dense)]


# ---- training


def test_torch_computes_what_numpy_does(seed: int) -> None:
    torch = need("torch")
    from roundel.compression.torch_graph import run

    network, x = every_node(seed), images(3, seed)
    weights = {node.name: torch.tensor(node.weights) for node in weighted(network)}
    biases = {node.name: torch.tensor(node.bias) for node in weighted(network)}
    tensors, expected = run(network, torch.tensor(x), weights, biases), network.values(x)
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_gradient_passes_straight_through_and_is_masked(seed: int) -> None:
    torch = need("torch")
    from roundel.compression.torch_training import FrozenLevels

    weights = np.random.default_rng(seed).laplace(size=(20, 30)).astype(np.float32)
    plan = opq({"w": weights}, PARAMS)["w"]
    layer = FrozenLevels(weights, plan)
    upstream = torch.tensor(images(1, seed, (20, 30))[0])
    quantized = layer()
    (quantized * upstream).sum().backward()
    assert np.array_equal(quantized.detach().numpy(), plan.values)
    assert np.array_equal(layer.latent.grad.numpy(), np.where(plan.mask, upstream.numpy(), 0))


def test_the_gradient_of_a_quantizer_stops_where_it_clamps() -> None:
    torch = need("torch")
    from roundel.compression.torch_graph import run

    node = graph.Quantize(name="q", inputs=("image",), output="y", scale=0.5, zero_point=1, low=-2, high=5)
    x = torch.tensor([[-2.0, -1.6, -1.4, 0.1, 1.9, 2.3]], requires_grad=True)  # the integers mean -1.5 to 2
    y = run(shaped((node,), (6,), ("y",)), x, {}, {})["y"]
    y.sum().backward()
    assert y.tolist() == [[-1.5, -1.5, -1.5, 0.0, 2.0, 2.0]]
    assert x.grad.tolist() == [[0, 0, 1, 1, 1, 0]]


def test_masks_and_steps_stay_and_accuracy_comes_back(seed: int) -> None:
    need("torch")
    network, plans, x, labels = task(seed)
    told = Told()
    tuned = finetune(network, plans, x, labels, SHORT, progress=told)
    for node, before in zip(weighted(tuned.graph), weighted(network), strict=True):
        plan = plans[node.name]
        assert plan.levels is not None
        assert (node.step, node.code_width) == (plan.levels.step, 3)
        codes = codes_of(node)
        assert np.array_equal(node.weights, codes * node.step)
        assert np.abs(codes).max() <= 3
        assert not codes[~plan.mask].any()
        assert not np.array_equal(codes, plan.levels.codes)
        assert not np.array_equal(node.bias, before.bias)
    broken = right(planned(network, plans), x, labels)
    assert right(tuned.graph, x, labels) > broken + (1 - broken) / 3
    assert tuned.losses[-1] < tuned.losses[0]
    assert [(total, len(names)) for _, total, names in told.parts] == [(8, 8)]


def test_the_seed_decides(seed: int) -> None:
    need("torch")
    network, plans, x, labels = task(seed)

    def biases(which: int) -> list[float]:
        options = replace(SHORT, epochs=2, seed=which)
        return np.concatenate([node.bias for node in weighted(finetune(network, plans, x, labels, options).graph)])

    assert np.array_equal(biases(3), biases(3))
    assert not np.array_equal(biases(3), biases(4))


def test_loss_is_what_the_formula_says(seed: int) -> None:
    """One step whose rate is next to nothing, on all images at once: the loss of the planned network."""
    need("torch")
    network, plans, x, labels = task(seed)
    labels = (labels + 1) % CLASSES  # unlike the teacher
    options = FinetuneOptions(epochs=1, learning_rate=1e-9, batch=len(x), distill=0.25, temperature=3.0)

    def log_softmax(scores: np.ndarray) -> np.ndarray:
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    scores, target = (version.run(x).astype(np.float64) for version in (planned(network, plans), network))
    hard = -log_softmax(scores)[np.arange(len(x)), labels].mean()
    p, q = log_softmax(target / 3), log_softmax(scores / 3)
    soft = (np.exp(p) * (p - q)).sum(axis=1).mean()
    (loss,) = finetune(network, plans, x, labels, options).losses
    assert np.isclose(loss, 0.75 * hard + 0.25 * 9 * soft, rtol=1e-5)
    (plain,) = finetune(network, plans, x, labels, replace(options, distill=0.0)).losses
    assert np.isclose(plain, hard, rtol=1e-5)


def test_without_labels_the_float_network_is_the_goal(seed: int) -> None:
    """A network of two results, one of them a map, as a detector has."""
    need("torch")
    network = replace(every_node(seed), results=("l", "p"))
    left_out = {"b": "a", "n1": "m"}  # an Affine alone cannot fold; at this rate a product of two tensors overshoots
    nodes = tuple(node for node in network.nodes if node.output not in left_out)
    nodes = tuple(replace(node, inputs=tuple(left_out.get(name, name) for name in node.inputs)) for node in nodes)
    nodes = tuple(replace(node, value=0.0) if isinstance(node, Pad) else node for node in nodes)
    network = shaped(nodes, network.shape, network.results)
    x, plans = images(128, seed), opq(layer_weights(network), PARAMS)
    tuned = finetune(network, plans, x, None, SHORT)

    def error(of: Graph) -> float:
        expected, results = network.outputs(x), of.outputs(x)
        return float(sum(((results[n] - expected[n]) ** 2).mean() / (expected[n] ** 2).mean() for n in expected)) / 2

    assert error(tuned.graph) < 0.8 * error(planned(network, plans))
    assert np.isclose(tuned.losses[-1], error(tuned.graph), rtol=0.2)


def test_a_plan_without_levels_fixes_the_mask_alone(seed: int) -> None:
    need("torch")
    network, _, x, labels = task(seed)
    plans = opq(layer_weights(network), OpqParams(sparsity=0.5))
    del plans["out"]
    first, last = weighted(finetune(network, plans, x, labels, replace(SHORT, epochs=1)).graph)
    assert np.array_equal(first.weights != 0, plans["in"].mask)
    assert first.step is None
    assert np.count_nonzero(last.weights) == last.weights.size
    assert not np.array_equal(last.weights, weighted(network)[1].weights)


def test_augmentation_sees_every_batch(seed: int) -> None:
    torch = need("torch")
    network, plans, x, labels = task(seed)
    seen = []

    def augment(batch: Any, generator: Any) -> Any:
        assert isinstance(generator, torch.Generator)
        seen.append(batch.numpy().copy())
        return batch

    options = replace(SHORT, epochs=1, batch=200)
    finetune(network, plans, x, labels, options, augment=augment)
    assert [len(batch) for batch in seen] == [200, 200, 112]
    assert np.array_equal(np.sort(np.concatenate(seen), axis=0), np.sort(x, axis=0))


def test_weight_decay_makes_codes_smaller(seed: int) -> None:
    need("torch")
    network, plans, x, labels = task(seed)

    def total(tuned: Tuned) -> int:
        return sum(int(np.abs(codes_of(node)).sum()) for node in weighted(tuned.graph))

    free, decayed = (finetune(network, plans, x, labels, replace(SHORT, weight_decay=d)) for d in (0.0, 1.0))
    assert total(decayed) < total(free)


def test_any_step_goes_through_onnx(seed: int, tmp_path: Path) -> None:
    need("torch")
    network, _, x, labels = task(seed)
    plans = opq(layer_weights(network), replace(PARAMS, power_of_two=False))
    tuned = finetune(network, plans, x, labels, replace(SHORT, epochs=1)).graph
    export_onnx(tuned, tmp_path / "tuned.onnx")
    again = read_onnx(tmp_path / "tuned.onnx")
    np.testing.assert_allclose(again.run(x), tuned.run(x), rtol=1e-5, atol=1e-5)
    for node, kept in zip(weighted(tuned), weighted(again), strict=True):
        assert kept.step == np.float32(plans[node.name].levels.step)  # type: ignore[union-attr]
        assert np.array_equal(codes_of(node), codes_of(kept))


# ---- what is refused


def test_divergence_is_said(seed: int) -> None:
    need("torch")
    network, plans, x, labels = task(seed)
    with pytest.raises(InputError, match=r"^fine-tuning diverged: expected a learning_rate below 1\.0$"):
        finetune(network, plans, x * np.float32(1e37), labels, replace(SHORT, learning_rate=1.0))


def test_without_torch_one_line_says_so(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("roundel.compression.torch_training", "roundel.compression.torch_graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(InputError) as caught:
        finetune(*task(seed))
    assert str(caught.value) == "fine-tuning needs torch, which is not installed: pip install 'roundel[train]'"


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be 1 to 2147483647, not 0"),
        ({"batch": 1.5}, TypeError, "batch must be an integer, not 1.5"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be above 0 to 1, not 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be above 0 to 1, not nan"),
        ({"temperature": -1}, ValueError, "temperature must be above 0 to 1000, not -1"),
        ({"distill": 1.1}, ValueError, "distill must be 0 to 1, not 1.1"),
        ({"distill": True}, TypeError, "distill must be a number, not True"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be 0 to 1, not -0.1"),
        ({"seed": -1}, ValueError, "seed must be 0 to 2147483647, not -1"),
    ],
)
def test_bad_options(about: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        FinetuneOptions(**about)
    assert str(caught.value) == message


def test_bad_images_and_labels(seed: int) -> None:
    network, plans, x, labels = task(seed)
    cases: list[tuple[Any, Any, str]] = [
        (x[:, :5], labels, "training images: expected finite numbers of shape (count, 12), not (512, 5)"),
        (np.full_like(x, np.inf), labels, "training images: expected finite numbers of shape"),
        (x, labels[:9], "training labels: expected 512 integers, not int64 of (9,)"),
        (x, labels.astype(float), "training labels: expected 512 integers, not float64 of (512,)"),
        (x, labels + 1, "training labels: expected 0 to 3, not 1 to 4"),
    ]
    for pictures, classes, message in cases:
        with pytest.raises(InputError) as caught:
            finetune(network, plans, pictures, classes)
        assert str(caught.value).startswith(message)
    x, maps = images(4, seed), replace(every_node(seed), results=("l",))
    nodes = tuple(node for node in maps.nodes if node.output == "q")
    with pytest.raises(InputError, match="expected a network of one score a class, not results of shape"):
        finetune(shaped(nodes, maps.shape, ("q",)), {}, x, np.zeros(4, int))


def test_plans_of_another_network(seed: int) -> None:
    network, plans, x, labels = task(seed)
    with pytest.raises(ValueError, match=r"^other: a plan for a layer that the network does not have; it has in, out$"):
        finetune(network, {"other": plans["in"]}, x, labels)
    with pytest.raises(ValueError, match=r"^out: a plan for weights \(12, 24\), not \(24, 4\)$"):
        finetune(network, {"out": plans["in"]}, x, labels)
