"""Files of opsets 7 to 10 against onnxruntime, which runs them as they are: their newer form, and what is imported."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx
from roundel.frontend.model.opsets import NEWER, OLDEST, RULES, modernize
from roundel.golden.errors import InputError
from tests.support.onnx_models import check, model, reference, saved

OLD = range(OLDEST, NEWER)
IMAGE = (4, 6, 5)
TRIES = 5


def pad(rng, opset):
    attributes = {"pads": [0, 0, *rng.integers(0, 4, 2).tolist(), 0, 0, *rng.integers(-1, 4, 2).tolist()]}
    if rng.random() < 0.4:
        return "Pad", {}, attributes | {"mode": str(rng.choice(["reflect", "edge", "constant"]))}
    return "Pad", {}, attributes | {"value": float(rng.normal())} if rng.random() < 0.7 else attributes


def slice_(rng, opset):
    """Ends beyond the axis, from its end, and without a list of axes."""
    given = {"starts": rng.integers(-3, 3, 2).tolist(), "ends": rng.choice([3, 4, 1000, -1], 2).tolist()}
    given |= {"axes": rng.choice([1, 2, 3], 2, replace=False).tolist()} if rng.random() < 0.6 else {"starts": [0, 1]}
    if opset < 10:
        return "Slice", {}, given
    given.setdefault("axes", [0, 1])
    return "Slice", {name: np.array(values) for name, values in given.items()}, {}


def resize(rng, opset):
    scales = np.array([1, 1, *rng.choice([1, 1.5, 2, 2.6, 3], 2)], np.float32)
    mode = {"mode": str(rng.choice(["nearest", "linear"]))}
    if opset < 9:
        return "Upsample", {}, mode | {"scales": scales.tolist()}
    return "Upsample" if opset < 10 else "Resize", {"scales": scales}, mode


def smaller(rng, opset):
    """A Resize that leaves values out: onnxruntime takes the next one where newer versions take the one before."""
    scales = np.array([1, 1, *rng.choice([0.5, 0.6, 0.3, 1], 2)], np.float32)
    return "Upsample" if opset == 9 else "Resize", {"scales": scales}, {"mode": "nearest"}


def batch_normalization(rng, opset):
    values = {name: rng.normal(size=4).astype(np.float32) for name in "som"} | {
        "v": np.exp(rng.normal(size=4)).astype(np.float32)
    }
    spatial = {"spatial": 1} if opset < 9 and rng.random() < 0.5 else {}
    return "BatchNormalization", values, {"epsilon": float(rng.random())} | spatial


def clip(rng, opset):
    bounds = dict(zip(("min", "max"), sorted(rng.normal(size=2).tolist()), strict=True))
    return "Clip", {}, {name: bounds[name] for name in bounds if rng.random() < 0.6}


def top_k(rng, opset):
    k = int(rng.integers(1, 4))
    return ("TopK", {}, {"k": k, "axis": 1}) if opset < 10 else ("TopK", {"k": np.array([k])}, {"axis": 1})


def scatter(rng, opset):
    return "Scatter", {"at": np.zeros((1, 1, 2, 2), np.int64), "with": np.ones((1, 1, 2, 2), np.float32)}, {"axis": 2}


CASES = {
    "batch_normalization": (batch_normalization, OLD),
    "clip": (clip, OLD),
    "pad": (pad, OLD),
    "resize": (resize, OLD),
    "scatter": (scatter, (9, 10)),
    "slice": (slice_, OLD),
    "smaller": (smaller, (10,)),
    "top_k": (top_k, OLD),
}


def modern(proto):
    newer = onnx.ModelProto.FromString(proto.SerializeToString())
    modernize(newer, "net.onnx")
    return newer


def old_model(operator, constants, attributes, opset, *, listed=False):
    """One operator between Relu and an output; constants are inputs as well if `listed`, as IR version 3 demands."""
    outputs = ["y", "indices"] if operator == "TopK" else ["y"]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node(operator, ["a", *constants], outputs, name="node", **attributes),
    ]
    initializers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, *IMAGE])]
    if listed:
        inputs += [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in initializers]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"d{axis}" for axis in range(4)])
    graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
    ir_version = 3 if listed else 4
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


@pytest.mark.parametrize(("case", "opset"), [(case, opset) for case, row in CASES.items() for opset in row[1]])
def test_the_newer_form_computes_the_same(case, opset, seed):
    builder, _ = CASES[case]
    rng = np.random.default_rng([seed, opset])
    for attempt in range(TRIES):
        proto = old_model(*builder(rng, opset), opset, listed=bool(attempt % 2))
        newer = modern(proto)
        onnx.checker.check_model(newer)
        assert newer.opset_import[0].version == NEWER
        x = rng.normal(size=(2, *IMAGE)).astype(np.float32)
        np.testing.assert_array_equal(reference(newer, x)[0], reference(proto, x)[0])


def test_every_operator_that_changed_has_a_rule():
    """ONNX's own definitions say which lost attributes, need more inputs, or are gone in opset 11."""
    changed = set()
    for name in {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}:
        for opset in OLD:
            try:
                old, new = (onnx.defs.get_schema(name, version, "") for version in (opset, NEWER))
            except onnx.defs.SchemaError:  # of newer opsets alone
                continue
            lost = set(old.attributes) - set(new.attributes)
            if not old.deprecated and (new.deprecated or lost or new.min_input > old.min_input):
                changed.add(name)
    assert changed == set(RULES)


def test_names_that_are_taken_are_left_alone(tmp_path):
    nodes = [("Clip", ["x"], "y", {"min": 0.5}), ("Add", ["y", "y.min"], "z", {})]
    proto = model(nodes, IMAGE, {"y.min": np.float32(7)}, outputs=("z",), opset=9)
    check(tmp_path, proto, IMAGE)


def test_graphs_inside_of_operators_are_brought_along():
    def branch(node):
        info = helper.make_tensor_value_info("t", TensorProto.FLOAT, [f"d{axis}" for axis in range(4)])
        return helper.make_graph([node], "branch", [], [info])

    bounded = helper.make_node("Clip", ["a"], ["t"], min=0.25)
    moved = helper.make_node("Pad", ["a"], ["t"], pads=[0, 0, 1, 0, 0, 0, -1, 0], value=2.0)
    branches = {"then_branch": branch(bounded), "else_branch": branch(moved)}
    x = np.random.default_rng(3).normal(size=(2, *IMAGE)).astype(np.float32)
    for condition in (True, False):
        proto = old_model("Identity", {}, {}, 8)
        proto.graph.node[1].CopyFrom(helper.make_node("If", ["which"], ["y"], **branches))
        proto.graph.initializer.append(numpy_helper.from_array(np.array(condition), "which"))
        np.testing.assert_array_equal(reference(modern(proto), x)[0], reference(proto, x)[0])


REFUSED = {
    "one factor for each value": ("BatchNormalization", {"spatial": 0}, ["s", "s", "s", "s"], 7, "spatial must be 1"),
    "a loop over batches": ("Scan", {}, ["x"], 8, "expected the Scan of opset 9"),
    "a Resize without scales": ("Resize", {}, [], 10, "expected a map and scales, not 1 inputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_newer_versions_do_not_have_is_refused(case):
    operator, attributes, inputs, opset, message = REFUSED[case]
    proto = old_model("Relu", {}, {}, opset)
    proto.graph.node[1].CopyFrom(helper.make_node(operator, ["a", *inputs], ["y"], name="node", **attributes))
    with pytest.raises(InputError, match=rf"^net.onnx: node node \({operator}\): {message}"):
        modernize(proto, "net.onnx")


@pytest.mark.parametrize("opset", [1, 6])
def test_still_older_files_are_refused(opset, tmp_path):
    with pytest.raises(InputError, match=rf"expected ONNX opset 7 or newer, not {opset}: export it again"):
        read_onnx(saved(tmp_path, model([("Relu", ["x"], "y", {})], IMAGE, opset=opset)))
