"""Network files: a second reader, made from docs/network_file.md, runs them to the same integers as golden."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.golden.network import load, load_meta, outputs, save
from roundel.golden.network.file import HEADER
from roundel.golden.requant import Scheme
from tests.support import network_reference as reference
from tests.support.random_network import random_network

META = {"made by": "a test", "figures": {"top": [0.5, 2]}}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A network file and its bytes."""
    path = tmp_path_factory.mktemp("network") / "network.npz"
    save(random_network(0)[0], path, META)
    return path, path.read_bytes()


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32])
def test_a_reader_made_from_the_page_agrees(scheme, case, seed, tmp_path):
    """Every layer of every kind gives the same integers."""
    network, images = random_network(10 * seed + case, scheme)
    network = replace(network, results=tuple(layer.name for layer in network.layers))
    path = tmp_path / "network.npz"
    save(network, path)
    found = reference.run(reference.read(path), reference.Tensor(images.shape, images.ravel().tolist()))
    expected = outputs(network, images)
    assert list(found) == list(expected)
    assert len(np.unique(expected["conv"])) > 9
    for name, values in expected.items():
        assert found[name].shape == values.shape
        assert found[name].values == values.ravel().tolist()


@pytest.mark.parametrize("scheme", [Scheme.SHIFT, Scheme.FLOAT32])
def test_what_is_loaded_is_what_was_saved(scheme, seed, tmp_path):
    network, images = random_network(seed, scheme)
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save(network, first, META)
    loaded = load(first)
    save(loaded, second, load_meta(first))
    assert first.read_bytes() == second.read_bytes()
    assert load_meta(second) == META
    for name, values in outputs(network, images).items():
        assert np.array_equal(outputs(loaded, images)[name], values)


def test_numpy_opens_it(written):
    network, _ = random_network(0)
    with np.load(written[0], allow_pickle=False) as archive:
        assert json.loads(archive[HEADER])["meta"] == META
        assert np.array_equal(archive["0.weights"], network.layers[0].weights)
        assert archive["0.weights"].dtype == np.int8
        assert archive.zip.namelist() == sorted(archive.zip.namelist())
        assert {info.date_time for info in archive.zip.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive["0.bias"].dtype == np.int16


def test_saving_replaces_and_leaves_nothing_else(written, tmp_path):
    path = tmp_path / "network.npz"
    path.write_text("old")
    save(random_network(0)[0], path, META)
    assert path.read_bytes() == written[1]
    assert [item.name for item in tmp_path.iterdir()] == ["network.npz"]
    with pytest.raises(InputError, match=r"missing/network.npz: cannot be written \(No such file or directory\)"):
        save(random_network(0)[0], tmp_path / "missing" / "network.npz")
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(random_network(0)[0], path, {"figure": float("nan")})
    assert path.read_bytes() == written[1]


def test_members_look_alike_wherever_they_are_written(written):
    """Stored, in the order of their names, from zip's first day, readable by all."""
    with zipfile.ZipFile(written[0]) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    looks = {
        (info.compress_type, info.date_time, info.create_system, info.external_attr >> 16, info.external_attr & 0xFFFF)
        for info in infos
    }
    assert looks == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 3, 0o644, 0)}
