"""Write the table of docs/compress.md: `python docs/make/compress.py`, half a minute: the digits network."""

from pathlib import Path

from figures import replace as put

from roundel.compression import CompressOptions, opq_params, run_passes, size
from roundel.quantization import QuantizeOptions, StreamOptions
from roundel.ui import markdown_table, silent

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
DIGITS = PAGE.parents[1] / "roundel" / "data" / "digits"
OPQ = opq_params(0.8, 4, "size", 8)
ROWS = {
    "`digits.onnx`": {"opq": None},
    "`digits.onnx`, shifts by channel, weights and activations of 4 bits": {
        "opq": None,
        "search": QuantizeOptions(weight_bits=4, activation_bits=4, per_channel=True),
    },
    "`digits.onnx --sparsity 0.8 --bits 4`": {"opq": OPQ},
    "`digits_sparse.onnx`": {},
    "`digits_sparse.onnx --codec relative`": {"streams": StreamOptions(packing="relative")},
    "`digits_sparse.onnx --codec mask`": {"streams": StreamOptions(packing="mask")},
}
"""What is compressed, as the page names it, and how."""


def main(page: Path = PAGE) -> None:
    page.write_text(put(page.read_text(encoding="utf-8"), "digits", "\n".join(table())), encoding="utf-8")


def table() -> list[str]:
    """A row for each of `ROWS`."""
    rows = []
    for name, options in ROWS.items():
        model = DIGITS / name.split()[0].strip("`,")
        images = {"calibration": DIGITS / "calibration.npz", "held_out": DIGITS / "heldout.npz"}
        result = run_passes(CompressOptions(model=model, **images, **options), silent)
        sizes = size(result)
        assert result.accuracy is not None
        cells = [
            f"{sizes['zeros']:.1%}",
            f"{sizes['total_bytes']:,}",
            f"{sizes['ratio']:.1f}",
            f"{sizes['ratio_without_positions']:.1f}",
            f"{result.accuracy.integer:.2%}",
        ]
        rows.append([name, *cells])
    heads = ["", "zeros", "bytes", "times smaller", "without positions", "held-out digits right"]
    return markdown_table(heads, rows)


if __name__ == "__main__":
    main()
