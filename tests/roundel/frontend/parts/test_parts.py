"""Verdicts and parts: every operator judged by itself, and a network in parts computes what onnxruntime does."""

import numpy as np
import pytest

from roundel.frontend import Host, examine, extract, prepare, read_onnx
from roundel.golden.errors import InputError
from tests.support.host_models import WHERE, conv, divided, loop, partly, random_partly, run_parts
from tests.support.onnx_models import model, reference

X = np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)


def verdicts(proto):
    return examine(prepare(proto)).verdicts


def check_parts(partition):
    """What holds of all parts: inputs are there in time, the engine has one, and nothing is lost or done twice."""
    ready = {partition.examination.scope.source}
    done = [id(item) for part in partition.parts for item in part.verdicts]
    assert len(done) == len(set(done))
    for part in partition.parts:
        assert set(part.inputs) <= ready
        assert not part.engine or (len(part.inputs) == 1 and part.macs > 0)
        assert not part.engine or all(item.reason is None for item in part.verdicts)
        assert part.outputs
        ready.update(part.outputs)
    assert {item.name for item in partition.examination.model.graph.output} <= ready


@pytest.mark.parametrize("host", [Host.TAIL, Host.ANY])
@pytest.mark.parametrize("where", WHERE)
def test_a_network_in_parts_computes_what_onnxruntime_does(where, host):
    proto = partly(where, outputs=WHERE[where])
    partition = divided(proto, host)
    check_parts(partition)
    for got, expected in zip(run_parts(partition, X), reference(proto, X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_in_parts_compute_what_onnxruntime_does(seed):
    proto = random_partly(seed)
    x = np.random.default_rng(seed).normal(size=(1, 4, 6, 6)).astype(np.float32)
    expected = reference(proto, x)
    for host in (Host.TAIL, Host.ANY):
        partition = divided(proto, host)
        check_parts(partition)
        for got, values in zip(run_parts(partition, x), expected, strict=True):
            np.testing.assert_allclose(got, values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("where", "tail", "any_part"),
    [
        ("start", ["host", "engine"], ["host", "engine"]),
        ("middle", ["engine", "host"], ["engine", "host", "engine"]),
        ("end", ["engine", "host"], ["engine", "host"]),
        ("branches", ["engine", "host"], ["engine", "host", "engine"]),
        ("moved", ["engine", "host"], ["engine", "host", "engine"]),
        ("shapes", ["engine", "host"], ["engine", "host", "engine"]),
        ("dead", ["engine"], ["engine"]),
    ],
)
def test_the_parts_are_as_few_as_they_can_be(where, tail, any_part):
    proto = partly(where, outputs=WHERE[where])
    for host, expected in ((Host.TAIL, tail), (Host.ANY, any_part)):
        parts = divided(proto, host).parts
        assert ["engine" if part.engine else "host" for part in parts] == expected


def test_one_part_of_the_engine_is_the_one_with_most_products():
    rng = np.random.default_rng(1)
    small, a = conv(rng, "x", "a", 3, 4)
    large, b = conv(rng, "s", "y", 4, 64)
    proto = model([small, ("Sin", ["a"], "s", {}), large], (3, 8, 8), a | b)
    partition = divided(proto, Host.TAIL)
    assert [part.engine for part in partition.parts] == [False, True]
    macs = [8 * 8 * 3 * 9 * 4, 8 * 8 * 4 * 9 * 64]
    assert partition.share == macs[1] / sum(macs)
    assert partition.examination.macs == sum(macs)


def test_every_operator_has_a_verdict_of_its_own():
    row, weights = conv(np.random.default_rng(1), "c", "y", 3, 4)
    rows = [("Sin", ["x"], "a", {}), ("Relu", ["a"], "b", {}), ("Sign", ["b"], "c", {}), row]
    sin, relu, sign, last = verdicts(model(rows, (3, 8, 8), weights))
    assert sin.reason == "this operator is not supported"
    assert relu.reason is None
    assert sign.reason is not None
    assert "it jumps by" in sign.reason
    assert last.reason is None
    assert last.macs == 8 * 8 * 4 * 3 * 9
    assert last.weights == 4 * 3 * 9


def test_a_refused_operator_of_unknown_size_blocks_what_reads_it_and_says_so():
    rows = [("NonZero", ["x"], "a", {}), ("Cast", ["a"], "b", {"to": 1}), ("Relu", ["b"], "y", {})]
    nonzero, cast, relu = verdicts(model(rows, (3, 8, 8)))
    assert nonzero.reason == "this operator is not supported"
    assert cast.reason is not None
    assert relu.reason == "it reads b, whose shape is not known before it runs"


def test_what_only_moves_values_is_refused_where_nobody_makes_a_map_of_them_again():
    proto = partly("moved")
    reasons = [item.reason for item in verdicts(proto)]
    assert [reason is None for reason in reasons] == [True, False, False, False, False, True]
    assert "reshape" in reasons[1]


@pytest.mark.parametrize("kind", ["ConvTranspose", "MatMul"])
def test_products_of_operators_that_the_engine_cannot_do_are_counted(kind):
    rng = np.random.default_rng(1)
    if kind == "ConvTranspose":
        weights = {"w": rng.normal(size=(3, 5, 2, 2)).astype(np.float32)}
        rows, expected = [(kind, ["x", "w"], "y", {"strides": [2, 2]})], 3 * 8 * 8 * 5 * 2 * 2
    else:  # of two tensors: (3, 8, 8) by (3, 8, 8)
        rows, weights, expected = [("Sin", ["x"], "a", {}), (kind, ["x", "a"], "y", {})], {}, 3 * 8 * 8 * 8
    assert verdicts(model(rows, (3, 8, 8), weights))[-1].macs == expected


def test_the_engine_alone_reads_the_whole_file_as_before():
    from roundel.data import DIGITS

    partition = divided(DIGITS / "digits.onnx", Host.TAIL)
    [part] = partition.parts
    graph, whole = read_onnx(extract(partition.examination, part)), read_onnx(DIGITS / "digits.onnx")
    assert graph.shapes == whole.shapes
    assert graph.names == whole.names
    assert [node.name for node in graph.nodes] == [node.name for node in whole.nodes]


def test_a_part_that_may_run_for_any_time_is_refused():
    partition = divided(loop(), Host.TAIL)
    with pytest.raises(InputError, match=r"node loop_y \(Loop\): the host runs no loops"):
        extract(partition.examination, partition.host[0])


def test_an_output_without_the_image_is_refused():
    row, weights = conv(np.random.default_rng(1), "x", "a", 3, 4)
    weights["w"] = np.ones(3, np.float32)
    proto = model([row, ("Sin", ["w"], "y", {})], (3, 8, 8), weights, outputs=("a", "y"))
    with pytest.raises(InputError, match="output y does not depend on the input"):
        divided(proto, Host.TAIL)


def test_weights_that_repeat_a_number_may_be_larger_than_what_a_host_makes(monkeypatch):
    """As the files of known networks with their weights left out have them: 411 MB in the first matrix of VGG."""
    rows = [
        ("ConstantOfShape", ["sizes"], "w", {}),
        ("Sin", ["x"], "a", {}),
        ("Conv", ["a", "w"], "y", {}),
    ]
    proto = model(rows, (3, 8, 8), {"sizes": np.array([80, 3, 1, 1])})
    monkeypatch.setattr("roundel.frontend.parts.extraction.MOST_VALUES", 3 * 8 * 8)
    partition = divided(proto, Host.ANY)
    assert [len(extract(partition.examination, part).graph.node) for part in partition.parts] == [1, 2]
    monkeypatch.setattr("roundel.frontend.parts.extraction.MOST_VALUES", 3 * 8 * 8 - 1)
    with pytest.raises(InputError, match=r"node .*Sin.*: expected at most 191 values an image, not 192"):
        extract(partition.examination, partition.parts[0])
