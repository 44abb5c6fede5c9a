"""Pictures as what they show: the figures that a module draws, kept instead of written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from matplotlib.figure import Figure


class Kept(NamedTuple):
    """A figure, its file's name, and its size in inches."""

    drawing: Figure
    name: str
    size: tuple[float, float]


def keep_figures(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Kept]:
    """Let `module` draw into figures that are put into the list returned."""
    figures = []

    @contextmanager
    def figure(path: Path, width: float = 8.0, height: float = 4.0) -> Iterator[Figure]:
        drawing = Figure(figsize=(width, height))
        figures.append(Kept(drawing, path.name, (width, height)))
        yield drawing

    monkeypatch.setattr(module, "figure", figure)
    return figures
