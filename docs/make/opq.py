"""Write the tables of docs/opq.md: `python docs/make/opq.py`, a few seconds.

The digits network of examples/digits, never trained again. Nothing between the page's markers is written by hand.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.compression.opq_table import opq_table
from roundel.frontend import read_onnx
from roundel.golden.opq import LayerPlan, OpqParams, Weighting, opq
from roundel.graph import Graph, Images, fold, layer_weights, load_images
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
DIGITS = PAGE.parents[1] / "roundel" / "data" / "digits"
PLAN = OpqParams(sparsity=0.8, bits=4, max_width=4, power_of_two=True)


def main(page: Path = PAGE) -> None:
    graph = fold(read_onnx(DIGITS / "digits.onnx"))
    images = load_images(DIGITS / "heldout.npz", graph)
    plans = opq(layer_weights(graph), PLAN)
    text = page.read_text(encoding="utf-8")
    for name, table in {
        "layers": layer_table(plans),
        "sizes": size_table(plans),
        "sparsity": sparsity_table(graph),
        "accuracy": accuracy_table(graph, images),
    }.items():
        text = put(text, name, "\n".join(table))
    page.write_text(text, encoding="utf-8")


def sparsity(plans: Mapping[str, LayerPlan]) -> float:
    """Fraction of all weights that are pruned."""
    return 1 - sum(plan.mask.sum() for plan in plans.values()) / sum(plan.mask.size for plan in plans.values())


def layer_table(plans: Mapping[str, LayerPlan]) -> list[str]:
    """What becomes of each layer."""
    rows = []
    for row in opq_table(plans)[:-1]:
        plan = plans[row["layer"]]
        magnitudes = np.abs(plan.levels.codes[plan.mask])
        about = [
            f"{row['weights']:,}",
            f"{row['laplace_scale']:.4f}",
            f"{row['laplace_distance']:.3f}",
            f"{row['threshold'] / row['laplace_scale']:.2f}",
            f"{row['pruned']:.1%}",
            f"{row['pruning_predicted']:.2e} / {row['pruning_measured']:.2e}",
            f"{plan.levels.format.fraction}",
            f"{row['rate']:.2f}",
            f"{row['width']}",
            f"{magnitudes.min()} to {magnitudes.max()}",
        ]
        rows.append([row["layer"], *about, f"{row['rounding_predicted']:.2e} / {row['rounding_measured']:.2e}"])
    columns = ["layer", "weights", "b", "distance", "beta / b", "pruned", "error of pruning, predicted / measured"]
    columns += ["N_w", "rate", "width", "magnitudes of k", "error of rounding, predicted / measured"]
    return markdown_table(columns, rows)


def size_table(plans: Mapping[str, LayerPlan]) -> list[str]:
    """Bytes, and how many times less than float32, per layer and in all."""
    rows = []
    for row in opq_table(plans):
        cells = [f"{row['float32_bytes']:,.0f}"]
        for kind in ("codes_bytes", "floor_bytes", "entropy_bytes"):
            cells.append(f"{row[kind]:,.0f} ({row['float32_bytes'] / row[kind]:.1f}x)")
        rows.append([row["layer"], *cells])
    return markdown_table(["layer", "float32", "codes alone", "floor, Laplace", "entropy of the codes"], rows)


def sparsity_table(graph: Graph) -> list[str]:
    """What the Laplace model reaches where a sparsity is asked for."""
    asked = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
    rows = []
    for weighting in Weighting:
        cells = []
        for wanted in asked:
            params = OpqParams(sparsity=wanted, weighting=weighting, exact=False)
            cells.append(f"{sparsity(opq(layer_weights(graph), params)):.1%}")
        rows.append([weighting.value, *cells])
    return markdown_table(["weighting", *(f"{wanted:.0%} asked" for wanted in asked)], rows)


def accuracy_table(graph: Graph, images: Images) -> list[str]:
    """Held-out digits right, weights pruned or quantized and everything else in float."""
    cases = {f"{part:.0%} pruned": {"sparsity": part} for part in (0.3, 0.5, 0.7, 0.8)}
    cases |= {"4 bits on average": {"bits": 4}, "3 bits on average": {"bits": 3}}
    cases |= {"50% pruned, 4 bits": {"sparsity": 0.5, "bits": 4}}
    rows = []
    for weighting in Weighting:
        cells = []
        for about in cases.values():
            plans = opq(layer_weights(graph), OpqParams(weighting=weighting, **about))
            cells.append(f"{images.accuracy(apply(graph, plans).run(images.images)):.1%}")
        rows.append([weighting.value, *cells])
    return markdown_table(["weighting", *cases], rows)


def apply(graph: Graph, plans: Mapping[str, LayerPlan]) -> Graph:
    """The network with the weights that remain."""
    nodes = (
        replace(node, weights=plans[node.name].values.astype(np.float32)) if node.name in plans else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


if __name__ == "__main__":
    main()
