"""The committed networks of `examples/training`: that they are what their records and the documentation say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.training import RECORDS, TRAINED, page
from examples.training.scoring import integer_ap50
from examples.training.speed import bound, build, cycles
from roundel.data import DETECTOR
from roundel.detection import read_scenes
from roundel.golden.network import load, load_meta
from roundel.golden.opq import ChannelPattern

NAMES = sorted(path.stem for path in TRAINED.glob("*.npz"))
SHAPES = {"digits": (8, 8, 1), "detector": (96, 96, 1), "wide": (96, 96, 1)}


def record(name: str) -> tuple[str, str, dict[str, Any]]:
    task, _, variant = name.partition("_")
    return task, variant, json.loads(RECORDS.read_text())[task]


def test_there_are_records_and_networks_of_the_same() -> None:
    records = json.loads(RECORDS.read_text())
    expected = [f"{task}_{variant}" for task in records for variant in page.VARIANTS]
    assert sorted(expected) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_bits_patterns_and_cycles_are_those_of_the_record(name: str) -> None:
    task, variant, kept = record(name)
    bits, channels = page.VARIANTS[variant]
    file = TRAINED / f"{name}.npz"
    network, engine = load(file), build(kept["config"])
    for layer in network.weighted:
        assert np.abs(layer.weights).max() <= 1 << bits - 1
        if channels is not None and layer.groups == 1 and layer.window is not None:
            pattern = ChannelPattern(kept=channels, lanes=engine.lanes, columns=engine.columns)
            assert pattern.breaches(layer.weights, layer.window.taps) == 0
    assert file.stat().st_size == kept[variant]["bytes"] < 400_000
    whole = cycles(network, kept["config"], SHAPES[task])[1]
    assert 0.8 * kept[variant]["cycles"] < whole < 1.01 * kept[variant]["cycles"]  # compilers get better, not worse
    assert kept[variant]["speedup"] == pytest.approx(kept["8bit"]["cycles"] / kept[variant]["cycles"], abs=1e-3)
    assert kept[variant]["lost"] == pytest.approx(kept["float"] - kept[variant]["after"], abs=1e-2)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("wide")])
def test_the_wide_detector_finds_what_its_record_says(name: str) -> None:
    """On the first 100 of its 1,000 scenes, where AP50 differs by up to four points."""
    _, variant, kept = record(name)
    scenes = read_scenes(DETECTOR / "heldout.npz", (1, 96, 96)).first(100)
    file = TRAINED / f"{name}.npz"
    assert integer_ap50(load(file), load_meta(file)["results"], scenes) > kept[variant]["after"] - 4


@pytest.mark.parametrize(
    ("layer", "bits", "kept", "expected"),
    [
        ("last8", 8, None, 1), ("last8", 4, None, 2), ("last8", 8, 4, 2), ("last8", 8, 2, 4), ("last8", 4, 4, 4),
        ("merge", 8, 1, 8), ("stem", 8, 2, 1), ("stem", 4, 2, 2), ("last8", 8, 1, 4),
    ],
)  # fmt: skip
def test_the_bound_of_a_layer(layer: str, bits: int, kept: int | None, expected: float) -> None:
    """64 channels are four words, 128 eight, one is less than a word."""
    network = load(TRAINED / "wide_4bit.npz")
    (name,) = (one.name for one in network.weighted if f"/{layer}/" in one.name)
    assert bound(network, {name: 100}, bits, None if kept is None else ChannelPattern(kept=kept)) == expected
    both = {name: 100, "/Resize": 100}
    found = bound(network, both, bits, None if kept is None else ChannelPattern(kept=kept))
    assert found == pytest.approx(2 / (1 + 1 / expected))


def test_the_page_has_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", tmp_path / "training.md")
    page.PAGE.write_text(text, encoding="utf-8")
    page.write(json.loads(RECORDS.read_text()))
    assert page.PAGE.read_text(encoding="utf-8") == text
