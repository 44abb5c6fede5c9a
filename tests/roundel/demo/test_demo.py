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

import roundel.demo.measurement
import roundel.demo.outcome
import roundel.demo.trained
from roundel.cli.main import main
from roundel.data import DETECTOR, HEADS
from roundel.demo import Demo, verdict
from roundel.demo.accuracy import others, unit_name
from roundel.demo.measurement import measure_demo
from roundel.demo.summary import summary
from roundel.demo.trained import DemoOptions, read_trained
from roundel.detection import BoxFigures, evaluate, read_scenes
from roundel.evaluation import Costs
from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.network import outputs
from roundel.golden.nms import NmsParams, greedy_nms, iou
from roundel.recognition import Recognised, recognise, split_model
from roundel.ui import silent

SCENES = 2


def command(*arguments):
    """Run the command line; returns exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, out.getvalue(), err.getvalue()


def written(measurement, folder):
    """Write a demo; returns its figures."""
    demo = Demo(measurement=measurement, figures=summary(measurement))
    demo.write(folder)
    return demo.figures


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The demo on a few scenes, without gates, which take minutes: folder, what `--json` printed, the result itself."""
    folder, results, real = tmp_path_factory.mktemp("demo") / "out", [], roundel.demo.measurement.measure_demo

    def kept(*arguments):
        results.append(real(*arguments))
        return results[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roundel.demo.outcome, "measure_demo", kept)
        code, out, err = command("demo", "--scenes", SCENES, "--cells", "none", "-o", folder, "--json")
    assert code == 0, err
    assert f"RTL equal to golden in {SCENES} scenes" in err
    assert "Where the time went" in err
    return folder, out, results[0]


@pytest.fixture(scope="module")
def output(whole):
    return whole[:2]


@pytest.fixture(scope="module")
def small(whole):
    return whole[2]


@pytest.fixture
def again(small, monkeypatch):
    """What makes a demo run again without compression and simulation, for the same options."""
    monkeypatch.setattr(roundel.demo.trained, "compress", lambda *_, **__: small.trained.compressed)

    def kept(compiled, images, done):
        return small.traced.frames if compiled.tensors else small.plain.frames

    monkeypatch.setattr(roundel.demo.measurement, "run_frames", kept)
    return lambda: measure_demo(small.options)


def test_figures_are_complete_and_right(output):
    folder, out = output
    found = json.loads((folder / "demo.json").read_text())
    assert json.loads(out) == found
    assert (found["equal"], found["differences"], found["scenes"]) == (True, [], SCENES)
    rows = {(row["network"], row["nms"], row["on"], row["scenes"]): row for row in found["accuracy"]}
    assert len(rows) == 7
    floats = rows["float", "GreedyNMS", "golden", 200]
    integers = rows["integer", "GreedyNMS", "golden", 200]
    assert floats["ap50"] >= 0.90
    assert 100 * (floats["ap50"] - integers["ap50"]) <= 1
    assert floats["agreeing"] == 1
    assert integers["agreeing"] >= 0.98
    assert abs(integers["ap50"] - rows["integer", "PSRR (guarded)", "golden", 200]["ap50"]) < 0.01
    names = ("ap50", "ap75", "ap50_95", "agreeing")
    golden, rtl = (rows["integer", "GreedyNMS", on, SCENES] for on in ("golden", "RTL"))
    assert [golden[name] for name in names] == [rtl[name] for name in names]
    assert found["head"]["form"].startswith("score softmax")
    assert found["head"]["recognised"] is True
    assert [note for note in found["head"]["notes"] if "NonMaxSuppression" in note]
    assert (found["nms"]["name"], found["nms"]["method"]) == ("GreedyNMS", "exact")
    assert found["nms"]["threshold"] == pytest.approx(0.45)
    layers, total = found["layers"], found["total"]
    assert total["macs"] == sum(row["macs"] for row in found["layers"])
    assert total["cycles"] == sum(row["cycles"] for row in layers) <= found["frames"][0]["cycles"]
    assert layers[-1]["layer"] == "boxes"
    assert total["compute"] == found["frames"][0]["computing"]
    boxes = layers[-1]  # which the model does not know
    assert total["predicted"] - boxes["predicted"] == pytest.approx(total["cycles"] - boxes["cycles"], rel=0.01)
    for row in layers[:-1]:
        assert row["predicted"] == pytest.approx(row["cycles"], rel=0.01, abs=2), row["layer"]
    assert found["energy"] is None


def test_float_row_is_the_file_alone(output):
    """Average precision of the ONNX file, and the boxes that RTL has as well, without anything of the demo."""
    folder, _ = output
    found = json.loads((folder / "demo.json").read_text())
    head = recognise(examine(prepare(str(HEADS / "ssd.onnx"))))
    assert isinstance(head, Recognised)
    graph = read_onnx(split_model(head))
    scenes = read_scenes(DETECTOR / "heldout.npz", graph.shape).first(SCENES)
    boxes = head.detector.detections(graph.outputs(scenes.images))
    expected = evaluate(scenes.objects, boxes, lambda one: greedy_nms(one, head.detector.form.iou))
    (row,) = (row for row in found["accuracy"] if row["network"] == "float" and row["scenes"] == SCENES)
    assert (row["ap50"], row["ap75"], row["ap50_95"]) == pytest.approx(expected)
    agreeing = []
    for image, frame in zip(boxes, found["frames"], strict=True):
        for place in greedy_nms(image, head.detector.form.iou):
            own = [one["box"] for one in frame["detections"] if one["class"] == str(image.labels[place])]
            if image.scores[place] >= 0.25:
                agreeing.append(bool(own) and iou(np.array(own), image.boxes[place]).max() >= 0.9)
    assert len(agreeing) >= 4
    (rtl,) = (row for row in found["accuracy"] if row["on"] == "RTL")
    assert rtl["agreeing"] == pytest.approx(np.mean(agreeing))


def test_products_are_those_of_the_network(small):
    found = summary(small)
    network = small.trained.compressed.network
    maps = outputs(
        replace(network, results=tuple(layer.name for layer in network.layers)),
        network.encode(small.scenes.images[:1]),
    )
    macs = {layer.name: maps[layer.name][0, ..., 0].size * layer.weights.size for layer in network.weighted}
    assert {row["layer"]: row["macs"] for row in found["layers"] if row["layer"] in macs} == macs
    elements = sum(values[0].size for values in maps.values())
    assert found["compared"]["elements"] == SCENES * elements


def test_page_shows_and_links_what_is_there(output):
    folder, _ = output
    page = (folder / "demo.md").read_text()
    links = set(re.findall(r"\]\(([^)]+)\)", page))
    assert {
        "scenes.png",
        "cycles.png",
        "roofline.png",
        "demo.json",
        "network/report.md",
        "program/program.lst",
        "program/engine.toml",
    } <= links
    assert all((folder / link).stat().st_size > 0 for link in links)
    for name in (
        "conv1",
        "depthwise3",
        "boxes",
        "integer + PSRR (guarded)",
        "integer + GreedyNMS",
        f"RTL equal to golden in {SCENES} scenes",
    ):
        assert name in page
    for text in (page, (folder / "demo.json").read_text()):
        assert str(Path.home()) not in text
        assert str(folder) not in text


def test_what_it_leaves_can_be_used(output, tmp_path):
    """The network runs again, and ends in the same boxes, without a file of its head; so does the program."""
    folder, _ = output
    arguments = ("--input", DETECTOR / "heldout.npz", "--count", SCENES)
    code, _, err = command("run", folder / "network", *arguments, "-o", tmp_path / "run")
    assert (code, err) == (0, "")
    found = json.loads((folder / "demo.json").read_text())
    with np.load(tmp_path / "run" / "boxes.npz") as file:
        for frame in found["frames"]:
            rows = file["image_ids"] == frame["scene"]
            assert [one["box"] for one in frame["detections"]] == file["boxes"][rows].tolist()
            assert [int(one["class"]) for one in frame["detections"]] == file["classes"][rows].tolist()
            assert [one["probability"] for one in frame["detections"]] == file["probabilities"][rows].tolist()
    assert "module engine_top" in (folder / "program" / "engine.v").read_text()
    program = roundel.runtime.EngineProgram.load(folder / "program")
    assert program.params.heads == ("softmax", "centre")
    again = roundel.run(program, DETECTOR / "heldout.npz", count=SCENES)
    assert again.figures["boxes"] == [len(frame["detections"]) for frame in found["frames"]]


def test_equal_runs_write_equal_files(small, again, tmp_path):
    for name, demo in (("first", small), ("second", again())):
        (tmp_path / name).mkdir()
        written(demo, tmp_path / name)
    files = [file.relative_to(tmp_path / "first") for file in (tmp_path / "first").rglob("*") if file.is_file()]
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


def test_first_difference_reaches_page_and_verdict(small, again, tmp_path, monkeypatch):
    """Golden is made to expect one more of one value."""
    real_steps = roundel.demo.measurement.steps

    def corrupted(network, images):
        for step in real_steps(network, images):
            wrong = step.outputs.copy()
            if step.layer.name == "/trunk/conv4/Conv":
                wrong[1, 2, 3, 4] += 1
            yield replace(step, results=wrong)

    monkeypatch.setattr(roundel.demo.measurement, "steps", corrupted)
    found = written(again(), tmp_path)
    value = int(small.traced.program.compiled.read("/trunk/conv4/Conv", small.traced.frames[1].regions)[2, 3, 4])
    size = small.traced.program.compiled.read("/trunk/conv4/Conv", small.traced.frames[1].regions).size
    line = f"image 1: /trunk/conv4/Conv: 1 of {size} elements differ, first [2, 3, 4]: RTL {value}, golden {value + 1}"
    assert found["differences"] == [line]
    assert found["equal"] is False
    assert verdict(found) == f"RTL DIFFERS from golden, first in {line}"
    assert line in (tmp_path / "demo.md").read_text()


def test_a_box_that_differs_is_named(again, monkeypatch):
    real_records = roundel.demo.measurement.golden_records

    def corrupted(nms, boxes):
        records = real_records(nms, boxes).copy()
        records[0, 2] += 1
        return records

    monkeypatch.setattr(roundel.demo.measurement, "golden_records", corrupted)
    found = again()
    assert [(one.image, one.tensor, one.element) for one in found.different] == [
        (scene, "boxes", (0, "x2")) for _ in ("traced", "plain") for scene in range(SCENES)
    ]


def test_energy_on_the_page(small, tmp_path):
    costs = Costs(cells="some cells", multiplication=0.5, weight=1.0, requantization=0.5, box=170.0, box_tables=170.0)
    found = written(replace(small, costs=costs), tmp_path)
    rows = {row["unit"]: row for row in found["energy"]["rows"]}
    assert rows["array"]["count"] == 64 * found["total"]["compute"]
    assert rows["array"]["nj"] == pytest.approx(rows["array"]["count"] * 0.5 / 1000)
    beats = [frame["read_beats"] + frame["write_beats"] for frame in found["frames"]]
    assert rows["outer memory"]["count"] == round(np.mean(beats))
    page = (tmp_path / "demo.md").read_text()
    assert "some cells" in page
    assert (tmp_path / "energy.png").stat().st_size > 0


def damaged(tmp_path, name):
    """A copy of an example's file, cut in half."""
    whole = (DETECTOR / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    return tmp_path / name


def without_objects(tmp_path):
    with np.load(DETECTOR / "heldout.npz") as archive:
        np.savez(tmp_path / "noboxes.npz", images=archive["images"][:2])
    return tmp_path / "noboxes.npz"


@pytest.mark.parametrize(
    ("option", "make", "expected"),
    [
        ("--model", lambda folder: folder / "none.onnx", "none.onnx"),
        ("--model", lambda folder: damaged(folder, "detector.onnx"), "detector.onnx"),
        ("--model", lambda _: DETECTOR / "detector.onnx", "detector.onnx: its tail is none of a detector; --head says"),
        ("--model", lambda _: DETECTOR.parent / "digits" / "digits.onnx", "images: expected shape (count, 1, 8, 8)"),
        ("--head", lambda folder: folder / "none.toml", "none.toml: expected a readable text file"),
        ("--calibration", lambda folder: folder / "none.npz", "none.npz: expected an .npz file"),
        ("--calibration", lambda folder: damaged(folder, "calibration.npz"), "calibration.npz: not a valid .npz file"),
        ("--held-out", lambda folder: damaged(folder, "heldout.npz"), "heldout.npz: not a valid .npz file"),
        ("--held-out", without_objects, "noboxes.npz: expected an array named boxes"),
        ("--scenes", lambda _: 201, "heldout.npz: expected at least 201 images, not 200"),
        ("--scenes", lambda _: 0, "--scenes"),
        ("--sparsity", lambda _: 1, "sparsity must be 0 to below 1"),
        ("--cells", lambda folder: folder / "none.lib", "none.lib"),
        ("--config", lambda _: "huge", "--config"),
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


def test_names_of_layers_behind_outputs(small):
    compressed = small.trained.compressed
    assert set(compressed.results) == set(small.trained.detector.outputs)
    assert set(compressed.results.values()) == set(compressed.network.output_names)


def test_a_head_that_a_file_tells(small):
    """The detector of the comparisons, whose outputs are plain maps: PSRR is its own, GreedyNMS the comparison."""
    options = DemoOptions(model=DETECTOR / "detector.onnx", head=DETECTOR / "detector.toml")
    trained = read_trained(options, silent)
    assert set(trained.compressed.results) == {"cls8", "box8", "cls16", "box16"}
    assert isinstance(trained.detector.nms, NmsParams)
    [greedy] = others(trained.detector, BoxFigures(images=1, most=9))
    assert (unit_name(greedy), unit_name(trained.detector.nms)) == ("GreedyNMS", "PSRR (guarded)")
    [guarded] = others(small.trained.detector, BoxFigures(images=1, most=9, areas=(100.0, 1600.0)))
    assert (unit_name(guarded), guarded.areas) == ("PSRR (guarded)", (100.0, 400.0, 1600.0))
