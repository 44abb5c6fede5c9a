"""What torch computes in training is golden's integers, all of them, and those of the RTL."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roundel
from roundel.data import DETECTOR, DIGITS
from roundel.golden.errors import MismatchError
from roundel.golden.formats import Format
from roundel.golden.network import (
    DepthToSpace,
    Fill,
    Flatten,
    Layer,
    MaxPool,
    Network,
    Select,
    Upsample,
    Weighted,
    Window,
    load,
    outputs,
    steps,
)
from roundel.graph import Dense, Graph, Pad
from roundel.qat import ChannelPattern, QatOptions, prepare
from roundel.quantization import QuantizeOptions
from tests.support.every_node import every_node, images
from tests.support.outside import need
from tests.support.places import NETWORKS

FILES = ("residual_script", "residual_dynamo", "separable_script", "two_scales_dynamo", "brevitas_shift_qdq")


def moved(model: Any, seed: int) -> None:
    """Weights and steps as training might leave them: some far from where they were."""
    torch = need("torch")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            size = 1.0 if "log_" in name else 0.3 * float(parameter.abs().mean())
            parameter += size * torch.randn(parameter.shape, generator=generator)


def compared(model: Any, inputs: np.ndarray) -> Network:
    """Compare every layer on images; what golden gives is not looked at by the code under test."""
    torch = need("torch")
    network = model.network()
    with torch.no_grad():
        values = model.values(torch.as_tensor(inputs))
    count = 0
    for step in steps(network, network.encode(inputs)):
        real = values[step.layer.name].real.numpy().astype(np.float64)
        real = np.moveaxis(real, 1, -1) if real.ndim == 4 else real
        np.testing.assert_array_equal(real, step.layer.output.decode(step.outputs), step.layer.name)
        count += step.outputs.size
    assert model.check(inputs) == count
    return network


@pytest.mark.parametrize("options", [QuantizeOptions(), QuantizeOptions(weight_bits=3, per_channel=True)])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_of_layer(options: QuantizeOptions, seed: int) -> None:
    need("torch")
    graph = every_node(seed)
    nodes = tuple(replace(node, value=0.0) if isinstance(node, Pad) else node for node in graph.nodes)
    model = prepare(replace(graph, nodes=nodes), images(16, seed), QatOptions(search=options))
    kinds = {type(layer).__name__ for layer in compared(model, images(8, 7)).layers}
    assert kinds >= {"Weighted", "Add", "Concat", "MaxPool", "Upsample", "Interpolate", "Gate", "DepthToSpace"}
    before = [layer.output.fraction for layer in model.network().layers]
    moved(model, seed)
    network = compared(model, images(8, 8))
    assert before != [layer.output.fraction for layer in network.layers]


FORM = Format(width=8, signed=True, fraction=3)
MOVERS = [
    Select(name="y", sources=("x",), output=FORM, channels=(3, 0, 2)),
    Fill(name="y", sources=("x",), output=FORM, value=-7, count=2),
    Flatten(name="y", sources=("x",), output=FORM),
    Upsample(name="y", sources=("x",), output=FORM, factor=3),
    DepthToSpace(name="y", sources=("x",), output=FORM, factor=(2, 1), by_channel=False),
    DepthToSpace(name="y", sources=("x",), output=FORM, factor=(1, 2), by_channel=True),
    MaxPool(name="y", sources=("x",), output=FORM, window=Window(kernel=(2, 3), stride=(2, 1), pad=(0, 2, 1, 0))),
]


@pytest.mark.parametrize("layer", MOVERS, ids=lambda layer: type(layer).__name__)
def test_layers_that_move_values(layer: Layer) -> None:
    torch = need("torch")
    from roundel.qat.layers import MODULES, Value

    integers = np.random.default_rng(1).integers(-128, 128, (2, 5, 6, 4))
    real = torch.tensor(FORM.decode(integers), dtype=torch.float32).permute(0, 3, 1, 2)
    found = MODULES[type(layer)](layer)(Value(real=real, form=FORM)).real.numpy()
    found = np.moveaxis(found, 1, -1) if found.ndim == 4 else found
    np.testing.assert_array_equal(found, FORM.decode(layer.compute(integers).outputs))


@pytest.mark.parametrize("name", FILES)
def test_files_of_exporters(name: str) -> None:
    need("torch")
    graph = roundel.read_onnx(NETWORKS / f"{name}.onnx")
    inputs = np.random.default_rng(1).normal(size=(6, *graph.shape)).astype(np.float32)
    model = prepare(graph, inputs)
    compared(model, inputs)
    moved(model, 3)
    compared(model, inputs)


def test_sums_beyond_single_precision_are_exact() -> None:
    """255 * 127 * 1024 is more than 2^24: the sums of some layers are of 64 bits."""
    torch = need("torch")
    rng = np.random.default_rng(1)
    wide = Graph(
        file="test", source="x", shape=(1024,), results=("y",), shapes={"x": (1024,), "y": (3,)},
        nodes=(
            Dense(
                name="y", inputs=("x",), output="y", weights=rng.choice([1.0, 0.99], (1024, 3)).astype(np.float32),
                bias=np.zeros(3, np.float32),
            ),
        ),
    )  # fmt: skip
    inputs = rng.integers(200, 256, (32, 1024)).astype(np.float32)
    network = compared(prepare(wide, inputs), inputs)
    accumulators = next(iter(steps(network, network.encode(inputs)))).accumulators
    assert accumulators is not None
    assert np.abs(accumulators).max() > 2**24
    assert (accumulators % 2).any()
    assert torch.float32 is not torch.float64


def test_activations_by_tables() -> None:
    """SiLU with a residual behind it, PRelu, HardSwish: tables in the loop, gradients of their slopes."""
    torch = need("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 3)
            self.slopes = nn.PReLU(6, 0.3)

        def forward(self, x: Any) -> Any:
            x = nn.functional.silu(self.a(x))
            x = nn.functional.silu(self.b(x)) + x
            return nn.functional.hardswish(self.c(self.slopes(x - 0.5)))

    torch.manual_seed(1)
    inputs = np.random.default_rng(1).normal(size=(8, 2, 9, 9)).astype(np.float32)
    model = prepare(Net(), inputs)
    network = compared(model, inputs)
    assert sum(isinstance(layer, Weighted) and layer.activation is not None for layer in network.layers) >= 3
    moved(model, 1)
    compared(model, inputs)
    model(torch.tensor(inputs)).square().sum().backward()
    assert all(
        float(one.weight.grad.abs().sum()) > 0
        for one in model.parts
        if hasattr(one, "weight") and one.weight.requires_grad
    )


@pytest.fixture
def digits() -> tuple[Any, np.ndarray]:
    """The digits network at 4 bits with a pattern, as training might leave it, and all held-out digits."""
    need("torch")
    with np.load(DIGITS / "calibration.npz") as stored:
        calibration = stored["images"]
    with np.load(DIGITS / "heldout.npz") as stored:
        held_out = stored["images"]
    options = QatOptions(search=QuantizeOptions(weight_bits=4), pattern=ChannelPattern(kept=4, lanes=8, columns=8))
    model = prepare(DIGITS / "digits.onnx", calibration, options)
    moved(model, 5)
    return model, held_out


def test_the_file_gives_what_torch_does_on_every_image(digits: tuple[Any, np.ndarray], tmp_path: Path) -> None:
    torch = need("torch")
    model, held_out = digits
    model.export(tmp_path / "digits.npz")
    network = load(tmp_path / "digits.npz")
    (name,) = network.output_names
    expected = outputs(network, network.encode(held_out))[name]
    with torch.no_grad():
        scores = model(torch.as_tensor(held_out)).numpy()
    np.testing.assert_array_equal(scores, network.output.decode(expected))
    assert np.unique(expected.argmax(1)).size > 1


def test_the_rtl_gives_what_torch_does(digits: tuple[Any, np.ndarray], tmp_path: Path) -> None:
    torch = need("torch")
    model, held_out = digits
    model.compressed().save(tmp_path / "small")
    run = roundel.run(tmp_path / "small", {"images": held_out[:1]}, on="rtl", engine="tiny")
    assert run.figures["equal"]
    with torch.no_grad():
        scores = model(torch.as_tensor(held_out[:1])).numpy()
    (found,) = run.real.values()
    np.testing.assert_array_equal(found.reshape(scores.shape), scores)


def test_a_difference_is_named(digits: tuple[Any, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    model, held_out = digits
    network = model.network()
    layer = network.layers[1]
    other = replace(layer, bias=layer.bias + np.where(layer.bias > 0, -1, 1))
    wrong = Network(
        source=network.source, input=network.input, results=network.results,
        layers=tuple(other if one is layer else one for one in network.layers),
    )  # fmt: skip
    monkeypatch.setattr(model, "network", lambda: wrong)
    with pytest.raises(MismatchError, match=rf"{layer.name}\[.*\]: torch gives .*, golden"):
        model.check(held_out[:2])


def test_the_detector_of_the_package() -> None:
    """Two scales, a concatenation, depthwise layers, a residual: all four outputs, at 4 bits."""
    need("torch")
    with np.load(DETECTOR / "calibration.npz") as stored:
        calibration = stored["images"]
    with np.load(DETECTOR / "heldout.npz") as stored:
        held_out = stored["images"][:4]
    model = prepare(DETECTOR / "detector.onnx", calibration[:8], QatOptions(search=QuantizeOptions(weight_bits=4)))
    assert list(model.results) == ["cls8", "box8", "cls16", "box16"]
    moved(model, 2)
    network = compared(model, held_out)
    formats = {layer.name: layer.output for layer in network.layers}
    assert isinstance(formats["concat"], Format)
    assert formats["concat"] == formats["upsample"] == formats["expand5"]  # goes on without rounding
