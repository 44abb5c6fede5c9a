"""Print what quantization costs the digits network, as the Markdown table of docs/quantization.md.

Run `python examples/digits/accuracy.py` in an environment where Roundel is installed.
"""

import numpy as np

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.network import run
from roundel.graph import load_images
from roundel.quantization import QuantizeOptions, quantize

CASES = [
    *(
        QuantizeOptions(weight_bits=bits, activation_bits=bits, window=window)
        for bits in (8, 6, 4, 3)
        for window in (0, 2)
    ),
    QuantizeOptions(weight_bits=4),
    QuantizeOptions(activation_bits=4),
    QuantizeOptions(weight_bits=4, activation_bits=4, bias_bits=4),
    *(QuantizeOptions(weight_bits=bits, activation_bits=bits, per_channel=True) for bits in (8, 4, 3)),
]


def main() -> None:
    graph = read_onnx(DIGITS / "digits.onnx")
    calibration = load_images(DIGITS / "calibration.npz", graph)
    held_out = load_images(DIGITS / "heldout.npz", graph)
    expected = graph.run(held_out.images).astype(np.float64)
    print("| weights | activations | bias | window | shifts | digits right | same as float | SQNR of the scores, dB |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| float | float | float | - | - | {held_out.accuracy(expected):.2%} | 100.00% | - |")
    for case in CASES:
        network = quantize(graph, calibration.images, case).network
        integers = run(network, network.encode(held_out.images))
        error = np.sum((network.output.decode(integers) - expected) ** 2)
        same = (integers.argmax(axis=1) == expected.argmax(axis=1)).mean()
        sqnr = 10 * np.log10(np.sum(expected**2) / error)
        bits = f"{case.weight_bits} | {case.activation_bits} | {case.bias_bits} | {case.window}"
        shifts = "per channel" if case.per_channel else "per layer"
        print(f"| {bits} | {shifts} | {held_out.accuracy(integers):.2%} | {same:.2%} | {sqnr:.1f} |")


if __name__ == "__main__":
    main()
