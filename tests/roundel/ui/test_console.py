"""Progress where there is no terminal."""

from roundel.ui.console import QUIET, Lines, steps


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
