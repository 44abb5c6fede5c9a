"""The demo as a user runs it, its page and figures, and what it says when something is wrong."""

import contextlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import roundel.demo
from golden.network import run
from roundel.cli import main
from roundel.demo import Options, run_demo, summary, write_demo
from roundel.images import load_images
from roundel.onnx_import import import_onnx
from roundel.quantize import quantize
from roundel.stimulus import DIGITS

COUNT = 4


def command(*arguments):
    """Run the command line; returns exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """The whole demo on a few digits: folder and what `--json` printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    code, out, err = command("demo", "--digits", COUNT, "-o", folder, "--json")
    assert code == 0, err
    assert "equal golden" in err
    return folder, out


@pytest.fixture(scope="module")
def small():
    """A demo on a small array and without synthesis."""
    return run_demo(Options(digits=2, cells=(), lanes=4, columns=4))


def test_figures_are_complete_and_right(output):
    folder, out = output
    found = json.loads((folder / "demo.json").read_text())
    assert json.loads(out) == found
    graph = import_onnx(DIGITS / "digits.onnx")
    held_out = load_images(DIGITS / "heldout.npz", graph)
    network = quantize(graph, load_images(DIGITS / "calibration.npz", graph).images).network
    integer = run(network, network.encode(held_out.images)).argmax(axis=1) == held_out.labels
    real = graph.run(held_out.images).argmax(axis=1) == held_out.labels
    on_rtl, all_of_them = found["accuracy"]["on_rtl"], found["accuracy"]["held_out"]
    assert on_rtl == {
        "images": COUNT,
        "float": real[:COUNT].mean(),
        "integer": integer[:COUNT].mean(),
        "rtl": integer[:COUNT].mean(),
    }
    assert all_of_them == {"images": len(real), "float": real.mean(), "integer": integer.mean()}
    assert all_of_them["float"] - all_of_them["integer"] <= 0.005
    assert found["equal"] is True
    assert found["differences"] == []
    names = ["conv1", "conv2", "conv3", "dense"]
    assert [row["name"] for row in found["modules"]] == [row["layer"] for row in found["layers"]] == names
    assert [row["shift"] for row in found["modules"]] == [layer.shift for layer in network.weighted]
    # images x output pixels, blocks of 16 products, blocks of 16 channels
    assert [row["beats"] for row in found["layers"]] == [
        COUNT * pixels * lanes * columns for pixels, lanes, columns in ((64, 1, 1), (64, 9, 2), (16, 18, 2), (1, 8, 1))
    ]
    assert {row["scheme"] for row in found["requant"]} >= {"shift", "fixed32", "float32"}
    assert all(row["verified"] for row in found["requant"])


def test_page_shows_and_links_what_is_there(output):
    folder, _ = output
    page = (folder / "demo.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert {"digits.png", "formats.png", "errors.png", "accumulators.png", "demo.json"} <= set(links)
    assert any(link.startswith("requant/") and link.endswith(".png") for link in links)
    assert all((folder / link).stat().st_size > 0 for link in links)
    for name in (
        "conv1",
        "dense",
        "mac_u8_u8",
        "mac_u8_s8",
        "fixed32",
        "float32",
        "all 14,376 outputs of the RTL equal",
    ):
        assert name in page
    for text in (page, (folder / "demo.json").read_text()):
        assert str(Path.home()) not in text
        assert str(folder) not in text


def test_verilog_is_what_was_simulated(output):
    folder, _ = output
    found = json.loads((folder / "demo.json").read_text())
    assert len(found["verilog"]) == 4  # two arrays, and the requantizer of each
    for name in found["verilog"]:
        module = Path(name).stem
        sheet = json.loads((folder / name).with_suffix(".json").read_text())
        assert sheet["unit"] == module
        assert f"module {module}(" in (folder / name).read_text()
    array = json.loads((folder / "verilog" / "mac_u8_u8.json").read_text())["parameters"]
    assert (array["lanes"], array["columns"], array["reduction"], array["weight_width"]) == (16, 16, 288, 8)


def test_equal_runs_write_equal_files(small, tmp_path):
    again = run_demo(small.options)
    for name, demo in (("first", small), ("second", again)):
        (tmp_path / name).mkdir()
        write_demo(demo, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(files) >= 10
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


def test_a_difference_ends_with_exit_code_1_and_a_page_that_says_so(small, tmp_path, monkeypatch):
    bad = "conv2: 1 of 4096 outputs differ, first [0, 3, 3, 7]: RTL 12, golden 13"
    monkeypatch.setattr(roundel.demo, "run_demo", lambda *_: replace(small, different=(bad,)))
    code, out, err = command("demo", "-o", tmp_path / "out", "--json")
    assert code == 1
    assert bad in err
    assert json.loads(out)["equal"] is False
    page = (tmp_path / "out" / "demo.md").read_text()
    assert "RTL DIFFERS from golden" in page
    assert bad in page


def test_wrong_expected_values_reach_the_result(small, monkeypatch):
    def corrupted(network, images):
        for step in real_steps(network, images):
            outputs = step.outputs.copy()
            if step.layer.name == "dense":
                outputs[1, 2] += 1
            yield replace(step, outputs=outputs)

    real_steps = roundel.demo.steps
    monkeypatch.setattr(roundel.demo, "steps", corrupted)
    monkeypatch.setattr(roundel.demo, "run_on_array", lambda *_: small.rtl)
    found = summary(run_demo(small.options))
    value = int(small.rtl.outputs["dense"][1, 2])
    expected = f"dense: 1 of 20 outputs differ, first [1, 2]: RTL {value}, golden {value + 1}"
    assert found["differences"] == [expected]
    assert found["equal"] is False


def damaged(tmp_path, name):
    """A copy of an example's file, cut in half."""
    whole = (DIGITS / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    return tmp_path / name


def unlabelled(tmp_path):
    with np.load(DIGITS / "heldout.npz") as archive:
        np.savez(tmp_path / "nolabels.npz", images=archive["images"])
    return tmp_path / "nolabels.npz"


@pytest.mark.parametrize(
    ("option", "make", "expected"),
    [
        ("--model", lambda folder: folder / "none.onnx", "none.onnx"),
        ("--model", lambda folder: damaged(folder, "digits.onnx"), "digits.onnx"),
        ("--calibration", lambda folder: folder / "none.npz", "none.npz: expected an .npz file"),
        ("--calibration", lambda folder: damaged(folder, "calibration.npz"), "calibration.npz: not a valid .npz file"),
        ("--held-out", lambda folder: damaged(folder, "heldout.npz"), "heldout.npz: not a valid .npz file"),
        ("--held-out", unlabelled, "nolabels.npz: expected an array named labels"),
        ("--digits", lambda _: 401, "heldout.npz: expected at least 401 images, not 400"),
        ("--digits", lambda _: 0, "--digits"),
        ("--cells", lambda folder: folder / "none.lib", "none.lib"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, option, make, expected):
    (tmp_path / "in").mkdir()
    code, out, err = command("demo", option, make(tmp_path / "in"), "-o", tmp_path / "out")
    assert code == 2
    assert out == ""
    assert expected in err
    assert err.startswith("roundel: ")
    assert err.count("\n") == 1
    shutil.rmtree(tmp_path / "in")
    assert list(tmp_path.iterdir()) == []
