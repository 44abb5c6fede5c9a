"""The comparison with onnxruntime's static quantization: its tables, what it refuses, and one network measured."""

import pytest

from examples.zoo import rivals
from examples.zoo.contest import OURS, RIVALS, options_of
from roundel.golden.errors import InputError
from tests.support.outside import need

ABOUT = {"name": "net", "size": [8, 8], "calibration": 4, "images": 2, "seconds": 1.0}


def record(way: str, **ratios: float) -> dict[str, object]:
    return ABOUT | {"way": way, "ratios": ratios}


def test_the_winner_is_the_way_whose_worst_output_is_best() -> None:
    ways = (OURS, f"{OURS} --per-channel")
    records = [record(RIVALS[0], a=9.0, b=30.0), record(RIVALS[3], a=10.0, b=11.0)]
    records += [record(ways[0], a=9.5, b=50.0), record(ways[1], a=12.25, b=20.0)]
    row = rivals.tables(records, ways)[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "net",
        "8 x 8",
        "4 + 2",
        "9.5",
        "**12.2**",
        f"10.0 ({RIVALS[3].removeprefix('onnxruntime ')})",
        "+2.2",
    ]
    lost = [*records[:2], record(ways[0], a=9.5, b=50.0)]
    assert "| **10.0 (channel MinMax)** | -0.5 |" in rivals.tables(lost, ways)[2]


def test_what_failed_is_a_row_and_no_winner() -> None:
    ways = (OURS,)
    failed = ABOUT | {"way": OURS, "failed": "ended by a signal"}
    lines = rivals.tables([record(RIVALS[0], a=9.0), failed], ways)
    assert lines[2].endswith("| - | **9.0 (tensor MinMax)** | - |")
    assert lines[-1] == "| net | default | ended by a signal |"


@pytest.mark.parametrize(("way", "said"), [("--wrong", "wrong"), ("--method=x", "method")])
def test_options_that_compress_does_not_take_are_refused(way: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        options_of(f"{OURS} {way}")


def test_a_network_is_measured_in_both_worlds(tmp_path, monkeypatch, capsys) -> None:
    need("onnxruntime")
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))
    monkeypatch.setattr(rivals, "RIVALS", RIVALS[:1])
    rivals.main(["tiny", "--calibration", "2", "--images", "1", "--way=--per-channel"])
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert "`--per-channel`" in head
    _, size, images, ours, theirs, more = [cell.strip().strip("*") for cell in row.strip("|").split("|")]
    assert (images, size.count("x")) == ("2 + 1", 1)
    assert float(ours) > 15
    assert float(theirs.split()[0]) > 15
    assert float(more) == pytest.approx(float(ours) - float(theirs.split()[0]), abs=0.11)
