"""`roundel run --image`: picture files from disk to boxes in their own pixels, in files, tables and drawings."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import roundel
from roundel.graph import read_npz
from tests.support.command import call

DETECTOR = Path(str(files("roundel.data"))) / "detector"
HEAD = ("--head", DETECTOR / "detector.toml")
UNIT = 1 / 255


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "detector"
    small = roundel.compress(DETECTOR / "detector_sparse.onnx", DETECTOR / "calibration.npz")
    small.save(folder)
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A held-out scene as a picture, at the size that the network takes."""
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    image = read_npz(DETECTOR / "heldout.npz", ("images",))["images"][0, 0].astype(np.float64)
    Image.fromarray(np.rint(np.clip(image / image.max(), 0, 1) * 255).astype(np.uint8)).save(path)
    return path


def scaling(network: Path) -> tuple[str, ...]:
    """Options that make bytes what the calibration images were."""
    greatest = roundel.CompressedNetwork.load(network).calibration.greatest
    return ("--scale", f"{greatest / 255}")


def test_the_size_of_the_network_gives_what_arrays_give(network: Path, scene: Path, tmp_path: Path, capsys) -> None:
    _, scale = scaling(network)
    np.savez(tmp_path / "a.npz", images=np.asarray(Image.open(scene))[None, None].astype(np.float32) * float(scale))
    assert call("run", network, "--input", tmp_path / "a.npz", *HEAD, "-o", tmp_path / "arrays") == 0
    capsys.readouterr()
    options = ("--image", scene, "--scale", scale, *HEAD, "-o", tmp_path / "out")
    assert call("run", network, *options) == 0
    said = capsys.readouterr().out
    arrays, found = read_npz(tmp_path / "arrays" / "boxes.npz"), read_npz(tmp_path / "out" / "boxes.npz")
    assert len(found["boxes"]) > 2
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
    [row] = json.loads((tmp_path / "out" / "run.json").read_text())["pictures"]
    assert (row["file"], row["size"], len(row["boxes"])) == (str(scene), [96, 96], len(found["boxes"]))
    first = row["boxes"][0]
    assert first["box"] == found["boxes"][0].tolist()
    assert first["class"] == str(found["classes"][0])
    assert "boxes in pixels of the pictures" in said
    assert f"{first['probability']:.3f}" in said
    assert f"{len(found['boxes'])} boxes kept in 1 images" in said


def test_larger_pictures_have_the_same_boxes_in_their_own_pixels(network: Path, scene: Path, tmp_path: Path) -> None:
    """Three times as large, which the network sees a little blurred; and grey in colours, which is the same."""
    _, scale = scaling(network)
    image = np.asarray(Image.open(scene))
    Image.fromarray(image.repeat(3, axis=0).repeat(3, axis=1)).save(tmp_path / "large.png")
    colours = np.stack([image] * 3 + [np.full_like(image, 255)], axis=-1)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    pictures = roundel.Pictures([scene, tmp_path / "large.png", tmp_path / "colours.png"], scale=float(scale))
    run = roundel.run(network, pictures, head=HEAD[1])
    ids = run.boxes["image_ids"]
    own, large, colours = (run.boxes["boxes"][ids == number] for number in range(3))
    assert len(own) == len(large) > 2
    np.testing.assert_allclose(large, own * 3, atol=9)  # three pixels of the network's
    np.testing.assert_array_equal(colours, own)
    assert [row["size"] for row in run.figures["pictures"]] == [[96, 96], [288, 288], [96, 96]]


def test_boxes_beside_the_picture_are_none(network: Path, scene: Path, tmp_path: Path) -> None:
    """A narrow strip of a scene: all boxes lie within it, the bars to its left and right have none."""
    _, scale = scaling(network)
    Image.fromarray(np.asarray(Image.open(scene))[:, 30:66]).save(tmp_path / "narrow.png")
    run = roundel.run(network, roundel.Pictures(tmp_path / "narrow.png", scale=float(scale), pad=0), head=HEAD[1])
    boxes = run.boxes["boxes"]
    assert (boxes >= 0).all()
    assert (boxes <= [36, 96, 36, 96]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert run.figures["boxes"] == [len(boxes)]


def test_drawings_have_the_boxes(network: Path, scene: Path, tmp_path: Path) -> None:
    """A pixel of each outline has a colour that the grey picture has not; names are told apart by numbers."""
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    shutil.copy(scene, folder / "scene.png")
    Image.open(scene).save(folder / "b" / "scene.jpg", quality=95)
    images = ("--image", folder / "scene.png", "--image", folder / "b")
    assert call("run", network, *images, *scaling(network), *HEAD, "-o", tmp_path / "out") == 0
    drawn = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert drawn == ["scene.png", "scene_2.png"]
    with Image.open(tmp_path / "out" / "pictures" / "scene.png") as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (480, 480, 3)  # small pictures are drawn larger
    coloured = pixels.max(axis=2) - pixels.min(axis=2) > 40
    found = read_npz(tmp_path / "out" / "boxes.npz")
    for x1, _, x2, y2 in np.rint(found["boxes"][found["image_ids"] == 0] * 5).astype(int):
        assert coloured[min(y2 - 1, 479), (x1 + x2) // 2]
    with Image.open(tmp_path / "out" / "pictures" / "scene_2.png") as image:
        assert image.size == (480, 480)


def test_saved_runs_are_read_again(network: Path, scene: Path, tmp_path: Path) -> None:
    run = roundel.run(network, roundel.Pictures(scene, scale=UNIT), head=HEAD[1])
    run.save(tmp_path / "out")
    again = roundel.Run.load(tmp_path / "out")
    assert again.figures == run.figures
    np.testing.assert_array_equal(again.boxes["boxes"], run.boxes["boxes"])


def test_a_network_without_boxes_gives_its_outputs(network: Path, scene: Path) -> None:
    run = roundel.run(network, roundel.Pictures(scene, scale=UNIT))
    assert run.boxes is None
    assert "pictures" not in run.figures
    assert set(run.integers) == {"cls8", "box8", "cls16", "box16"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected either --input or --image"),
        (("--image", "a.png", "--input", "b.npz"), "expected either --input or --image"),
        (("--input", "b.npz", "--scale", "1/255"), "--mean, --scale and --bgr: expected --image with them"),
        (("--image", "a.png", "--scale", "1/0"), "--scale '1/0': expected numbers such as 0.5 or 1/255, with commas"),
        (("--image", "a.png", "--mean", "x,1"), "--mean 'x,1': expected numbers such as 0.5 or 1/255, with commas"),
        (("--image", "a.png"), "a.png: expected a picture or a folder of pictures, but there is none"),
        (("--image", "cut.png"), "cut.png: the picture is damaged or cut short: "),
        (("--image", "words.png"), "words.png: expected a picture such as PNG or JPEG, but it is none"),
        (("--image", "words.png", "--mean", "1,2,3"), "mean: expected 1 numbers, not 3"),
    ],
)
def test_bad_input_is_one_line(
    network: Path, scene: Path, tmp_path: Path, monkeypatch, capsys, arguments: tuple, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.png").write_bytes(scene.read_bytes()[:1000])
    Path("words.png").write_text("words")
    scale = ("--scale", "1/255") if "--image" in arguments and not {"--scale", "--mean"} & set(arguments) else ()
    assert call("run", network, *arguments, *scale, *HEAD, "-o", "out") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("out").exists()
