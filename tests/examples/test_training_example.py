"""The networks of `examples/training`: that their scripts run, and that a pattern in a float network stays."""

import json
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


def test_the_command_trains_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps on a few scenes: enough to see that it works, and that what it writes loads."""
    need("torch")
    need("sklearn")
    from examples.training import __main__ as command
    from examples.training import tasks

    stage = tasks.Stage(steps=2, rate=1e-3, seed=1, batch=4, count=8)
    few = tasks.WideDetection(
        folder=tmp_path,
        scenes=4,
        count=16,
        steps=tasks.steps_of(4),
        stages=(stage,),
        masked_stages={4: stage, 2: stage},
    )
    monkeypatch.setattr(command, "tasks", lambda folder: {"wide": few})
    monkeypatch.setattr(command, "TRAINED", tmp_path / "networks")
    monkeypatch.setattr(command, "RECORDS", tmp_path / "records.json")
    monkeypatch.setattr("sys.argv", ["training", "--variant", "4bit_4of8", "--variant", "2of8"])
    command.main()
    records = json.loads((tmp_path / "records.json").read_text())["wide"]
    assert records["4bit_4of8"]["equal"] > 100_000
    for name, kept in (("4bit_4of8", 4), ("2of8", 2)):
        assert 1 - kept / 8 - 0.05 < records[name]["zeros"] < 1
        assert 0.9 < records[name]["speedup"] / records[name]["bound"] < 1.1
    network = load(tmp_path / "networks" / "wide_4bit_4of8.npz")
    assert all(layer.w.width == 4 for layer in network.weighted)
    for layer in network.weighted:
        assert layer.window is not None
        assert ChannelPattern(kept=4).breaches(layer.weights, layer.window.taps) == 0
