"""Damaged network files: each is an InputError that names file and field, and nothing else ever comes out."""

import io
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.errors import InputError
from roundel.golden.network import Network, load, outputs, save
from roundel.golden.network.file import HEADER
from roundel.golden.network.header import read_strings
from roundel.golden.requant import Scheme
from tests.support.random_network import SHAPE, random_network


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bytes of a network file."""
    path = tmp_path_factory.mktemp("network") / "network.npz"
    save(random_network(0)[0], path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    """The same with scales that are no powers of two."""
    path = tmp_path_factory.mktemp("network") / "scaled.npz"
    save(random_network(0, Scheme.FIXED32)[0], path)
    return path.read_bytes()


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def npy(values, **how):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, **how)
    return stream.getvalue()


def edit(*keys, value=None, drop=False):
    """A change of the header: the item at `keys` set to `value`, or taken out."""

    def change(header):
        for key in keys[:-1]:
            header = header[key]
        if drop:
            del header[keys[-1]]
        else:
            header[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("format", value="other"), "header.json: format: expected 'roundel-network'"),
        (edit("version", value=4), "header.json: version: expected 1, 2 or 3, not 4, which is newer or damaged"),
        (edit("version", value=True), "header.json: version: expected 1, 2 or 3, not True, which is newer or damaged"),
        (edit("version", value=2), "header.json: expected the fields .*, encoding; encoding is missing or unknown"),
        (edit("encoding", value={}), "header.json: expected the fields .*, meta; encoding is missing or unknown"),
        (edit("meta", drop=True), "header.json: expected the fields .*; meta is missing or unknown"),
        (edit("extra", value=1), "header.json: expected the fields .*; extra is missing or unknown"),
        (edit("meta", value=[]), "header.json: expected a list of layers, and an object for meta"),
        (edit("layers", value={}), "header.json: expected a list of layers"),
        (edit("layers", 0, value=3), r"layers\[0\]: expected an object, not 3"),
        (edit("layers", 0, "kind", value="lstm"), r"layers\[0\]: kind must be one of weighted, add"),
        (edit("layers", 0, "kind", value="add"), r"layers\[0\]: y is missing"),
        (edit("layers", 0, "leak", drop=True), r"layers\[0\]: leak is missing"),
        (edit("layers", 0, "code", value="x"), r"layers\[0\]: 'code' is unknown"),
        (edit("layers", 0, "name", value=3), r"layers\[0\]: name: expected a string, not 3"),
        (edit("layers", 0, "sources", value="x"), r"layers\[0\]: sources: expected a list, not 'x'"),
        (edit("layers", 0, "output", "width", value=1), r"layers\[0\]: output: width must be 2 to 32 bits, not 1"),
        (edit("layers", 0, "output", "zero", value=True), r"layers\[0\]: output: zero: value must be an integer"),
        (edit("layers", 0, "rounding", value="up"), r"layers\[0\]: rounding: value must be one of floor, half_up"),
        (edit("layers", 0, "bounds", value=[1]), r"layers\[0\]: bounds: expected 2 integers, not 1"),
        (edit("layers", 0, "leak", value=1 << 40), r"layers\[0\]: leak: value must be -2147483648 to 2147483647"),
        (edit("layers", 0, "window", "pad", value=[0, 0]), r"layers\[0\]: window: pad must be 4 integers"),
        (edit("layers", 0, "window", "kernel", value=[3, 5000]), r"layers\[0\]: window: kernel must be .* most 4096"),
        (edit("layers", 0, "weights", value="1.weights"), r"layers\[0\]: expected the array '0.weights', which"),
        (edit("layers", 0, "weights", value=[1]), r"layers\[0\]: expected the array '0.weights', .*, not \[1\]"),
        (edit("layers", 0, "groups", value=3), r"layers\[0\]: conv: 4 outputs are no multiple of 3 groups"),
        (edit("layers", 0, "w", "width", value=7), r"layers\[0\]: conv: weights must be -64 to 63"),
        (edit("layers", 0, "w", "width", value=9), r"layers\[0\]: 0.weights: expected numbers of type int16, not int8"),
        (edit("layers", 3, "window", value=None), r"layers\[3\]: window: expected an object, not None"),
        (edit("layers", 7, "factor", value=1 << 20), r"layers\[7\]: up: factor must be 1 to 64"),
        (edit("layers", 9, drop=True), "9.bias: no layer has this array"),
        (edit("input", "width", value=16), "source, input, layers or results: conv: made for inputs of"),
        (edit("results", value=["none"]), r"results must name layers, each once, not \('none',\)"),
        (edit("source", value=None), "source, input, layers or results: expected a string, not None"),
    ],
)  # fmt: skip
def test_headers_that_are_refused(change, message, written, tmp_path):
    contents = members(written)
    header = json.loads(contents[HEADER])
    change(header)
    path = pack(tmp_path / "damaged.npz", contents | {HEADER: json.dumps(header).encode()})
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_window_that_is_gone_changes_what_the_layer_takes(written, tmp_path):
    """Legal in itself: 18 features, which no map of the network has; it is found when images run."""
    contents = members(written)
    header = json.loads(contents[HEADER])
    header["layers"][0]["window"] = None
    network = load(pack(tmp_path / "other.npz", contents | {HEADER: json.dumps(header).encode()}))
    with pytest.raises(ValueError, match="conv: expected 36 input channels, not 4"):
        outputs(network, np.zeros(SHAPE, np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({HEADER: b"{"}, "header.json: expected JSON"),
        ({HEADER: b"\xff"}, "header.json: expected JSON"),
        ({HEADER: b"[" * 100_000}, "header.json: expected JSON"),
        ({HEADER: b"7"}, "header.json: format: expected"),
        ({HEADER: b'{"format": 1, "format": 2}'}, "header.json: expected JSON .a name stands twice in one object"),
        ({HEADER: b'{"format": NaN}'}, "header.json: expected JSON .NaN is no number"),
        ({HEADER: b" " * ((1 << 24) + 1)}, "header.json: expected at most 16777216 bytes, not 16777217"),
        ({HEADER: None}, "expected a network file, with a member header.json"),
        ({"0.weights.npy": None}, r"layers\[0\]: expected the array '0.weights', which the file must hold"),
        ({"7.weights.npy": npy(np.zeros(3, np.int8))}, "7.weights: no layer has this array"),
        ({"0.weights": b""}, "0.weights: expected an array of integers .no such name"),
        ({"0.weights.npy": b""}, "0.weights.npy: expected an array of integers"),
        ({"0.weights.npy": npy(np.zeros((18, 4)))}, "signed integers, row by row, not float64"),
        ({"0.weights.npy": npy(np.zeros((18, 4), np.int8).T)}, "signed integers, row by row"),
        ({"0.weights.npy": npy(np.zeros((18, 4), np.int8), version=(2, 0))}, "version 1.0 of the npy format"),
        ({"0.weights.npy": npy(np.zeros((18, 4), ">i2"))}, r"layers\[0\]: 0.weights: expected numbers of type int8"),
        ({"0.weights.npy": npy(np.zeros(72, np.int8))}, r"layers\[0\]: conv: bias \(4,\) does not fit weights \(72,\)"),
        ({"0.weights.npy": npy(np.array([{}], object), allow_pickle=True)}, "signed integers, row by row, not object"),
    ],
)
def test_members_that_are_refused(change, message, written, tmp_path):
    contents = {name: data for name, data in (members(written) | change).items() if data is not None}
    with pytest.raises(InputError, match=message):
        load(pack(tmp_path / "damaged.npz", contents))


def test_what_unfolds_is_refused(written, tmp_path):
    """Compressed members; an array that claims more than its bytes."""
    contents = members(written)
    with pytest.raises(InputError, match=r"expected a network file: a zip archive, stored .a member is compressed"):
        load(pack(tmp_path / "small.npz", contents, zipfile.ZIP_DEFLATED))
    grown = npy(np.zeros((18, 4), np.int8)).replace(b"(18, 4), }        ", b"(1800000000, 4), }")
    assert len(grown) == len(npy(np.zeros((18, 4), np.int8)))
    with pytest.raises(InputError, match=r"0.weights.npy: expected an array of integers .cannot reshape"):
        load(pack(tmp_path / "huge.npz", contents | {"0.weights.npy": grown}))


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"none.npz: cannot be read .No such file"):
        load(tmp_path / "none.npz")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)
    path = tmp_path / "text.npz"
    path.write_text("not a zip")
    with pytest.raises(InputError, match=r"a zip archive, stored .File is not a zip file"):
        load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HEADER, "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(HEADER, "{}")
    with pytest.raises(InputError, match="members overlap"):
        load(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """Every place in a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def survive(path):
    """Load what may be damaged: a network or an InputError, nothing else."""
    with suppress(InputError):
        assert isinstance(load(path), Network)


@given(st.data())
def test_mutated_headers(written, scaled, tmp_path_factory, data):
    contents = members(data.draw(st.sampled_from([written, scaled])))
    header = json.loads(contents[HEADER])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(header))))
        numbers = st.sampled_from([0, -1, 1, 2, 31, 32, 63, 64, 2**31 - 1, -(2**31), 1.5, 1e308])
        edit(*place, value=data.draw(JSON | numbers), drop=data.draw(st.booleans()))(header)
    folder = tmp_path_factory.getbasetemp()
    survive(pack(folder / "mutated.npz", contents | {HEADER: json.dumps(header).encode()}))


@given(st.data())
def test_mutated_bytes(written, tmp_path_factory, data):
    """Truncated, or with bytes replaced anywhere: zip structures, npy headers, JSON."""
    whole = bytearray(written)
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    survive(path)


@given(st.data())
def test_mutated_members(written, tmp_path_factory, data):
    """Past the checksums: the bytes of a member changed, the archive packed anew."""
    contents = members(written)
    name = data.draw(st.sampled_from(sorted(contents)))
    member = bytearray(contents[name])
    for _ in range(data.draw(st.integers(1, 4))):
        member[data.draw(st.integers(0, min(len(member), 400) - 1))] = data.draw(st.integers(0, 255))
    survive(pack(tmp_path_factory.getbasetemp() / "mutated.npz", contents | {name: bytes(member)}))


@pytest.mark.parametrize(("length", "shown"), [(38, 38), (39, 37)])
def test_values_are_shown_up_to_forty_characters(length, shown):
    with pytest.raises(ValueError, match="expected a list") as error:
        read_strings("x" * length)
    text = repr("x" * length)
    assert str(error.value) == f"expected a list, not {text if shown == 38 else text[:37] + '...'}"
