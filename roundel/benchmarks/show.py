"""Rows of `bench.json` as tables for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roundel.ui import Row

Table = tuple[str, list[str], list[list[str]]]

_RATES = {
    "nms.boxes_per_cycle": "boxes per cycle",
    "nms.first_kept_after": "first kept after",
    "nms.kept": "kept",
    "greedy_nms.cycles_per_image": "greedy cycles",
    "nms.speedup_over_greedy": "speed-up",
    "nms.speedup_over_greedy_one_image": "speed-up, one image",
}
_EXACT = {"exact_nms.boxes_per_cycle": "boxes per cycle", "exact_nms.kept": "kept"}
_TOPK = {"topk.boxes_per_cycle": "boxes per cycle"}
_SOFTWARE = {
    "software.psrr_numpy": "NumPy, us",
    "software.psrr_numpy_over_greedy_numpy": "ratio to NumPy greedy",
    "software.psrr_numpy_over_greedy_compiled": "ratio to compiled greedy",
}
_BY_ZEROS = {
    "codec.bits_per_weight": ("Bits per weight, by zeros", "format"),
    "codec.over_floor": ("Per cent over the entropy, by zeros", "format"),
    "codec.weights_per_round": ("Weights per round, by zeros", "format"),
    "codec.encode_speed": ("Encoding, million weights per second, by zeros", "format"),
    "codec.decode_speed": ("Decoding, million weights per second, by zeros", "format"),
    "decoder.weights_per_cycle": ("Decoder, dense weights per cycle, by zeros", "scheme"),
    "decoder.nonzero_per_cycle": ("Decoder, non-zero weights per cycle, by zeros", "scheme"),
    "decoder.cycles_between_streams": ("Decoder, cycles between two streams, by zeros", "scheme"),
}
_SEARCH = {
    "search.seconds": "seconds",
    "search.memory": "peak memory, GiB",
    "search.sqnr": "SQNR, dB",
    "search.quantizations_before": "quantizations",
    "search.quantizations_after": "as modules",
}
_ENGINE = {
    "engine.utilization": "utilization",
    "engine.cycles": "cycles",
    "engine.weight_stalls": "waiting for weights",
    "engine.simulation_speed": "cycles/s simulated",
}
_NETWORKS = {
    "networks.products": "products",
    "networks.cycles": "cycles",
    "networks.utilization": "utilization",
}
_GOLDEN = {
    "golden.seconds": "golden, s",
    "golden.float": "onnxruntime float, s",
    "golden.over_float": "ratio",
    "golden.memory": "golden's memory, MiB",
}
_ZERO_BLOCKS = "engine.zero_block_speedup"
_PRECISIONS = {"nms.ap50": "AP50", "nms.ap75": "AP75", "nms.ap50_95": "AP50:95", "nms.kept": "boxes kept per image"}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Title, heads and cells of each table; rows of several figures about the same thing become one line."""
    precisions = [row for row in rows if "scene" in row["params"]]
    rates = [row for row in rows if "scheme" in row["params"] and "images" in row["params"]]
    exact = [row for row in rows if row["name"] in _EXACT]
    best = [row for row in rows if row["name"] in _TOPK]
    software = [row for row in rows if row["name"] in _SOFTWARE]
    packed = [row for row in rows if row["name"] in _BY_ZEROS]
    search = [row for row in rows if row["name"] in _SEARCH]
    engine = [row for row in rows if row["name"] in _ENGINE]
    kinds = [row for row in rows if row["name"] in _NETWORKS]
    golden = [row for row in rows if row["name"] in _GOLDEN]
    blocks = [row for row in rows if row["name"] == _ZERO_BLOCKS]
    shown = (precisions, rates, exact, best, software, packed, search, engine, kinds, golden, blocks)
    rest = [row for row in rows if not any(row in part for part in shown)]
    made = []
    if rest:
        cells = [[_title(row), figure(row), row["unit"]] for row in rest]
        made.append(("Speed", ["what", "value", "unit"], cells))
    if rates:
        boxes = rates[0]["params"]["boxes"]
        made.append(_pivot(f"Suppression, images of {boxes:,} boxes", rates, ("scheme", "lanes"), _RATES))
    if exact:
        made.append(_pivot("Exact GreedyNMS", exact, ("stimulus", "score_width", "comparators"), _EXACT))
    if best:
        made.append(_pivot("Top-k", best, ("stimulus", "score_width", "boxes"), _TOPK))
    if software:
        made.append(_software(software))
    if search:
        about = search[0]["params"]
        title = f"Joint search of {about['network']}, {about['images']} images"
        made.append(_pivot(title, search, ("shifts",), _SEARCH))
    if engine:
        named = [row | {"params": row["params"] | {"what": _workload(row["params"])}} for row in engine]
        made.append(_pivot("Engine", named, ("config", "what", "on"), _ENGINE))
    for network, name in dict.fromkeys((row["params"]["network"], row["params"]["engine"]) for row in kinds):
        own = [row for row in kinds if (row["params"]["network"], row["params"]["engine"]) == (network, name)]
        made.append(_pivot(f"{network} on {name}", own, ("kind",), _NETWORKS))
    if golden:
        made.append(_pivot("One image in golden and in onnxruntime", golden, ("network", "threads"), _GOLDEN))
    if blocks:
        about = blocks[0]["params"]
        title = f"Speed-up over dense of {about['network']} on {about['config']}, by zeros"
        made.append(_by_zeros(title, blocks, "pruning"))
    for name, (title, key) in _BY_ZEROS.items():
        if chosen := [row for row in packed if row["name"] == name]:
            made.append(_by_zeros(title, chosen, key))
    for name, title in _PRECISIONS.items():
        if chosen := [row for row in precisions if row["name"] == name]:
            scenes = dict.fromkeys(row["params"]["scene"] for row in chosen)
            renamed = [row | {"name": row["params"]["scene"]} for row in chosen]
            made.append(_pivot(title, renamed, ("method",), {scene: scene for scene in scenes}))
    return made


def _software(rows: Sequence[Row]) -> Table:
    """NumPy against GreedyNMS; the column of the compiled one is left out if no row has it."""
    measured = {row["name"] for row in rows}
    title = "Suppression in NumPy"
    if "software.psrr_numpy_over_greedy_compiled" not in measured:
        title += " (without compiled GreedyNMS, which needs onnxruntime: pip install 'roundel[bench]')"
    columns = {name: head for name, head in _SOFTWARE.items() if name in measured}
    return _pivot(title, rows, ("scheme", "boxes"), columns)


def _by_zeros(title: str, rows: Sequence[Row], key: str) -> Table:
    """Build a table with a column for each part of zeros."""
    scale = 1e-6 if rows[0]["unit"] == "weights/s" else 1
    lines: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: float(row["params"]["zeros"])):
        lines.setdefault(row["params"][key], []).append(f"{scale * row['value']:.4g}")
    zeros = sorted({row["params"]["zeros"] for row in rows})
    return title, [key, *(f"{part:.0%}" for part in zeros)], [[name, *figures] for name, figures in lines.items()]


def figure(row: Row) -> str:
    """Format the value of a row: what can be near 1 with its decimals, speeds without."""
    return f"{row['value']:,.4f}" if row["value"] < 1000 else f"{row['value']:,.0f}"


def _title(row: Row) -> str:
    """Return the name of a row with what sets it apart from others of that name."""
    about = row["params"]
    counted = next((f"{about[key]:,} {key}" for key in ("banks", "boxes") if key in about), "")
    return " ".join(filter(None, [row["name"], about.get("scheme"), counted]))


def _workload(about: Mapping[str, Any]) -> str:
    """Name the network, the layer and its zeros, as far as they are given."""
    zeros = f"{about['zeros']:.0%} zeros, {about['weight_width']} bits" if "zeros" in about else ""
    return ", ".join(filter(None, [about.get("network"), about.get("layer"), zeros]))


def _pivot(title: str, rows: Iterable[Row], keys: Sequence[str], names: dict[str, str]) -> Table:
    """Build a table with a line for each value of `keys` and a column for each of `names`."""
    lines: dict[tuple[object, ...], dict[str, str]] = {}
    for row in rows:
        line = lines.setdefault(tuple(row["params"][key] for key in keys), {})
        line[row["name"]] = f"{row['value']:,.3f}" if row["value"] < 10 else f"{row['value']:,.0f}"
    cells = [[*map(str, line), *(values.get(name, "") for name in names)] for line, values in lines.items()]
    return title, [*keys, *names.values()], cells
