"""Train the digits network: 8 x 8 real handwritten digits, three convolutions and a dense layer.

Run `python examples/digits/train.py` (needs scikit-learn, torch and onnx: `pip install -e .[train]`). Split,
augmentation and initial weights all follow from `SEED`; it takes about a minute on two cores and writes, beside itself:

- `digits.onnx`: the trained network, with its batch normalizations as nodes of their own;
- `heldout.npz`: the images and labels that training never saw;
- `calibration.npz`: a few images of the training part, for choosing fractional bits.

Images are the raw pixels 0 to 16 of the data set, uint8, (count, 1, 8, 8); the network takes them as they are.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn

from roundel.data import DIGITS

SEED = 20240601
HELD_OUT = 400
CALIBRATION = 128
EPOCHS = 30
BATCH = 64
CHANNELS = (16, 32, 32)


class Digits(nn.Module):
    """conv-bn-relu, conv-bn-relu, maxpool, conv-bn-relu, maxpool, dense: 15,498 parameters."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three = CHANNELS
        self.conv1, self.norm1 = nn.Conv2d(1, one, 3, padding=1), nn.BatchNorm2d(one)
        self.conv2, self.norm2 = nn.Conv2d(one, two, 3, padding=1), nn.BatchNorm2d(two)
        self.conv3, self.norm3 = nn.Conv2d(two, three, 3, padding=1), nn.BatchNorm2d(three)
        self.dense = nn.Linear(three * 2 * 2, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm1(self.conv1(image)))
        x = torch.max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2)
        x = torch.max_pool2d(torch.relu(self.norm3(self.conv3(x))), 2)
        return self.dense(x.flatten(1))


def split() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The data set in three named parts, each (images, labels); calibration is a part of training."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(images))
    parts = {
        "heldout": order[:HELD_OUT],
        "training": order[HELD_OUT:],
        "calibration": order[HELD_OUT : HELD_OUT + CALIBRATION],
    }
    return {name: (images[index], labels[index]) for name, index in parts.items()}


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every image moved by -1, 0 or 1 pixel in x and in y, at random: the only augmentation."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    dy, dx = torch.randint(0, 3, (2, len(images), 1), generator=generator)
    rows, columns = dy + torch.arange(8), dx + torch.arange(8)
    return padded[torch.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def train(images: np.ndarray, labels: np.ndarray) -> Digits:
    """Adam with a one-cycle learning rate and label smoothing; the last epoch's network, nothing selected."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    x, y = torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            loss(model(shifted(x[index], generator)), y[index]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def to_onnx(model: Digits) -> onnx.ModelProto:
    """The network as ONNX with readable names, built by hand: one node an operator, nothing folded."""
    nodes: list[onnx.NodeProto] = []
    tensors = {name: value.detach().numpy() for name, value in model.state_dict().items()}

    def add(operator: str, name: str, x: str, *weights: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operator, [x, *weights], [f"{name}_out"], name=name, **attributes))
        return nodes[-1].output[0]

    x = "image"
    for i in (1, 2, 3):
        weights = [f"conv{i}.weight", f"conv{i}.bias"]
        x = add("Conv", f"conv{i}", x, *weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        statistics = [f"norm{i}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        x = add("BatchNormalization", f"norm{i}", x, *statistics, epsilon=model.norm1.eps)
        x = add("Relu", f"relu{i}", x)
        if i > 1:
            x = add("MaxPool", f"pool{i}", x, kernel_shape=[2, 2], strides=[2, 2])
    x = add("Flatten", "flatten", x, axis=1)
    add("Gemm", "dense", x, "dense.weight", "dense.bias", transB=1)
    nodes[-1].output[0] = "scores"

    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items() if name in used],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="roundel-digits")
    result.ir_version = 8  # readable by every onnxruntime since 1.12
    onnx.checker.check_model(result, full_check=True)
    return result


def main() -> None:
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    parts = split()
    model = train(*parts["training"])
    for name, (images, labels) in parts.items():
        with torch.no_grad():
            right = int((model(torch.tensor(images, dtype=torch.float32)).argmax(1).numpy() == labels).sum())
        print(f"{name}: {right} of {len(labels)} right ({right / len(labels):.2%})")
    onnx.save(to_onnx(model), str(DIGITS / "digits.onnx"))
    for name in ("heldout", "calibration"):
        images, labels = parts[name]
        np.savez_compressed(DIGITS / f"{name}.npz", images=images, labels=labels)


if __name__ == "__main__":
    main()
