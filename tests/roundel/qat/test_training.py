"""Gradients, masks and refusals of training with integers in the loop."""

import sys
from math import log
from typing import Any

import numpy as np
import pytest

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import run
from roundel.golden.opq import OpqParams, opq
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding, round_shift
from roundel.graph import fold, layer_weights
from roundel.qat import ChannelPattern, QatOptions, layer_masks, prepare
from roundel.quantization import QuantizeOptions
from tests.support.outside import need
from tests.support.places import NETWORKS


def digits(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS / f"{name}.npz") as stored:
        return stored["images"], stored["labels"]


@pytest.mark.parametrize("rounding", Rounding)
def test_rounding_is_goldens(rounding: Rounding) -> None:
    """All sums of 11 bits by all shifts, ties and both signs among them."""
    torch = need("torch")
    from roundel.qat.rounding import quantized

    sums = np.arange(-1024, 1024)
    for shift in range(12):
        real = torch.tensor(sums * 2.0**-5, dtype=torch.float32)
        found = quantized(real, 5 - shift, (-100, 90), rounding).numpy() * 2.0 ** (5 - shift)
        np.testing.assert_array_equal(found, np.clip(round_shift(sums, shift, rounding), -100, 90))


def test_gradients_are_those_of_the_literature() -> None:
    """Straight through inside, none where it is clamped; of the step as TQT has it, value by value."""
    torch = need("torch")
    from roundel.qat.rounding import quantized

    values = [-9.0, -3.3, -0.26, 0.0, 0.6, 1.49, 2.0, 3.7, 5.0]
    weights = torch.tensor([1.0, -2.0, 3.0, 1.0, 5.0, -1.0, 2.0, 1.0, 0.5])
    x = torch.tensor(values, requires_grad=True)
    step = torch.tensor(-1.0, requires_grad=True)
    (quantized(x, 1, (-4, 7), log_step=step) * weights).sum().backward()
    total, expected = 0.0, []
    for value, weight in zip(values, weights.tolist(), strict=True):
        units = value * 2
        rounded = float(np.rint(units))
        inside = -4 <= rounded <= 7
        expected.append(weight if inside else 0.0)
        total += weight * (rounded - units if inside else float(np.clip(rounded, -4, 7))) * 0.5 * log(2)
    assert x.grad is not None
    assert step.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected)
    np.testing.assert_allclose(float(step.grad), total / np.sqrt(len(values) * 7), rtol=1e-5)


def test_a_table_has_the_slope_of_its_neighbours() -> None:
    torch = need("torch")
    from roundel.qat.rounding import looked_up

    table = torch.tensor([[0.0, 1.0], [4.0, 1.0], [6.0, 3.0]])
    places = torch.tensor([[0.0, 1.0], [1.0, 2.0]], requires_grad=True)
    found = looked_up(places, table)
    found.sum().backward()
    np.testing.assert_array_equal(found.detach().numpy(), [[0, 1], [4, 3]])
    assert places.grad is not None
    np.testing.assert_array_equal(places.grad.numpy(), [[2, 1], [3, 1]])


def fitted(model: Any, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """As anybody trains."""
    torch = need("torch")
    torch.manual_seed(1)
    x, y = torch.as_tensor(images), torch.as_tensor(labels, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(32):
            loss = torch.nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def test_training_restores_what_three_bits_and_a_pattern_take() -> None:
    """The 128 calibration images are enough for that; held-out ones tell."""
    need("torch")
    pattern = ChannelPattern(kept=4, lanes=8, columns=8)
    options = QatOptions(search=QuantizeOptions(weight_bits=3), pattern=pattern)
    images, labels = digits("calibration")
    held_out, expected = digits("heldout")
    model = prepare(DIGITS / "digits.onnx", images, options)
    masks = {layer.name: layer.weights != 0 for layer in model.network().weighted}

    def right() -> float:
        network = model.network()
        return float((run(network, network.encode(held_out)).argmax(1) == expected).mean())

    before = right()
    fitted(model, images, labels, 10)
    network = model.network()
    assert right() > before + 0.02
    assert model.check(held_out) > 0
    formats = [(layer.w.fraction, layer.output.fraction) for layer in network.weighted]
    assert len(formats) == len(masks)
    for layer in network.weighted:
        assert np.abs(layer.weights).max() <= 4
        if layer.window is not None:
            assert pattern.breaches(layer.weights, layer.window.taps) == 0
            if pattern.suits(len(layer.weights) // layer.window.taps):
                assert (layer.weights == 0).mean() >= 0.5


def test_masks_of_opq_stay() -> None:
    need("torch")
    images, labels = digits("calibration")
    plans = opq(layer_weights(fold(read_onnx(DIGITS / "digits.onnx"))), OpqParams(sparsity=0.8))
    model = prepare(DIGITS / "digits.onnx", images, QatOptions(masks=layer_masks(plans)))
    fitted(model, images, labels, 1)
    for layer in model.network().weighted:
        mask = plans[layer.name].mask
        if mask.ndim == 4:
            assert not layer.weights[~mask.transpose(2, 3, 1, 0).reshape(layer.weights.shape)].any()
        assert (layer.weights == 0).sum() >= (~mask).sum()


def test_formats_can_stay() -> None:
    need("torch")
    images, labels = digits("calibration")
    model = prepare(DIGITS / "digits.onnx", images, QatOptions(learn_formats=False))
    before = [(layer.w, layer.b, layer.output) for layer in model.network().weighted]
    weights = [layer.weights for layer in model.network().weighted]
    fitted(model, images, labels, 2)
    after = model.network().weighted
    assert [(layer.w, layer.b, layer.output) for layer in after] == before
    assert any((layer.weights != old).any() for layer, old in zip(after, weights, strict=True))


def refused(match: str, model: Any, images: np.ndarray, options: QatOptions | None = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        prepare(model, images, options)
    assert "\n" not in str(caught.value)


def test_what_is_not_understood_is_named_before_training() -> None:
    torch = need("torch")
    images, _ = digits("calibration")

    class Odd(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 4, 3)

        def forward(self, x: Any) -> Any:
            return torch.cumsum(self.conv(x), dim=1)

    refused("CumSum", Odd(), images)
    refused("cannot be exported", torch.nn.Bilinear(2, 3, 4), images)
    scaled = np.zeros((2, *read_onnx(NETWORKS / "separable_qdq.onnx").shape), np.float32)
    refused("scale: expected a power of two", NETWORKS / "separable_qdq.onnx", scaled)


def test_options_that_do_not_fit() -> None:
    need("torch")
    images, _ = digits("calibration")
    model, mask = DIGITS / "digits.onnx", np.ones((3, 3), bool)
    refused("masks: no layer 'nobody', expected one of conv1", model, images, QatOptions(masks={"nobody": mask}))
    refused("patterns: no layer 'nobody'", model, images, QatOptions(patterns={"nobody": None}))
    refused(r"masks: conv1 has weights \(16, 1, 3, 3\), not \(3, 3\)", model, images, QatOptions(masks={"conv1": mask}))
    with pytest.raises(TypeError, match=r"masks\['a'\] must be an array of booleans"):
        QatOptions(masks={"a": np.ones(3)})
    with pytest.raises(ValueError, match="requant must be shift to be trained, not fixed16"):
        QatOptions(search=QuantizeOptions(requant=Scheme.FIXED16))


def test_without_torch_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = digits("calibration")
    for name in [name for name in sys.modules if name.startswith("roundel.qat.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(
        r"training needs torch, which is not installed: pip install 'roundel\[train\]'", DIGITS / "digits.onnx", images
    )


@pytest.mark.parametrize("pad", [(1, 1, 1, 1), (0, 1, 2, 0)])
def test_half_gradients_leave_what_goes_forward(pad: tuple[int, int, int, int]) -> None:
    """Sums are exact, of integers of 8 bits; gradients are near those of binary32."""
    torch = need("torch")
    from roundel.golden.network import Window
    from roundel.qat.convolution import convolved

    rng = np.random.default_rng(1)
    x, weights = rng.integers(-128, 128, (2, 6, 7, 9)), rng.integers(-128, 128, (4, 3, 3, 2))
    top, left, bottom, right = pad
    around = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, columns = (around.shape[2] - 3) // 2 + 1, around.shape[3] - 1
    expected = np.zeros((2, 4, rows, columns), np.int64)
    for row in range(rows):
        for column in range(columns):
            part = around[:, :, 2 * row : 2 * row + 3, column : column + 2]
            for group in range(2):
                ours = slice(2 * group, 2 * group + 2)
                seen = part[:, 3 * group : 3 * group + 3]
                expected[:, ours, row, column] = np.einsum("bcij,ocij->bo", seen, weights[ours])
    window = Window(kernel=(3, 2), stride=(2, 1), pad=pad)
    wanted = torch.tensor(rng.normal(size=expected.shape), dtype=torch.float32)
    gradients = []
    for half in (False, True):
        inputs = [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in (x, weights, np.arange(4))]
        sums = convolved(*inputs, window, 2, half=half)
        np.testing.assert_array_equal(sums.detach().numpy(), expected + np.arange(4)[:, None, None])
        sums.backward(wanted)
        gradients.append([part.grad for part in inputs])
    for ours, single in zip(*gradients, strict=True):
        assert float((ours - single).norm() / single.norm()) < 0.01
    assert float((gradients[0][1] - gradients[1][1]).abs().max()) > 0  # they were computed in another way
