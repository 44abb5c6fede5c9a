"""Network files read and run from `docs/network_file.md`, in plain Python: slow, and nothing of golden."""

import ast
import json
import struct
import zipfile
from fractions import Fraction
from itertools import product
from math import floor, frexp, ldexp, prod
from types import SimpleNamespace

from tests.support.activation_reference import naive_word


class Tensor:
    """Integers of a shape, the last axis fastest."""

    def __init__(self, shape, values):
        self.shape, self.values = tuple(shape), list(values)

    def __getitem__(self, index):
        place = 0
        for size, position in zip(self.shape, index, strict=True):
            place = place * size + position
        return self.values[place]


def read(path):
    """The header, with tensors in place of the names of arrays."""
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
        assert header["format"] == "roundel-network"
        assert header["version"] in (1, 2, 3)
        for layer in header["layers"]:
            for name in {"weights", "bias"} & layer.keys():
                layer[name] = array(archive.read(layer[name] + ".npy"))
    return header


def array(data):
    """A tensor of version 1.0 of the npy format."""
    assert data[:8] == b"\x93NUMPY\x01\x00"
    end = 10 + struct.unpack("<H", data[8:10])[0]
    head = ast.literal_eval(data[10:end].decode())
    size = int(head["descr"][2:])
    values = struct.unpack(f"<{(len(data) - end) // size}{' bh i   q'[size]}", data[end:])
    return Tensor(head["shape"], values)


def run(header, image):
    """The results by name, for a tensor of integers."""
    tensors = {header["source"]: image}
    for layer in header["layers"]:
        sources = [tensors[name] for name in layer["sources"]]
        tensors[layer["name"]] = KINDS[layer["kind"]](layer, *sources)
    names = header["results"] or [header["layers"][-1]["name"]]
    return {name: tensors[name] for name in names}


def ends(form):
    return (
        (-(2 ** (form["width"] - 1)), 2 ** (form["width"] - 1) - 1) if form["signed"] else (0, 2 ** form["width"] - 1)
    )


def clip(layer, value):
    for low, high in (ends(layer["output"]), *([layer["bounds"]] if layer.get("bounds") else [])):
        value = min(max(value, low), high)
    return value


def round_(layer, value, shift):
    """`value / 2^shift` to an integer."""
    exact = Fraction(value) / 2**shift
    match layer["rounding"]:
        case "floor":
            return floor(exact)
        case "half_up":
            return floor(exact + Fraction(1, 2))
        case "half_away":
            return floor(abs(exact) + Fraction(1, 2)) * (1 if exact > 0 else -1)
    return round(exact)


def align(layer, value, left):
    return value << left if left >= 0 else round_(layer, value, -left)


def requantize(layer, acc, shift, mantissas=()):
    """`mantissas`: of the input and of the weights."""
    shift += layer["leak"] if acc < 0 else 0
    if layer["requant"] == "shift":
        return clip(layer, round_(layer, acc, shift))
    low, high = ends(layer["output"])
    scaled = scheme(layer, acc, shift, (*mantissas, layer["output"]["mantissa"]))
    return clip(layer, min(max(scaled + layer["output"]["zero"], low), high))


def scheme(layer, acc, shift, mantissas):
    """`acc * f * 2^-shift` as the scheme computes it, before zero point and clamp."""
    kind = layer["requant"]
    if kind == "float32":
        factor = single(mantissas[0])
        for mantissa in mantissas[1:-1]:
            factor = single(factor * single(mantissa))
        scale = single(ldexp(single(factor / single(mantissas[-1])), -shift))
        return round(Fraction(single(single(acc) * scale)))
    factor = mantissas[0]
    for mantissa in mantissas[1:-1]:
        factor *= mantissa
    half, exponent = frexp(factor / mantissas[-1])
    bits = {"fixed8": 8, "fixed16": 16, "fixed32": 31}[kind]
    multiplier = floor(Fraction(half) * 2**bits + Fraction(1, 2))
    if multiplier == 2**bits:
        multiplier, exponent = multiplier // 2, exponent + 1
    if kind != "fixed32":
        return round_(layer, acc * multiplier, bits - exponent + shift)
    if shift - exponent > 31:
        return 0
    high = floor(Fraction(acc * multiplier, 2**31) + Fraction(1, 2))
    return round_({"rounding": "half_away"}, high, shift - exponent)


def single(value):
    """The nearest binary32. Binary64 products and quotients of binary32 round to it as if exact."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def rescaled(layer, form, value):
    acc = (value - form["zero"]) << 6
    shift = form["fraction"] + 6 - layer["output"]["fraction"]
    low, high = ends(layer["output"])
    scaled = scheme(layer, acc, shift, (form["mantissa"], layer["output"]["mantissa"]))
    return min(max(scaled + layer["output"]["zero"], low), high)


def positions(window, shape):
    """Rows and columns of the result, and a function that gives the map's place of a tap, None in the padding."""
    top, left, bottom, right = window["pad"]
    sizes = []
    for axis, pad in ((0, top + bottom), (1, left + right)):
        extent = (window["kernel"][axis] - 1) * window["dilation"][axis] + 1
        sizes.append((shape[1 + axis] + pad - extent) // window["stride"][axis] + 1)

    def place(row, column, i, j):
        y = row * window["stride"][0] + i * window["dilation"][0] - top
        x = column * window["stride"][1] + j * window["dilation"][1] - left
        return (y, x) if 0 <= y < shape[1] and 0 <= x < shape[2] else None

    return sizes, place


def each(shape, function):
    return Tensor(shape, [function(*index) for index in product(*map(range, shape))])


def weighted(layer, x, residual=None):
    window = layer["window"] or {"kernel": [1, 1], "stride": [1, 1], "pad": [0] * 4, "dilation": [1, 1]}
    shape = x.shape
    if layer["window"] is None:
        x = Tensor((prod(shape[:-1]), 1, 1, shape[-1]), x.values)
    (rows, columns), place = positions(window, x.shape)
    outputs = layer["weights"].shape[1]
    fractions = layer["w_fractions"] or [layer["w"]["fraction"]] * outputs
    mantissas = layer["w_mantissas"] or [layer["w"]["mantissa"]] * outputs
    zero, per_group = layer["x"]["zero"], x.shape[3] // layer["groups"]

    def one(n, row, column, j):
        n_acc, first = layer["x"]["fraction"] + fractions[j], j // (outputs // layer["groups"]) * per_group
        acc = layer["bias"][(j,)]
        if layer["requant"] == "shift":
            acc = align(layer, acc, n_acc - layer["b"]["fraction"])
        for i, k in product(*map(range, window["kernel"])):
            inside = place(row, column, i, k)
            for c in range(per_group if inside else 0):
                weight = layer["weights"][(i * window["kernel"][1] + k) * per_group + c, j]
                acc += weight * (x[(n, *inside, first + c)] - zero)
        place_of = ((n * rows + row) * columns + column) * outputs + j
        if layer.get("activation"):
            return activate(layer, acc, n_acc, j, 0 if residual is None else residual.values[place_of])
        if residual is not None:
            form = layer["residual"]
            both = max(n_acc, form["fraction"])
            acc = (acc << both - n_acc) + ((residual.values[place_of] - form["zero"]) << both - form["fraction"])
            n_acc = both
        return requantize(layer, acc, n_acc - layer["output"]["fraction"], (layer["x"]["mantissa"], mantissas[j]))

    result = each((x.shape[0], rows, columns, outputs), one)
    return result if layer["window"] else Tensor((*shape[:-1], outputs), result.values)


UNIT = SimpleNamespace(segments=16, step_bits=5, fraction=3)


def activate(layer, acc, n_acc, j, residual):
    """A sum of output `j` through the activation."""
    table, word, slopes = (layer["activation"][name] for name in ("table", "word", "slopes"))
    low, high = ends(word)
    value = min(max(acc // 2 ** (n_acc - word["fraction"]), low), high)
    fields = SimpleNamespace(**table | {"fold": SimpleNamespace(value=table["fold"])})
    return naive_word(UNIT, fields, value, residual, slopes[j] if slopes else 0)


def add(layer, *tensors):
    forms, n_o = (layer["x"], layer["y"]), layer["output"]["fraction"]
    both = max(form["fraction"] for form in forms)

    def one(*values):
        if layer["requant"] == "shift":
            parts = [(v - form["zero"]) << both - form["fraction"] for v, form in zip(values, forms, strict=True)]
            return requantize(layer, sum(parts), both - n_o)
        total, parts = layer["total"], []
        for v, form in zip(values, forms, strict=True):
            ratio = ldexp(form["mantissa"] / total["mantissa"], total["fraction"] - form["fraction"])
            parts.append(round(ratio) * (v - form["zero"]))
        return requantize(layer, sum(parts), total["fraction"] - n_o, (total["mantissa"],))

    return Tensor(tensors[0].shape, map(one, *(tensor.values for tensor in tensors)))


def concat(layer, *tensors):
    output = layer["output"]

    def one(form, value):
        if layer["requant"] == "shift":
            return clip(
                layer, align(layer, value - form["zero"], output["fraction"] - form["fraction"]) + output["zero"]
            )
        return clip(layer, rescaled(layer, form, value))

    values = []
    for start in range(prod(tensors[0].shape[:-1])):
        for form, tensor in zip(layer["inputs"], tensors, strict=True):
            size = tensor.shape[-1]
            values += [one(form, value) for value in tensor.values[start * size : (start + 1) * size]]
    return Tensor((*tensors[0].shape[:-1], sum(tensor.shape[-1] for tensor in tensors)), values)


def gate(layer, x, factors):
    channels = x.shape[-1]
    per_image = prod(x.shape[1:])
    forms, values = (layer["x"], layer["gate"]), []
    shift = sum(form["fraction"] for form in forms) - layer["output"]["fraction"]
    for place, value in enumerate(x.values):
        factor = factors.values[place // per_image * channels + place % channels] - forms[1]["zero"]
        mantissas = tuple(form["mantissa"] for form in forms)
        values.append(requantize(layer, (value - forms[0]["zero"]) * factor, shift, mantissas))
    return Tensor(x.shape, values)


def pooled(layer, x, one):
    """`one` of the values of every window, those in the padding None."""
    (rows, columns), place = positions(layer["window"], x.shape)
    taps = list(product(*map(range, layer["window"]["kernel"])))

    def values(n, row, column, c):
        places = [place(row, column, *tap) for tap in taps]
        return one([None if found is None else x[(n, *found, c)] for found in places])

    return each((x.shape[0], rows, columns, x.shape[3]), values)


def average_pool(layer, x):
    def one(values):
        real = [value - layer["x"]["zero"] for value in values if value is not None]
        count = len(values) if layer["count_padding"] else max(1, len(real))
        low, high = ends(layer["w"])
        multiplier = min(max(round(Fraction(2) ** layer["w"]["fraction"] / count), low), high)
        shift = layer["x"]["fraction"] + layer["w"]["fraction"] - layer["output"]["fraction"]
        return requantize(layer, multiplier * sum(real), shift, (layer["x"]["mantissa"],))

    return pooled(layer, x, one)


def max_pool(layer, x):
    low = ends(layer["output"])[0]
    return pooled(layer, x, lambda values: max(low if value is None else value for value in values))


def upsample(layer, x):
    times = layer["factor"]
    shape = (x.shape[0], x.shape[1] * times, x.shape[2] * times, x.shape[3])
    return each(shape, lambda n, row, column, c: x[n, row // times, column // times, c])


def interpolate(layer, x):
    """Each result between its four neighbours, of which those beyond the map are the map's own ends."""
    size, factors = x.shape[1:3], layer["factor"]

    def one(n, row, column, c):
        total, places = Fraction(0), []
        for place, factor, offset in zip((row, column), factors, layer["offset"], strict=True):
            where = Fraction(2 * place + offset, 2 * factor)
            first = where.numerator // where.denominator
            places.append([(first, 1 - (where - first)), (first + 1, where - first)])
        for (down, high), (right, wide) in product(*places):
            inside = [min(max(at, 0), most - 1) for at, most in zip((down, right), size, strict=True)]
            total += high * wide * (x[(n, *inside, c)] - layer["x"]["zero"])
        parts = 4 * prod(factors)
        shift = layer["x"]["fraction"] + parts.bit_length() - 1 - layer["output"]["fraction"]
        return requantize(layer, int(total * parts), shift, (layer["x"]["mantissa"],))

    return each((x.shape[0], size[0] * factors[0], size[1] * factors[1], x.shape[3]), one)


def fill(layer, x):
    batch, rows, columns, channels = x.shape
    shape = (batch, rows, columns, channels + layer["count"])
    return each(shape, lambda *place: layer["value"] if place[3] >= channels else x[place])


def flatten(layer, x):
    return Tensor((x.shape[0], prod(x.shape[1:])), x.values)


def select(layer, x):
    taken = layer["channels"]
    return each((*x.shape[:3], len(taken)), lambda n, row, column, j: x[n, row, column, taken[j]])


def depth_to_space(layer, x):
    (down, across), pixels = layer["factor"], prod(layer["factor"])
    channels = x.shape[3] // pixels

    def one(n, row, column, c):
        k = row % down * across + column % across
        channel = c * pixels + k if layer["by_channel"] else k * channels + c
        return x[n, row // down, column // across, channel]

    return each((x.shape[0], x.shape[1] * down, x.shape[2] * across, channels), one)


KINDS = {
    "weighted": weighted,
    "add": add,
    "concat": concat,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "upsample": upsample,
    "interpolate": interpolate,
    "fill": fill,
    "flatten": flatten,
    "select": select,
    "depth_to_space": depth_to_space,
    "gate": gate,
}
