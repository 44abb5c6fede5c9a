"""The networks of `examples/training`: that their scripts run, and that a pattern in a float network stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roundel.golden.network import load
from roundel.qat import ChannelPattern, QatOptions, mask_channels, prepare
from tests.support.outside import need

OUTPUTS = ("cls8", "box8", "cls16", "box16")


def scene(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 96, 96)).astype(np.float32)


@pytest.fixture
def wide() -> Any:
    """The detector of 64 channels, untrained, with statistics other than 0 and 1."""
    torch = need("torch")
    from examples.training.wide import Wide

    torch.manual_seed(1)
    network = Wide()
    for seed in range(3):
        network(torch.as_tensor(scene(seed, 2)))
    return network.eval()


def test_a_pattern_in_the_float_network_is_found_and_kept(wide: Any) -> None:
    torch = need("torch")
    pattern = ChannelPattern(kept=2)
    names = mask_channels(wide, pattern)
    assert "stem.0" not in names
    assert len(names) == 11
    optimizer = torch.optim.SGD(wide.parameters(), 0.1)
    sum(one.square().mean() for one in wide.train()(torch.as_tensor(scene(5, 2)))).backward()
    optimizer.step()
    wide.eval()
    modules = dict(wide.named_modules())
    expected = {name: int((modules[name].weight != 0).sum()) for name in names}
    model = prepare(wide, scene(6, 4), QatOptions(pattern=pattern), outputs=OUTPUTS)
    assert tuple(model.results) == OUTPUTS
    masked = [part for part in model.parts if getattr(part, "mask", None) is not None]
    assert {part.layer.name.split("/")[-2]: int(part.mask.sum()) for part in masked} == expected
    assert model.check(scene(7, 1)) > 100_000


def test_the_command_trains_and_writes(wide: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps on a few scenes: enough to see that it works, and that what it writes loads."""
    torch = need("torch")
    need("sklearn")
    from examples.training import __main__ as command
    from examples.training import tasks

    torch.save(wide.state_dict(), tmp_path / "wide.pt")
    few = tasks.WideDetection(folder=tmp_path, scenes=4, count=16, steps=2)
    figures = command.trained(few, "4bit_4of8", tmp_path / "made.npz")
    assert figures["equal"] > 0
    assert 0.4 < figures["zeros"] < 0.9
    network = load(tmp_path / "made.npz")
    assert all(layer.w.width == 4 for layer in network.weighted)
    for layer in network.weighted:
        assert layer.window is not None
        assert ChannelPattern(kept=4).breaches(layer.weights, layer.window.taps) == 0
