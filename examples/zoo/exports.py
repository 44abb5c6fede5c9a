"""Writes a network as ONNX: `python -m examples.zoo.exports NAME FILE IMAGES.npz EXPORTER [WEIGHTS]`.

Runs in the zoo's own environment, which has torch and torchvision and nothing of Roundel's. Weights are seeded random
ones, or those of a file that torch reads. Random weights alone would
let signals die out or grow from layer to layer, as no trained network's do: so the variance of every batch
normalization is that of the images (count, channels, rows, columns), its mean 0. With the images' mean as well, what
distinguishes two images would grow from layer to layer, and with it every error, onnxruntime's as ours.

torchvision's detectors are written up to the maps behind their heads: what they do with boxes later (suppression) is no
part of the network. Their transforms of images are left out as well.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

SEED = 1
OPSET = 17  # of the older exporter; the newer one has its own
PAIRED = {"ssdlite320_mobilenet_v3_large": 2}
"""Images at once where the last maps have one value a channel, which has no variance."""
SUPPRESSIONS = ("nms", "qnms")  # operators that torchvision names when it is loaded, and that no network here runs


class Maps(nn.Module):
    """Backbone and heads of a torchvision detector: what its heads give, one tensor for each kind."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head(list(self.backbone(x).values())).values())


class FirstOf(nn.Module):
    """The one tensor of a segmentation network's results."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)["out"]


def torchvision_network(name: str) -> nn.Module:
    """A network of torchvision with random weights."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in SUPPRESSIONS:  # a torchvision that was built for CUDA does not bring them beside a torch without
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

    detectors = {"ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn", "fcos_resnet50_fpn"}
    if name in detectors:
        return Maps(models.get_model(name, weights=None, weights_backbone=None))
    if name == "lraspp_mobilenet_v3_large":
        return FirstOf(models.get_model(name, weights=None, weights_backbone=None))
    return models.get_model(name, weights=None)


def own_network(name: str) -> nn.Module:
    """A network of `examples/zoo/networks`."""
    from examples.zoo.networks import faces, others, yolo

    networks: dict[str, Callable[[], nn.Module]] = {
        "yolov3_tiny": yolo.YoloV3Tiny,
        "yolov5n": yolo.YoloV5n,
        "yolov8n": yolo.YoloV8n,
        "yolox_nano": others.YoloXNano,
        "centernet": others.CenterNet,
        "pnet": faces.PNet,
        "unet": others.UNet,
    }
    if name == "centernet":
        torchvision_network("resnet18")  # defines the operators that loading torchvision asks for
    return networks[name]()


def settle(network: nn.Module, images: Tensor, at_once: int = 1) -> nn.Module:
    """Take the statistics of all batch normalizations from images, and give the network as it is used."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all runs
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.no_grad():
        for batch in images.split(at_once):
            network(batch)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
    return network.eval()


def export(name: str, file: Path, images: np.ndarray, *, dynamo: bool, weights: Path | None = None) -> None:
    """Write a network for one image at a time.

    Parameters
    ----------
    name
        `torchvision:NAME` or `own:NAME`.
    file
        What to write.
    images
        (count, channels, rows, columns) as the network takes them.
    dynamo
        By the newer exporter of torch, or by the older one.
    weights
        A file of trained ones; None: random ones.
    """
    torch.manual_seed(SEED)
    home, _, kind = name.partition(":")
    network = {"torchvision": torchvision_network, "own": own_network}[home](kind)
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        network.eval()
    with torch.random.fork_rng():
        settle(network, torch.from_numpy(images), PAIRED.get(kind, 1))
    image = torch.from_numpy(images[:1])
    if dynamo:
        program = torch.onnx.export(network, (image,), dynamo=True, verbose=False)
        onnx.save(program.model_proto, file)
    else:
        torch.onnx.export(network, (image,), file, dynamo=False, opset_version=OPSET, input_names=["image"])


def main(arguments: Sequence[str]) -> None:
    name, file, images, exporter, *weights = arguments
    with np.load(images) as arrays:
        array = np.ascontiguousarray(arrays["images"], np.float32)
    warnings.simplefilter("ignore")
    export(name, Path(file), array, dynamo=exporter == "dynamo", weights=Path(weights[0]) if weights else None)


if __name__ == "__main__":
    main(sys.argv[1:])
