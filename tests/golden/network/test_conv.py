"""Windows and exact integer products, against loops in plain Python and onnxruntime's ConvInteger."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from roundel.golden.network import Window, im2col, matmul, window_count
from roundel.golden.network.conv import convolve, window_max, window_sum

WINDOWS = [
    Window(kernel=(3, 3)),
    Window(kernel=(3, 3), pad=(1, 1, 1, 1)),
    Window(kernel=(1, 1), stride=(2, 2)),
    Window(kernel=(2, 3), stride=(2, 1), pad=(0, 1, 1, 2)),
    Window(kernel=(3, 2), stride=(1, 2), dilation=(2, 3), pad=(2, 0, 1, 1)),
]


def conv_integer(x, w, window):
    """onnxruntime's ConvInteger: uint8 (batch, channels, rows, columns), int8 (outputs, channels, rows, columns)."""
    node = helper.make_node(
        "ConvInteger", ["x", "w"], ["y"], strides=window.stride, pads=window.pad, dilations=window.dilation
    )
    tensors = [
        helper.make_tensor_value_info(name, kind, list(shape))
        for name, kind, shape in (("x", TensorProto.UINT8, x.shape), ("w", TensorProto.INT8, w.shape))
    ]
    result = helper.make_tensor_value_info("y", TensorProto.INT32, None)
    model = helper.make_model(
        helper.make_graph([node], "g", tensors, [result]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x, "w": w})[0]


def taps(x, window, n, row, column):
    """The windows' values at one output position by their definition: (kernel row, kernel column, channel, value)."""
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            y = row * window.stride[0] + ky * window.dilation[0] - window.pad[0]
            z = column * window.stride[1] + kx * window.dilation[1] - window.pad[1]
            inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
            for channel in range(x.shape[3]):
                yield channel, x[n, y, z, channel] if inside else None


@pytest.mark.parametrize("window", WINDOWS)
def test_convolve_equals_onnxruntime(window):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (2, 5, 7, 8)).astype(np.uint8)
    w = rng.integers(-128, 128, (4, 5, *window.kernel)).astype(np.int8)
    expected = conv_integer(x, w, window)
    matrix = w.transpose(2, 3, 1, 0).reshape(-1, 4).astype(np.int64)
    result = convolve(x.transpose(0, 2, 3, 1).astype(np.int64), matrix, window)
    assert np.array_equal(result.transpose(0, 3, 1, 2), expected)
    assert expected.shape[2:] == window.output_size(7, 8)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_by_definition(window):
    rng = np.random.default_rng(2)
    x = rng.integers(-100, 100, (2, 6, 7, 3))
    rows, columns = window.output_size(6, 7)
    matrix, greatest, summed = im2col(x, window, 7), window_max(x, window, -100), window_sum(x, window)
    counted = window_count(6, 7, window)
    assert matrix.shape == (2 * rows * columns, window.taps * 3)
    for index, (n, row, column) in enumerate(np.ndindex(2, rows, columns)):
        values = list(taps(x, window, n, row, column))
        assert matrix[index].tolist() == [7 if value is None else value for _, value in values]
        for channel in range(3):
            real = [value for c, value in values if c == channel and value is not None]
            assert greatest[n, row, column, channel] == max(real, default=-100)
            assert summed[n, row, column, channel] == sum(real)
            assert counted[row, column] == len(real)


@given(
    st.integers(1, 40).flatmap(
        lambda k: st.tuples(
            st.sampled_from([2**4, 2**10, 2**22, 2**25, 2**28]),
            st.sampled_from([2**4, 2**7, 2**26, 2**29]),
            st.just(k),
            st.integers(0, 2**32 - 1),
        )
    )
)
def test_matmul_is_exact_on_every_path(case):
    """The sizes straddle 2^24 and 2^53, where BLAS would begin to round; odd extremes show any lost last bit."""
    left, right, k, seed = case
    rng = np.random.default_rng(seed)
    a = rng.choice([-left + 1, left - 1, 1, -1, 0], (3, k))
    b = rng.choice([-right + 1, right - 1, 1, -1, 0], (k, 2))
    expected = [[sum(int(a[i, t]) * int(b[t, j]) for t in range(k)) for j in range(2)] for i in range(3)]
    assert matmul(a, b).tolist() == expected


def test_matmul_just_past_each_floating_point_bound():
    for bits in (24, 53):
        half, ones = 2 ** (bits - 1), np.ones((3, 1), np.int64)
        assert matmul(np.array([[half - 1, half - 1, 2]]), ones).item() == 2**bits
        assert matmul(np.array([[half, half, 1]]), ones).item() == 2**bits + 1


def test_matmul_refuses_what_64_bits_cannot_hold():
    with pytest.raises(OverflowError, match="does not fit into 64 bits"):
        matmul(np.array([[2**40]]), np.array([[2**40]]))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"kernel": (0, 3)}, ValueError, r"kernel must be 2 integers of at least 1, not \(0, 3\)"),
        ({"kernel": (3,)}, ValueError, r"kernel must be 2 integers of at least 1, not \(3,\)"),
        ({"kernel": [3, 3]}, TypeError, r"kernel must be a tuple of 2 integers, not \[3, 3\]"),
        ({"kernel": (3, 3), "pad": (0, 0, -1, 0)}, ValueError, r"pad must be 4 integers of at least 0"),
        ({"kernel": (3, 3), "stride": (0, 1)}, ValueError, r"stride must be 2 integers of at least 1"),
        ({"kernel": (3, 4097)}, ValueError, r"kernel must be 2 integers of at most 4096, not \(3, 4097\)"),
    ],
)
def test_window_says_what_is_wrong(wrong, error, message):
    with pytest.raises(error, match=message):
        Window(**wrong)


def test_a_window_that_does_not_fit():
    with pytest.raises(ValueError, match=r"a window of \(5, 5\) does not fit into 4 x 4"):
        im2col(np.zeros((1, 4, 4, 1)), Window(kernel=(3, 3), dilation=(2, 2)))
