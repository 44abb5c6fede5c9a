"""Progress where there is no terminal, and tables of which nothing is cut."""

import io

import pytest
from rich.console import Console

from roundel.ui.console import QUIET, Lines, steps, table


def test_a_line_only_after_a_while(capsys):
    now = 0.0
    lines = Lines("images", 4, clock=lambda: now)
    for number, now in enumerate((1.0, QUIET, QUIET + 1, 2 * QUIET)):  # noqa: B007
        lines(f"image {number}")
    assert capsys.readouterr().err.splitlines() == ["images: 2 of 4, image 1", "images: 4 of 4, image 3"]


def test_short_work_says_nothing(capsys):
    with steps("images", 2) as step:
        step("one")
        step("two")
    assert capsys.readouterr().err == ""


COLUMNS = ("layer", "cycles of the engine", "energy, pJ per operation", "area with input register, µm²", "SQNR, dB")
ROWS = [
    (f"/model/backbone/stage{n}/conv/Conv_{n}", f"{n * 123456789:,}", "0.123456", "99,999,999.25", "−12.5")
    for n in (1, 2)
]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_nothing_of_a_table_is_cut(terminal, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, soft_wrap=True, color_system=None)
    table("title", COLUMNS, ROWS, console)
    shown = console.file.getvalue()
    assert "…" not in shown
    for name, *numbers in ROWS:
        assert all(number in shown for number in numbers)
        assert terminal or name in shown
    if not terminal:
        assert len([line for line in shown.splitlines() if "Conv_" in line]) == len(ROWS)
        assert all(head in shown for head in COLUMNS)
