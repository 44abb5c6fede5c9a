"""Detectors of torchvision, written as ONNX with decoded boxes, and what `postprocess_detections` keeps of images.

`python torchvision_detectors.py FOLDER` runs in an environment that has torch and torchvision, and nothing of Roundel:
the zoo's. Backbones are two convolutions, heads are torchvision's own with random weights. For each of `KINDS` the
folder gets `KIND_script.onnx` and `KIND_dynamo.onnx`, of torch's older and newer exporter, `KIND_whole.onnx`, with
`postprocess_detections` in it, and `KIND.npz`: `images`, and `boxes`, `scores`, `labels` and `image_ids` of all kept.

A torchvision that was built for another torch brings no operator `nms`: it is then a loop here, and `batched_nms` and
all the rest are torchvision's.
"""

import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

KINDS = ("retinanet", "fcos", "ssd")
SIZE = (64, 96)
CLASSES, IMAGES, SEED = 4, 3, 1
STRIDES = (8, 16)


def suppressed(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """GreedyNMS, as the operator `nms` is described."""
    from torchvision.ops import box_iou

    kept, gone = [], torch.zeros(len(scores), dtype=torch.bool)
    for place in scores.argsort(descending=True, stable=True).tolist():
        if not gone[place]:
            kept.append(place)
            gone |= box_iou(boxes[place : place + 1], boxes)[0] > iou_threshold
    return torch.tensor(kept, dtype=torch.int64)


def _yes() -> bool:
    return True


def with_nms() -> None:
    """Define the operators that torchvision does not bring."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torch.library.impl("torchvision::nms", "CPU", suppressed, lib=library)
    with_nms.library = library  # type: ignore[attr-defined]  # it ends with its object
    import torchvision.extension

    torchvision.extension._has_ops = _yes


class Body(nn.Module):
    """Maps at two strides."""

    def __init__(self, depth: int = 32) -> None:
        super().__init__()
        self.out_channels = depth
        self.first = nn.Conv2d(3, depth, 3, STRIDES[0], 1)
        self.second = nn.Conv2d(depth, depth, 3, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x).relu()
        return OrderedDict({"0": first, "1": self.second(first).relu()})


def detector(kind: str) -> nn.Module:
    """A detector of a kind, whose scores reach its threshold here and there."""
    from torchvision.models.detection import FCOS, RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    torch.manual_seed(SEED)
    body = Body()
    if kind == "retinanet":
        anchors = AnchorGenerator(((16, 20, 25), (32, 40, 50)), ((0.5, 1.0, 2.0),) * 2)
        made = RetinaNet(body, CLASSES, anchor_generator=anchors)
    elif kind == "fcos":
        made = FCOS(body, CLASSES, anchor_generator=AnchorGenerator(((8,), (16,)), ((1.0,),) * 2))
    else:
        boxes = DefaultBoxGenerator([[2], [2]], scales=[0.2, 0.4, 0.7], steps=list(STRIDES))
        body.out_channels = [body.out_channels] * 2
        made = SSD(body, boxes, SIZE, CLASSES, topk_candidates=1000)
    for name, values in made.head.named_parameters():
        nn.init.normal_(values, 0, (0.05 if "regression" in name else 0.15) if values.ndim > 1 else 0.3)
    return made.eval()


class Decoded(nn.Module):
    """All boxes and their scores."""

    def __init__(self, made: nn.Module) -> None:
        super().__init__()
        self.made = made

    def _heads(self, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor], list[Tensor]]:
        from torchvision.models.detection.image_list import ImageList

        maps = list(self.made.backbone(x).values())
        return maps, self.made.head(maps), self.made.anchor_generator(ImageList(x, [SIZE]), maps)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, heads, [anchors] = self._heads(x)
        [moves] = heads["bbox_regression"]
        if "bbox_ctrness" in heads:
            scores = torch.sqrt(heads["cls_logits"].sigmoid() * heads["bbox_ctrness"].sigmoid())
            return self.made.box_coder.decode(moves, anchors), scores
        boxes = self.made.box_coder.decode_single(moves, anchors)
        return boxes, heads["cls_logits"].softmax(-1) if is_ssd(self.made) else heads["cls_logits"].sigmoid()


class Whole(Decoded):
    """With `postprocess_detections` behind."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, heads, anchors = self._heads(x)
        if not is_ssd(self.made):
            counts = [values.shape[2] * values.shape[3] for values in maps]
            each = heads["cls_logits"].shape[1] // sum(counts)
            counts = [count * each for count in counts]
            heads = {name: list(values.split(counts, dim=1)) for name, values in heads.items()}
            anchors = [list(values.split(counts)) for values in anchors]
        [found] = self.made.postprocess_detections(heads, anchors, [SIZE])
        return found["boxes"], found["scores"], found["labels"]


def is_ssd(made: nn.Module) -> bool:
    return type(made).__name__ == "SSD"


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    with_nms()
    for kind in KINDS:
        made = detector(kind)
        images = torch.rand(IMAGES, 3, *SIZE, generator=torch.Generator().manual_seed(SEED))
        with torch.no_grad():
            rows = [[values.numpy() for values in Whole(made)(image[None])] for image in images]
        boxes, scores, labels = (np.concatenate(part) for part in zip(*rows, strict=True))
        ids = np.repeat(np.arange(IMAGES), [len(part[0]) for part in rows])
        np.savez(
            folder / f"{kind}.npz", images=images.numpy(), boxes=boxes, scores=scores, labels=labels, image_ids=ids
        )
        for name, network in (("script", Decoded(made)), ("whole", Whole(made))):
            torch.onnx.export(
                network, (images[:1],), folder / f"{kind}_{name}.onnx", dynamo=False, opset_version=17,
                input_names=["image"],
            )  # fmt: skip
        program = torch.onnx.export(Decoded(made), (images[:1],), dynamo=True, verbose=False)
        onnx.save(program.model_proto, folder / f"{kind}_dynamo.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
