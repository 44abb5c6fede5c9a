"""A run that proves a design: what the bench is given, and what becomes of a run that differs."""

from pathlib import Path

import pytest

from roundel.golden.errors import MismatchError
from roundel.sim.runner import Design, Result
from roundel.synth.analysis import proof

DESIGN = Design(sources=("module top; endmodule",), top="top")


@pytest.fixture
def asked(monkeypatch):
    """What the bench was run with; its answer is the last item of `asked`."""
    seen = {"result": Result(2)}

    def run(design, bench, *, seed, config, folder):
        stimulus = Path(config["stimulus"])
        seen.update(design=design, bench=bench, config=config, folder=folder, text=stimulus.read_text(), seed=seed)
        return seen["result"]

    monkeypatch.setattr(proof, "run", run)
    return seen


def write(path: Path) -> None:
    path.write_text("beats")


def test_a_run_that_passes(asked):
    with proof.proven(DESIGN, "the unit", bench="bench", config={"lanes": 4}, stimulus=write) as (result, folder):
        assert (result, folder) == (asked["result"], asked["folder"])
        assert folder.is_dir()
    assert not folder.exists()
    assert (asked["design"], asked["bench"], asked["text"], asked["seed"]) == (DESIGN, "bench", "beats", 1)
    assert asked["config"] == {"lanes": 4, "stimulus": str(folder / "stimulus.npz")}


def test_a_run_that_differs(asked):
    asked["result"] = Result(2, ("beat 3: 5, golden 6", "beat 4"))
    with (
        pytest.raises(MismatchError, match=r"^the unit differs from golden: beat 3: 5, golden 6 \(log in .*\)$"),
        proof.proven(DESIGN, "the unit", bench="bench", config={}, stimulus=write),
    ):
        pytest.fail("the block ran")
