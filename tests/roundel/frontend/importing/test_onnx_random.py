"""Random files against onnxruntime: as imported, folded and exported again, or refused; nothing differs silently."""

from collections import Counter

import numpy as np
import pytest

from roundel.frontend import read_onnx
from roundel.frontend.exporter import to_onnx
from roundel.golden.errors import InputError
from roundel.graph import fold
from tests.support.onnx_models import reference
from tests.support.random_onnx import BATCH, random_model

FILES = 300  # of each stream and number of operators


def expected(proto, x):
    """onnxruntime's result; None where that refuses the file."""
    try:
        return reference(proto, x)[0]
    except Exception:  # one kind for each of its reasons, all of them its own
        return None


def close(ours, theirs):
    most = 1e-4 * max(1, np.abs(theirs).max(initial=0))
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-4, atol=most)


def outcome(rng, operators):
    """What becomes of a random file."""
    proto, shape = random_model(rng, operators)
    x = rng.normal(size=(BATCH, *shape)).astype(np.float32)
    try:
        graph = read_onnx(proto)
    except InputError:
        return "refused"
    ours, theirs = graph.run(x), expected(proto, x)
    assert ours.shape[1:] == graph.shapes[graph.result]
    if theirs is None:
        return "refused by onnxruntime"
    assert close(ours, theirs), proto.graph.node
    try:
        folded = fold(graph)
    except InputError:  # batch normalization of features
        return "equal"
    assert close(folded.run(x), theirs), proto.graph.node
    try:
        exported = to_onnx(folded)
    except InputError:  # means whose padding is as wide as their kernel
        return "equal"
    assert close(reference(exported, x)[0], theirs), proto.graph.node
    return "equal"


@pytest.mark.parametrize("operators", [1, 4])
@pytest.mark.parametrize("stream", range(3))
def test_random_files_equal_onnxruntime_or_are_refused(operators, stream, seed):
    rng = np.random.default_rng([seed, operators, stream])
    outcomes = Counter(outcome(rng, operators) for _ in range(FILES))
    assert outcomes["equal"] > FILES // 4, outcomes
