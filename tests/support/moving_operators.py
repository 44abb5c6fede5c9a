"""ONNX operators that move values, with random attributes: nodes and constants for images of 4 x 7 x 6."""

import numpy as np

SIZES = (4, 7, 6)


def conv_transpose(rng, opset):
    kernel, strides = rng.integers(1, 5, 2).tolist(), rng.choice([1, 2, 4], 2).tolist()
    pads = [int(rng.integers(0, (kernel[axis % 2] + 1) // 2)) for axis in range(4)]
    about = {"strides": strides, "pads": pads, "group": int(rng.choice([1, 2, 4]))}
    about["output_padding"] = [int(rng.integers(0, stride)) for stride in strides]
    weights = rng.normal(size=(4, 3, *kernel)).astype(np.float32)
    return [("ConvTranspose", ["x", "w", "b"], "y", about)], {
        "w": weights,
        "b": rng.normal(size=3 * about["group"]).astype(np.float32),
    }


def depth_to_space(rng, opset):
    mode = {"mode": str(rng.choice(["DCR", "CRD"]))} if opset >= 11 else {}
    return [
        ("DepthToSpace", ["x"], "a", {"blocksize": 2} | mode),
        ("SpaceToDepth", ["a"], "y", {"blocksize": int(rng.integers(1, 3))}),
    ], {}


def slice_(rng, opset):
    axes = rng.permutation([1, 2, 3])[: rng.integers(1, 4)]
    starts = np.array([rng.integers(-SIZES[axis - 1], SIZES[axis - 1] - 1) for axis in axes])
    if opset < 10:
        about = {"starts": starts.tolist(), "ends": [1000] * len(axes), "axes": axes.tolist()}
        return [("Slice", ["x"], "y", about)], {}
    constants = {"s": starts, "e": np.full(len(axes), 1000), "a": axes, "t": rng.integers(1, 4, len(axes))}
    return [("Slice", ["x", *constants], "y", {})], constants


def split(rng, opset):
    axis, size = int(rng.integers(1, 4)), {}
    sizes = np.array([SIZES[axis - 1]])
    if opset < 13:
        size = {"split": sizes.tolist()} if rng.random() < 0.5 else {}
        return [("Split", ["x"], "y", {"axis": axis} | size)], {}
    return [("Split", ["x", "sizes"], "y", {"axis": axis})], {"sizes": sizes}


def gather(rng, opset):
    return [("Gather", ["x", "i"], "y", {"axis": 1})], {"i": rng.permutation(4)[: rng.integers(1, 5)]}


def pad(rng, opset):
    pads = np.zeros(8, np.int64)
    pads[[2, 3, 6, 7]] = rng.integers(-1, 4, 4)
    value = np.float32(rng.choice([0, -1.5, 2]))
    if opset < 11:
        return [("Pad", ["x"], "y", {"pads": pads.tolist(), "value": float(value)})], {}
    if opset >= 18 and rng.random() < 0.5:
        return [("Pad", ["x", "p", "v", "a"], "y", {})], {"p": pads[[2, 3, 6, 7]], "v": value, "a": np.array([2, -1])}
    return [("Pad", ["x", "p", "v"], "y", {})], {"p": pads, "v": value}


def shuffle(rng, opset):
    order = [0, 2, 1, 3, 4]
    nodes = [
        ("Reshape", ["x", "to"], "a", {}),
        ("Transpose", ["a"], "b", {"perm": order}),
        ("Reshape", ["b", "back"], "y", {}),
    ]
    return nodes, {"to": np.array([0, 2, 2, 7, 6]), "back": np.array([[0, 4, 7, 6], [0, -1, 7, 6]][rng.integers(2)])}


MOVES = (conv_transpose, depth_to_space, slice_, split, gather, pad, shuffle)
