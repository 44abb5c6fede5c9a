"""`roundel inspect`: what is in a network, and every reason that blocks."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import onnx
import pytest

import roundel
from roundel.data import DIGITS
from roundel.golden.errors import InputError
from tests.support.command import call
from tests.support.host_models import conv, partly, random_partly, two_inputs
from tests.support.onnx_models import model, saved

SVG = "{http://www.w3.org/2000/svg}"


def two_blocks():
    """A network with two operators that the engine cannot do, one behind the other."""
    rows, weights = [], {}
    for x, y in (("x", "a"), ("b", "c"), ("d", "y")):
        row, made = conv(np.random.default_rng(len(rows)), x, y, 3, 3)
        rows.append(row)
        weights |= made
    rows.insert(1, ("LRN", ["a"], "b", {"size": 3}))
    rows.insert(3, ("PRelu", ["c", "steep"], "d", {}))
    weights["steep"] = np.array([2, 3, 4], np.float32).reshape(3, 1, 1)
    return model(rows, (3, 8, 8), weights)


def test_a_network_of_the_engine_alone():
    result = roundel.inspect(DIGITS / "digits.onnx")
    assert result.share == 1
    assert not result.blocks
    assert result.shape == (1, 8, 8)
    assert {row.place for row in result.operators} == {"engine"}
    macs = {row.name: row.macs for row in result.operators if row.macs}
    assert macs == {"conv1": 8 * 8 * 16 * 9, "conv2": 8 * 8 * 32 * 16 * 9, "conv3": 4 * 4 * 32 * 32 * 9, "dense": 1280}
    assert "all of it runs on the engine" in list(result.lines())
    [part] = result.parts
    assert [row.operators for row in part.modules][:2] == [("Conv", "Affine", "Relu"), ("Conv", "Affine", "Relu")]
    assert part.cycles is None


def test_every_reason_that_blocks_is_named_with_a_way_on():
    result = roundel.inspect(two_blocks())
    assert [(block.operator, block.names) for block in result.blocks] == [
        ("LRN", ("lrn_b",)),
        ("PRelu", ("prelu_d",)),
    ]
    assert all(block.reason and block.way_on for block in result.blocks)
    text = "\n".join(result.lines())
    assert "lrn_b" in text
    count = 3 * 3 * 3 * 3  # of the weights of each of three convolutions, over 8 x 8 positions
    assert text.startswith(f"5 operators (1 engine, 2 host, 2 blocked), {3 * count * 64:,} MACs, {3 * count} weights\n")
    assert "63/32" in text
    assert result.counts == {"tail": 1, "any": 3}
    assert result.shares == {"tail": 1 / 3, "any": 1.0}
    places = {row.name: row.place for row in roundel.inspect(two_blocks(), host="any").operators}
    assert list(places.values()) == ["engine", "blocked", "engine", "blocked", "engine"]
    behind = [row for row in result.operators if row.place == "host"]
    assert [row.reason for row in behind] == [
        "the engine could do it, but it lies behind lrn_b (LRN)",
        "the engine could do it, but it lies behind prelu_d (PRelu)",
    ]
    assert result.operators[0].place == "engine"


def test_cycles_are_those_that_the_compiler_predicts():
    result = roundel.inspect(DIGITS / "digits.onnx", engine="tiny")
    [part] = result.parts
    small = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz")

    from roundel.compiler import predicted_layers

    layers, cycles = predicted_layers(roundel.compile(small, "tiny").compiled)
    assert [row.layer for row in part.layers] == [row.layer for row in layers]
    assert part.cycles == pytest.approx(cycles, rel=0.02)  # weight streams of other formats differ by some bytes


def test_what_the_compiler_refuses_is_said():
    weights = {"w": np.ones((100_000, 2), np.float32)}
    [part] = roundel.inspect(model([("MatMul", ["x", "w"], "y", {})], (100_000,), weights), engine="tiny").parts
    assert part.cycles is None
    assert "matmul_y" in part.not_compiled


def test_an_operator_without_an_integer_form_where_it_stands_is_said():
    result = roundel.inspect(two_inputs())
    [block] = result.blocks
    assert (block.operator, block.names) == ("Conv", ("conv_b",))
    assert "expected it to read what" in block.reason
    assert result.share == 0.5


def boxes(svg):
    """Rectangles of all texts, as wide as a font of fixed width makes them: 0.602 of its height a letter."""
    for item in ET.fromstring(svg).iter(f"{SVG}text"):
        size = int(item.get("font-size") or 11)
        width, x, y = 0.602 * size * len(item.text or ""), float(item.get("x")), float(item.get("y"))
        left = x - width / 2 if item.get("text-anchor") == "middle" else x
        yield left, y - size, left + width, y


@pytest.mark.parametrize("seed", range(20))
def test_no_text_of_the_picture_overlaps_another_or_leaves_it(seed, tmp_path):
    result = roundel.inspect(random_partly(seed), host="any")
    result.save(tmp_path)
    svg = (tmp_path / "inspect.svg").read_text()
    root, items = ET.fromstring(svg), list(boxes(svg))
    assert len(items) == 4 + 2 * sum(row.part is not None for row in result.operators)
    for index, (left, top, right, bottom) in enumerate(items):
        assert left >= 0
        assert right <= float(root.get("width"))
        assert bottom <= float(root.get("height"))
        for other in items[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_names_of_any_kind_are_drawn(tmp_path):
    proto = partly("middle")
    proto.graph.node[0].name = "<&>\x01\"'" + "long" * 40
    result = roundel.inspect(proto)
    result.save(tmp_path)
    titles = [item.text for item in ET.parse(tmp_path / "inspect.svg").iter(f"{SVG}title")]
    assert any(title.startswith("<&>?\"'long") for title in titles)


def test_a_network_too_large_for_a_picture_is_told_in_words(tmp_path):
    rows = [("Relu", ["x" if index == 0 else f"t{index - 1}"], f"t{index}", {}) for index in range(400)]
    rows += [("Add", [f"t{index}", "t399"], f"u{index}", {}) for index in range(399)]
    rows.append(("Concat", [f"u{index}" for index in range(399)], "y", {"axis": 1}))
    result = roundel.inspect(model(rows, (3, 4, 4)))
    result.save(tmp_path)
    texts = [item.text for item in ET.parse(tmp_path / "inspect.svg").iter(f"{SVG}text")]
    assert "too many for a picture" in texts[0]


def test_the_command(tmp_path, capsys):
    path = saved(tmp_path, two_blocks())
    assert call("inspect", path, "--host", "any", "-o", tmp_path / "out", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values == json.loads((tmp_path / "out" / "inspect.json").read_text())
    assert [block["operator"] for block in values["blocks"]] == ["LRN", "PRelu"]
    assert values["share"] == 1
    assert values["operators"][0]["shape"] == [1, 3, 8, 8]
    assert (tmp_path / "out" / "inspect.svg").is_file()


@pytest.mark.parametrize(("data", "expected"), [(b"no model", "not a valid ONNX model"), (b"", "ONNX")])
def test_bad_files_are_one_line(data, expected, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=expected) as error:
        roundel.inspect(path)
    assert "\n" not in str(error.value)


def test_options_are_checked():
    with pytest.raises(InputError, match="host must be"):
        roundel.inspect(DIGITS / "digits.onnx", host="refuse")
    with pytest.raises((InputError, ValueError), match="host"):
        roundel.inspect(DIGITS / "digits.onnx", host="none")
    with pytest.raises(InputError, match="engine"):
        roundel.inspect(DIGITS / "digits.onnx", engine="none")


def test_the_model_that_is_given_stays_as_it_is():
    proto = partly("branches")
    before = onnx.ModelProto()
    before.CopyFrom(proto)
    roundel.inspect(proto)
    assert proto == before
