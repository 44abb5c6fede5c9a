"""Write the tables of docs/finetuning.md: `python docs/make/finetuning.py`, a few seconds, without torch.

What the fine-tuned digits network of examples/digits gets right, and how large it is.
"""

from dataclasses import replace
from pathlib import Path

from figures import replace as put

from roundel.compression.opq_table import opq_table
from roundel.frontend import read_onnx
from roundel.golden.codec import CodecParams, Packing, encode
from roundel.golden.network import run
from roundel.golden.opq import LayerPlan, OpqParams, opq
from roundel.graph import Conv, Dense, Graph, Images, fold, layer_codes, layer_weights, load_images
from roundel.quantization import QuantizeOptions, quantize
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
DIGITS = PAGE.parents[1] / "roundel" / "data" / "digits"
PLAN = OpqParams(sparsity=0.8, bits=4, max_width=4, power_of_two=True)
CODECS = {
    "`rice`, 1 slice": CodecParams(packing=Packing.RICE, width=4, slices=1),
    "`rice`, 4 slices": CodecParams(packing=Packing.RICE, width=4, slices=4),
    "`relative`": CodecParams(packing=Packing.RELATIVE, width=4),
    "`mask`": CodecParams(packing=Packing.MASK, width=4),
}
SHOWN = "`rice`, 4 slices"


def main(page: Path = PAGE) -> None:
    before, after = fold(read_onnx(DIGITS / "digits.onnx")), read_onnx(DIGITS / "digits_sparse.onnx")
    plans = opq(layer_weights(before), PLAN)
    text = page.read_text(encoding="utf-8")
    for name, lines in {
        "accuracy": accuracy_table(before, plans, after),
        "sizes": size_table(plans, after),
        "ratio": [ratio(plans, after)],
    }.items():
        text = put(text, name, "\n".join(lines))
    page.write_text(text, encoding="utf-8")


def accuracy_table(before: Graph, plans: dict[str, LayerPlan], after: Graph) -> list[str]:
    """Held-out digits right at each stage."""
    calibration, held_out = (load_images(DIGITS / f"{name}.npz", before) for name in ("calibration", "heldout"))
    planned = [
        replace(node, weights=plans[node.name].values) if isinstance(node, Conv | Dense) else node
        for node in before.nodes
    ]
    stages = {
        "as trained": before,
        "pruned and quantized, no fine-tuning": replace(before, nodes=tuple(planned)),
        "fine-tuned": after,
    }
    rows = [[name, "float", f"{held_out.accuracy(graph.run(held_out.images)):.2%}"] for name, graph in stages.items()]
    for bits in (8, 4):
        rows.append(["fine-tuned", f"{bits} bits", f"{integer(after, calibration, held_out, bits):.2%}"])
    return markdown_table(["weights", "activations", "held-out digits right"], rows)


def integer(graph: Graph, calibration: Images, held_out: Images, bits: int) -> float:
    """Accuracy of the integer network with activations of so many bits."""
    network = quantize(graph, calibration.images, QuantizeOptions(activation_bits=bits)).network
    return held_out.accuracy(run(network, network.encode(held_out.images)))


def size_table(plans: dict[str, LayerPlan], after: Graph) -> list[str]:
    """Bytes per layer: the entropy, and each format."""
    codes = layer_codes(after)
    tables = [opq_table(plans, codes, streams(after, codec)) for codec in CODECS.values()]
    rows = []
    for about in zip(*tables, strict=True):
        first = about[0]
        cells = [f"{first['weights']:,}", f"{first['zeros']:.1%}", f"{first['float32_bytes']:,.0f}"]
        cells += [
            f"{first['entropy_bytes']:,.0f}",
            *(f"{row['stream_bytes']:,} ({row['ratio']:.1f}x)" for row in about),
        ]
        rows.append([first["layer"], *cells])
    return markdown_table(["layer", "weights", "zeros", "float32", "entropy of the codes", *CODECS], rows)


def streams(graph: Graph, codec: CodecParams) -> dict[str, int]:
    """Bytes of each layer's stream."""
    return {name: len(encode(codes, codec)) for name, codes in layer_codes(graph).items()}


def ratio(plans: dict[str, LayerPlan], after: Graph) -> str:
    """How many times smaller than float32 weights and biases are."""
    total = opq_table(plans, layer_codes(after), streams(after, CODECS[SHOWN]))[-1]
    biases = sum(len(node.bias) for node in after.nodes if isinstance(node, Conv | Dense))
    return f"**{(total['float32_bytes'] + 4 * biases) / (total['stream_bytes'] + biases):.1f}**"


if __name__ == "__main__":
    main()
