"""The notebook `examples/tour.ipynb`: it runs, and its outputs are those that stand in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import EXAMPLES, ROOT

TOUR = EXAMPLES / "tour.ipynb"
TIMEOUT = 900  # seconds of a cell: the first run on a machine compiles the simulator


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> list[str]:
    """What a cell prints and its tables, as text; of a picture only that there is one."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data", {"text/markdown": output.get("text", "")})
        text = "picture" if "image/png" in data else "".join(data["text/markdown"])
        texts.append(text)
    return texts


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return json.loads(TOUR.read_text())


def test_the_tour_runs_and_shows_what_it_did(committed, monkeypatch):
    from nbmake.nb_run import NotebookRun  # of the `dev` extra

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel imports this checkout
    result = NotebookRun(TOUR, default_timeout=TIMEOUT).execute()
    assert result.error is None, result.error.trace
    again = code_cells(result.nb)
    expected = [shown(cell) for cell in code_cells(committed)]
    assert [shown(cell) for cell in again] == expected
    assert sum(map(len, expected)) >= len(expected) - 1  # all cells but the imports show something


def test_the_tour_names_no_machine(committed):
    """No absolute path, no time of execution, and of the kernel only its name."""
    text = TOUR.read_text()
    for trace in (str(ROOT), str(Path.home()), "/home/", "/tmp/", "iopub"):
        assert trace not in text
    assert set(committed["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in committed["cells"])


def test_cells_are_short(committed):
    assert [len(cell["source"]) for cell in code_cells(committed) if len(cell["source"]) > 20] == []
    counts = [cell["execution_count"] for cell in code_cells(committed)]
    assert counts == list(range(1, len(counts) + 1))
