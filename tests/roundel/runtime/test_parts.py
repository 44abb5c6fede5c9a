"""Networks that the engine can do in part: the host computes the rest, and all gives what onnxruntime does."""

import json
import shutil
import sys

import numpy as np
import onnx
import pytest

import roundel
from roundel.golden.errors import InputError
from tests.support.command import call
from tests.support.host_models import WHERE, conv, loop, partly, random_partly, two_inputs
from tests.support.onnx_models import model, reference, saved

X = np.random.default_rng(5).normal(size=(4, 3, 8, 8)).astype(np.float32)
LEAST = 25  # dB between float and integers of two or three layers of 8 bits


def expected(proto, images):
    """What onnxruntime gives for each image by itself."""
    runs = [reference(proto, images[index : index + 1]) for index in range(len(images))]
    names = [item.name for item in proto.graph.output]
    return dict(zip(names, map(np.concatenate, zip(*runs, strict=True)), strict=True))


def decibels(wanted, got):
    error = np.square(wanted.astype(np.float64) - got).sum()
    return 10 * np.log10(np.square(wanted, dtype=np.float64).sum() / max(error, 1e-30))


def check(proto, run, images):
    """The network's own outputs, under their own names and shapes, near those of onnxruntime."""
    for name, values in expected(proto, images).items():
        assert run.real[name].shape == values.shape
        assert decibels(values, run.real[name]) > LEAST, name


@pytest.mark.parametrize("host", ["tail", "any"])
@pytest.mark.parametrize("where", WHERE)
def test_outputs_have_their_own_names_and_shapes(where, host, tmp_path):
    proto = partly(where, outputs=WHERE[where])
    compressed = roundel.compress(proto, X, host=host)
    run = roundel.run(compressed, X)
    check(proto, run, X)
    compressed.save(tmp_path / "network")
    loaded = roundel.run(tmp_path / "network", X)
    loaded.save(tmp_path / "run")
    others = [loaded, roundel.Run.load(tmp_path / "run")]
    if where in ("start", "around"):
        roundel.compile(tmp_path / "network", "tiny").save(tmp_path / "program")
        others.append(roundel.run(tmp_path / "program", X))
    for other in others:
        assert other.real.keys() == run.real.keys()
        assert all((other.real[name] == values).all() for name, values in run.real.items())


@pytest.mark.parametrize("seed", [3, 4])
def test_random_networks(seed):
    proto = random_partly(seed)
    images = np.random.default_rng(seed).normal(size=(3, 4, 6, 6)).astype(np.float32)
    if not any(node.op_type == "Conv" for node in proto.graph.node):
        pytest.fail("choose a seed with convolutions")
    for host in ("tail", "any"):
        run = roundel.run(roundel.compress(proto, images, host=host), images)
        for name, values in expected(proto, images).items():
            assert decibels(values, run.real[name]) > 15, name


@pytest.mark.parametrize("shape", [(1, 4, 1), (4, 1, 1)])
def test_a_part_that_turns_axes_first_takes_them_as_the_host_gives_them(shape):
    row, weights = conv(np.random.default_rng(1), "c", "y", shape[0], 4)
    rows = [("Transpose", ["x"], "a", {"perm": [0, 2, 3, 1]}), ("Sin", ["a"], "b", {})]
    proto = model([*rows, ("Transpose", ["b"], "c", {"perm": [0, 3, 1, 2]}), row], shape, weights)
    images = np.random.default_rng(2).normal(size=(4, *shape)).astype(np.float32)
    compressed = roundel.compress(proto, images)
    assert [part.inputs for part in compressed.chain.parts] == [("x",), ("b",)]
    assert compressed.report["import"]["images"] == 4
    check(proto, roundel.run(compressed, images), images)


def test_the_engine_and_golden_agree_in_all_parts():
    proto = partly("around", outputs=WHERE["around"])
    compressed = roundel.compress(proto, X, host="any")
    assert len(compressed.others) == 2
    golden, rtl = roundel.run(compressed, X[:1]), roundel.run(compressed, X[:1], on="rtl", engine="tiny")
    assert rtl.figures["equal"]
    assert not rtl.differences
    assert all((rtl.real[name] == values).all() for name, values in golden.real.items())
    assert rtl.figures["cycles"][0] > 0
    assert sum(row["macs"] for row in rtl.figures["layers"][:-1]) == rtl.figures["parts"]["macs"]


def test_what_runs_where_is_said_everywhere():
    proto = partly("branches", outputs=WHERE["branches"])
    compressed = roundel.compress(proto, X)
    share = 1 - 8 * 8 * 2 * 4 * 9 / compressed.report["chain"]["macs"]
    text = f"On the engine: {share:.2%} of"
    program = roundel.compile(compressed, "tiny")
    for lines in (compressed.lines(), program.lines(), roundel.run(program, X).lines()):
        assert text in "\n".join(lines)
    assert roundel.inspect(proto).share == share
    assert "Left to the host: 3 operators (1 Sin, 1 Add, 1 Conv)" in "\n".join(compressed.lines())


def test_the_float_network_is_compared_part_by_part(tmp_path):
    proto = partly("around", outputs=WHERE["around"])
    path = saved(tmp_path, proto)
    for host in ("tail", "any"):
        run = roundel.run(roundel.compress(path, X, host=host), X, original=path)
        rows = {row["tensor"]: row["sqnr_db"] for row in run.figures["chain"]}
        assert rows.keys() == ({"conv_c", "output y"} if host == "tail" else {"conv_a", "conv_c", "conv_y"})
        assert min(rows.values()) > LEAST
    with pytest.raises(InputError, match="is not the network that was compressed"):
        roundel.run(roundel.compress(path, X), X, original=partly("start"))


def test_accuracy_is_that_of_the_whole_network():
    rng = np.random.default_rng(1)
    row, weights = conv(rng, "x", "a", 3, 4)
    weights |= {"w": rng.normal(size=(4 * 8 * 8, 5)).astype(np.float32), "target": np.array([0, -1])}
    rows = [row, ("Sin", ["a"], "b", {}), ("Reshape", ["b", "target"], "c", {}), ("MatMul", ["c", "w"], "y", {})]
    proto = model(rows, (3, 8, 8), weights)
    labels = expected(proto, X)["y"].argmax(axis=1)
    for host in ("tail", "any"):
        compressed = roundel.compress(proto, X, held_out={"images": X, "labels": labels}, host=host)
        assert compressed.report["accuracy"]["float32"] == 1
        run = roundel.run(compressed, {"images": X, "labels": labels})
        assert run.figures["accuracy"] == compressed.report["accuracy"]["integer"]


@pytest.mark.parametrize("host", ["tail", "any"])
def test_flattened_maps_cross_in_the_order_of_onnx(host):
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    weights["w"] = np.random.default_rng(2).normal(size=(1, 4 * 8 * 8)).astype(np.float32)
    rows = [row, ("Flatten", ["a"], "b", {}), ("Mul", ["b", "w"], "c", {}), ("Sin", ["c"], "y", {})]
    proto = model(rows, (3, 8, 8), weights, outputs=("b", "y"))
    check(proto, roundel.run(roundel.compress(proto, X, host=host), X), X)


def test_a_result_that_is_a_flattened_map_is_in_the_order_of_onnx():
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    rows = [row, ("Flatten", ["a"], "b", {}), ("Relu", ["b"], "c", {}), ("Concat", ["b", "c"], "y", {"axis": 1})]
    proto = model(rows, (3, 8, 8), weights, outputs=("y", "c"))
    check(proto, roundel.run(roundel.compress(proto, X), X), X)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_file_of_any_batch_runs_with_any_number_of_images(batch):
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    weights["target"] = np.array([batch, 16, 16])
    rows = [row, ("Sin", ["a"], "b", {}), ("Reshape", ["b", "target"], "y", {})]
    proto = model(rows, (3, 8, 8), weights, batch=batch)
    run = roundel.run(roundel.compress(proto, X), X)
    full = X[np.minimum(np.arange(batch * 2), 3)]
    wanted = np.concatenate([reference(proto, full[first : first + batch])[0] for first in (0, batch)])[:4]
    assert run.real["y"].shape == wanted.shape
    assert decibels(wanted, run.real["y"]) > LEAST


def test_outputs_without_a_batch():
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    rows = [row, ("ReduceMax", ["a"], "y", {"keepdims": 0}), ("NonZero", ["a"], "z", {})]
    proto = model(rows, (3, 8, 8), weights, outputs=("y", "z"))
    compressed = roundel.compress(proto, X)
    assert roundel.run(compressed, X, count=1).real["y"].shape == ()
    with pytest.raises(InputError, match="output z: has another size for each image"):
        roundel.run(compressed, X * np.array([0, 1, 1, 1], np.float32)[:, None, None, None])


def test_what_ends_in_softmax_also_gives_its_probabilities():
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    rows = [row, ("GlobalAveragePool", ["a"], "b", {}), ("Flatten", ["b"], "c", {}), ("Softmax", ["c"], "y", {})]
    proto = model(rows, (3, 8, 8), weights)
    for host, names in (("tail", {"c", "y"}), ("refuse", {"c"})):
        compressed = roundel.compress(proto, X, host=host)
        assert compressed.results.keys() == {"c"}
        assert "Left to the host: Softmax of c" in "\n".join(compressed.lines())
        assert roundel.run(compressed, X).real.keys() == names
    assert np.abs(roundel.run(roundel.compress(proto, X), X).real["y"] - expected(proto, X)["y"]).max() < 0.02


def test_without_onnxruntime_the_reference_runs_it_and_says_so(monkeypatch):
    proto = partly("middle")
    compressed = roundel.compress(proto, X)
    usual = roundel.run(compressed, X)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    slow = roundel.run(compressed, X)
    np.testing.assert_allclose(slow.real["y"], usual.real["y"], atol=1e-3)
    assert any("pip install 'roundel[host]'" in note for note in slow.notes)
    assert not any("roundel[host]" in note for note in usual.notes)


@pytest.mark.parametrize("seed", range(3))
def test_tails_that_only_move_values_need_no_onnxruntime(seed, monkeypatch):
    """Heads of a detector: maps of several sizes, channels last, locations in a row, one after the other."""
    rng, rows, weights, parts = np.random.default_rng(seed), [], {}, []
    scores = int(rng.integers(2, 6))
    for index in range(int(rng.integers(2, 4))):
        row, made = conv(rng, "x", f"a{index}", 3, 3 * scores, strides=[index + 1] * 2)
        way = [("Transpose", [f"a{index}"], f"b{index}", {"perm": [0, 2, 3, 1]}),
               ("Reshape", [f"b{index}", "locations"], f"c{index}", {})]  # fmt: skip
        if rng.random() < 0.5:
            way = [("Reshape", [f"a{index}", "anchors"], f"d{index}", {}),
                   ("Transpose", [f"d{index}"], f"e{index}", {"perm": [0, 1, 3, 2]}),
                   ("Reshape", [f"e{index}", "locations"], f"c{index}", {})]  # fmt: skip
        rows += [row, *way]
        weights |= made
        parts.append(f"c{index}")
    rows.append(("Concat", parts, "y", {"axis": int(rng.choice([1, -2]))}))
    weights |= {"locations": np.array([0, -1, scores]), "anchors": np.array([0, 3, scores, -1])}
    proto = model(rows, (3, 8, 8), weights)
    compressed = roundel.compress(proto, X)
    assert compressed.chain.share == 1
    assert "which only move values" in "\n".join(compressed.lines())
    usual = roundel.run(compressed, X)
    check(proto, usual, X)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    bare = roundel.run(compressed, X)
    assert np.array_equal(bare.real["y"], usual.real["y"])
    assert not any("roundel[host]" in note for note in bare.notes)


def test_nothing_is_left_to_the_host_if_that_is_asked_for():
    with pytest.raises(InputError, match=r"node lrn_b \(LRN\): this operator is not supported"):
        roundel.compress(partly("middle"), X, host="refuse")


def test_a_network_without_products_for_the_engine_is_refused():
    with pytest.raises(InputError, match=r"node sin_a \(Sin\): .*nothing is left for the engine"):
        roundel.compress(model([("Sin", ["x"], "a", {}), ("Relu", ["a"], "y", {})], (3, 8, 8)), X)


def test_an_operator_without_an_integer_form_is_left_to_the_host():
    proto = two_inputs()
    compressed = roundel.compress(proto, X)
    assert "2 operators (1 Conv, 1 Add)" in "\n".join(compressed.lines())
    check(proto, roundel.run(compressed, X), X)


def test_a_small_share_of_the_engine_is_warned_of():
    tail, several = (roundel.compress(partly("middle"), X, host=host) for host in ("tail", "any"))
    warning = "only 75.00% of the MACs run on the engine: roundel inspect tells what blocks, or try --host any"
    assert tail.warnings[0] == warning
    assert warning not in several.warnings


def test_constants_of_the_host_are_bounded():
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    weights["size"] = np.array([1 << 40])
    rows = [row, ("ConstantOfShape", ["size"], "c", {}), ("ReduceMax", ["c"], "d", {"keepdims": 0})]
    rows.append(("Max", ["a", "d"], "y", {}))
    with pytest.raises(InputError, match=r"\(ConstantOfShape\): .*1099511627776"):
        roundel.compress(model(rows, (3, 8, 8), weights), X)


def test_what_is_no_number_does_not_reach_the_engine():
    row, weights = conv(np.random.default_rng(1), "a", "y", 3, 4)
    compressed = roundel.compress(model([("Log", ["x"], "a", {}), row], (3, 8, 8), weights), np.abs(X) + 1)
    with pytest.raises(InputError, match="tensor a: the engine takes finite numbers"):
        roundel.run(compressed, X)


def test_loops_within_branches_are_refused_before_anything_runs():
    proto, names = loop(), [onnx.helper.make_tensor_value_info("z", 1, None)]
    [node] = (node for node in proto.graph.node if node.op_type == "Loop")
    node.output[0] = "z"
    branch = onnx.helper.make_graph([node], "branch", [], names)
    proto.graph.node.remove(node)
    proto.graph.node.append(onnx.helper.make_node("If", ["on"], ["y"], "if", then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match=r"node if \(If\): the host runs no loops"):
        roundel.compress(proto, X)


def test_loops_are_refused_before_anything_runs():
    with pytest.raises(InputError, match="the host runs no loops"):
        roundel.compress(loop(), X)


def test_the_command(tmp_path, capsys):
    path = saved(tmp_path, partly("middle"))
    np.savez(tmp_path / "x.npz", images=X)
    out = tmp_path / "out"
    assert call("compress", path, "--calibration", tmp_path / "x.npz", "--host", "any", "-o", out) == 0
    assert (out / "parts.json").is_file()
    assert call("run", out, "--input", tmp_path / "x.npz", "--float", path, "-o", tmp_path / "run") == 0
    assert "On the engine: 100.00%" in " ".join(capsys.readouterr().out.split())
    assert call("compress", path, "--calibration", tmp_path / "x.npz", "--host", "refuse", "-o", tmp_path / "no") == 2
    assert not (tmp_path / "no").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "network"
    roundel.compress(partly("middle"), X, host="any").save(path)
    return path


def lose(name):
    return lambda folder: (folder / name).unlink()


def damage(change):
    def apply(folder):
        values = json.loads((folder / "parts.json").read_text())
        change(values)
        (folder / "parts.json").write_text(json.dumps(values))

    return apply


def other_model(folder):
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Sin", ["q"], ["r"])],
            "g",
            [onnx.helper.make_tensor_value_info("q", 1, [1])],
            [onnx.helper.make_tensor_value_info("r", 1, [1])],
        ),
        ir_version=8,
        opset_imports=[onnx.helper.make_opsetid("", 17)],
    )
    (folder / "host" / "1.onnx").write_bytes(proto.SerializeToString())


def looping(folder):
    path = folder / "host" / "1.onnx"
    proto, other = onnx.load(path), loop()
    [node] = (node for node in other.graph.node if node.op_type == "Loop")
    node.input[2], node.output[0] = proto.graph.input[0].name, proto.graph.output[0].name
    del proto.graph.node[:]
    proto.graph.node.append(node)
    proto.graph.initializer.extend(other.graph.initializer)
    path.write_bytes(proto.SerializeToString())


def texts(folder):
    path = folder / "host" / "1.onnx"
    proto = onnx.load(path)
    names = [proto.graph.input[0].name], [proto.graph.output[0].name]
    del proto.graph.node[:]
    proto.graph.node.append(onnx.helper.make_node("Cast", *names, to=onnx.TensorProto.STRING))
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    path.write_bytes(proto.SerializeToString())


def nested(folder):
    shutil.copy(folder / "parts.json", folder / "engine" / "2")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lose("host/1.onnx"), "host/1.onnx: cannot be read"),
        (lose("engine/2/network.npz"), "engine/2/network.npz"),
        (lambda folder: (folder / "host" / "1.onnx").write_bytes(b"no model"), "not a valid ONNX model"),
        (other_model, "host/1.onnx: expected the tensors"),
        (looping, "host/1.onnx: the host runs no loops"),
        (texts, "tensor b: the engine takes finite numbers"),
        (nested, "expected a part of the engine alone"),
        (lambda folder: (folder / "parts.json").write_text("{"), "parts.json: expected the parts"),
        (lambda folder: (folder / "parts.json").write_text("[" * 100_000), "parts.json: expected the parts"),
        (damage(lambda values: values["parts"].reverse()), "does not find its inputs"),
        (damage(lambda values: values["parts"][1].update(file="../x.onnx")), "expected a file in the folder"),
        (damage(lambda values: values["parts"][2].update(file="./.")), "expected a file in the folder"),
        (damage(lambda values: values["parts"][2].update(outputs=["q"])), "no part gives some output"),
        (damage(lambda values: values.update(batch=0)), "at least 1"),
        (damage(lambda values: values.update(batch=10**9)), "at most 268435456 values at once"),
        (damage(lambda values: values.update(shape=[8, 3, 8])), "expected images of"),
        (damage(lambda values: values.update(version=2)), "version must be 1, not 2"),
        (damage(lambda values: values.update(host="some")), "parts.json: expected the parts"),
        (damage(lambda values: values["parts"][1].update(operators=[1])), "parts.json: expected the parts"),
        (damage(lambda values: values.update(shape="abc")), "expected a whole number"),
        (damage(lambda values: values.pop("macs")), "parts.json: expected the parts"),
    ],
)
def test_damaged_folders_are_one_line(folder, spoil, text, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(InputError, match=text) as error:
        roundel.run(tmp_path / "copy", X)
    assert "\n" not in str(error.value)
