"""The wide detector as a plain torch module: 64 channels in every layer, so that patterns of channels have a choice.

[R] A stem of stride 4, two stages with a residual block each, a neck that joins them, and at each scale the anchor-free
head of `examples/detector`: logits of 10 classes, and distances to the sides of the box in strides of the scale.
"""

import torch
from torch import Tensor, nn

from examples.detector.learning import CLASSES, STRIDES

WIDTH = 64
PIXEL = 256
OUTPUTS = ("cls8", "box8", "cls16", "box16")  # as in roundel/data/detector/detector.toml


class Conv(nn.Sequential):
    """A convolution that keeps the size at stride 1, and batch normalization; the activation stands in `Wide`."""

    def __init__(self, read: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(read, WIDTH, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(WIDTH),
        )


class Wide(nn.Module):
    """Images (batch, 1, 96, 96) of whole numbers 0 to 255 to the tensors of `OUTPUTS`; distances not below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(1, 5, stride=4)
        self.down8, self.block8 = Conv(WIDTH, 3, stride=2), Conv(WIDTH, 3)
        self.down16, self.block16 = Conv(WIDTH, 3, stride=2), Conv(WIDTH, 3)
        self.lateral, self.merge, self.last8 = Conv(WIDTH, 1), Conv(2 * WIDTH, 1), Conv(WIDTH, 3)
        self.cls8, self.cls16 = (nn.Conv2d(WIDTH, CLASSES, 1) for _ in STRIDES)
        self.box8, self.box16 = (nn.Conv2d(WIDTH, 4, 1) for _ in STRIDES)
        for name in OUTPUTS:  # start from rare objects, and boxes of two strides
            head = getattr(self, name)
            nn.init.normal_(head.weight, std=0.01)
            nn.init.constant_(head.bias, -4.0 if name.startswith("cls") else 1.0)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        fine = torch.relu(self.down8(torch.relu(self.stem(images / PIXEL))))
        fine = torch.relu(self.block8(fine) + fine)
        coarse = torch.relu(self.down16(fine))
        coarse = torch.relu(self.block16(coarse) + coarse)
        above = nn.functional.interpolate(torch.relu(self.lateral(coarse)), scale_factor=2.0, mode="nearest")
        fine = torch.relu(self.merge(torch.cat([fine, above], dim=1)))
        fine = torch.relu(self.last8(fine))
        return self.cls8(fine), torch.relu(self.box8(fine)), self.cls16(coarse), torch.relu(self.box16(coarse))
