"""Warnings about images: figures against NumPy's own, and silence for images that are like the calibration images."""

import json

import numpy as np
import pytest

import roundel
from roundel.data import DETECTOR, DIGITS
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import load, load_meta, save
from roundel.graph import read_npz
from roundel.quantization import ImageStatistics, calibration_warnings, input_warnings
from tests.support.command import call

BYTE = Format(width=8, signed=False, fraction=0)
CALIBRATION, HELD_OUT = DIGITS / "calibration.npz", DIGITS / "heldout.npz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits network, compressed."""
    folder = tmp_path_factory.mktemp("statistics") / "digits"
    roundel.compress(DIGITS / "digits.onnx", CALIBRATION, held_out=HELD_OUT).save(folder)
    return folder


def test_figures_are_those_of_the_images(digits):
    images = read_npz(CALIBRATION)["images"]
    kept = roundel.CompressedNetwork.load(digits).calibration
    assert kept == ImageStatistics(images=len(images), dtype="uint8", whole=True, least=0.0, greatest=16.0)
    assert (images.min(), images.max()) == (0, 16)
    assert ImageStatistics.from_dict(json.loads(json.dumps(kept.as_dict()))) == kept
    assert json.loads((digits / "report.json").read_text())["calibration"] == kept.as_dict()
    program = roundel.compile(digits, "tiny")
    assert program.source.calibration == kept
    rng = np.random.default_rng(1)
    halves = rng.integers(-9, 9, (3, 1, 4, 4)) / 2
    assert ImageStatistics.of(halves) == ImageStatistics(
        images=3, dtype="float64", whole=False, least=float(halves.min()), greatest=float(halves.max())
    )


def test_a_program_keeps_them(digits, tmp_path):
    roundel.compile(digits, "tiny").save(tmp_path / "program")
    program = roundel.EngineProgram.load(tmp_path / "program")
    assert program.source.calibration == roundel.CompressedNetwork.load(digits).calibration
    images = read_npz(HELD_OUT)["images"][:4].astype(np.float32)
    (warning,) = roundel.run(program, images * 16).warnings
    assert "far beyond the calibration images: they span 0 to 256, the calibration images 0 to 16" in warning


def test_digits_of_sixteen_times_their_range(digits, tmp_path, capsys):
    """What gave 45 % right without a word."""
    with np.load(HELD_OUT) as file:
        images = file["images"].astype(np.float32) * 16
        np.savez(tmp_path / "wide.npz", images=images, labels=file["labels"])
    assert call("run", digits, "--input", tmp_path / "wide.npz", "-o", tmp_path / "out", "--json") == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["accuracy"] < 0.5
    share = (images > 16 * 1.25).mean()
    assert (
        f"warning: wide.npz: {share:.2%} of the values (more than 5% in 400 of 400 images) are far beyond"
        in printed.err
    )
    assert printed.err == f"warning: {figures['warnings'][0]}\n"
    assert str(tmp_path) not in printed.err
    assert roundel.Run.load(tmp_path / "out").warnings == figures["warnings"]
    assert call("run", digits, "--input", HELD_OUT, "-o", tmp_path / "out") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda images: images, None),
        (lambda images: images.astype(np.uint8), None),
        (lambda images: images[:1], None),
        (lambda images: images * 0.9, "they are float64, with fractions, the calibration images float64, whole"),
        (lambda images: images / 255, "they span 0 to 1, the calibration images 0 to 255, of which that is 0.39%"),
        (lambda images: images * 2 - 255, "beyond 0 to 255, which is all that the network's input holds, and clamped"),
        (lambda images: images * 257, "beyond 0 to 255"),
        (lambda images: images - 128, "they span -128 to 127, the calibration images 0 to 255"),
        (lambda images: images.astype(np.uint8).view(np.int8), "they span -128 to 127"),
    ],
)
def test_ranges_and_types(change, expected):
    rng = np.random.default_rng(3)
    calibration = rng.integers(0, 256, (20, 3, 8, 8)).astype(np.float64)
    calibration[0, 0, 0, :2] = 0, 255
    warnings = input_warnings("images", change(calibration), BYTE, ImageStatistics.of(calibration))
    assert len(warnings) == (expected is not None)
    if expected:
        assert expected in warnings[0]
        assert warnings[0].endswith("scale the images as the calibration images were scaled, or calibrate on images "
                                    "like these")  # fmt: skip


def test_the_share_that_is_clamped_is_counted():
    """Of one image in ten half of the values are beyond, by more than a step; nothing else is."""
    images = np.full((10, 1, 4, 4), 255.9)
    images[3, :, :2] = 300
    (warning,) = input_warnings("images", images, BYTE)
    assert "5.00% of the values (more than 5% in 1 of 10 images) are beyond 0 to 255" in warning
    assert "they span 255.9 to 300, the calibration images are not known" in warning
    many = np.full((200, 1, 4, 4), 255.9)
    many[4, 0, 0, 0] = 256.1  # one value of 16, and less than 1 % of all, but more than 5 % of an image
    (warning,) = input_warnings("images", many, BYTE)
    assert "0.03% of the values (more than 5% in 1 of 200 images)" in warning
    many[4] = 256
    assert input_warnings("images", many, BYTE) == []


def test_images_without_a_sign_for_a_network_with_one():
    form = Format(width=8, signed=True, fraction=5)
    calibration = ImageStatistics(images=9, dtype="float32", whole=False, least=-2.1, greatest=2.4)
    images = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    (warning,) = input_warnings("images", images, form, calibration)
    assert "none of them is negative: they span 0 to 1, the calibration images -2.1 to 2.4" in warning
    assert input_warnings("images", 2 * images - 1, form, calibration) == []


def test_calibration_that_chooses_nothing():
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (8, 3, 6, 6))
    assert calibration_warnings(images) == []
    assert calibration_warnings(images[:1]) == []
    flat = images.copy()
    flat[:4] = 9
    assert calibration_warnings(flat) == []
    flat[4] = 3
    (warning,) = calibration_warnings(flat)
    assert "calibration images: 5 of 8 are constant" in warning
    (warning,) = calibration_warnings(np.zeros_like(images, dtype=np.float32))
    assert "every value of all 8 is 0" in warning
    (warning,) = calibration_warnings(images[:1].repeat(8, axis=0))
    assert "all 8 are the same" in warning
    assert calibration_warnings(rng.normal(size=(5, 1))) == []  # of one feature each image is one number


def test_compress_says_so(tmp_path, capsys):
    np.savez(tmp_path / "blank.npz", images=np.zeros((4, 1, 8, 8), np.uint8))
    arguments = ("compress", DIGITS / "digits.onnx", "--calibration", tmp_path / "blank.npz", "--held-out", HELD_OUT)
    assert call(*arguments, "-o", tmp_path / "out") == 0
    error, page = capsys.readouterr().err, (tmp_path / "out" / "report.md").read_text()
    assert "warning: calibration images: every value of all 4 is 0" in error
    assert "warning: held-out images: " in error
    assert "## Warnings\n\n- calibration images: every value of all 4 is 0" in page


def test_silent_on_the_example():
    network = roundel.compress(DETECTOR / "detector.onnx", DETECTOR / "calibration.npz")
    assert network.warnings == []
    arrays = read_npz(DETECTOR / "heldout.npz")["images"]
    assert input_warnings("images", arrays, network.network.input, network.calibration) == []


def test_files_without_them_and_damaged_ones(digits, tmp_path):
    network, meta = load(digits / "network.npz"), load_meta(digits / "network.npz")
    older = {name: value for name, value in meta.items() if name not in ("calibration", "streams")}
    save(network, tmp_path / "network.npz", older)
    assert roundel.compile(tmp_path / "network.npz", "tiny").source.calibration is None
    good = meta["calibration"]
    for bad in (7, {}, good | {"more": 1}, good | {"least": "0"}, good | {"images": True}, good | {"dtype": 8}):
        save(network, tmp_path / "network.npz", older | {"calibration": bad})
        with pytest.raises(InputError, match=r"network\.npz: meta: calibration: "):
            roundel.compile(tmp_path / "network.npz", "tiny")
