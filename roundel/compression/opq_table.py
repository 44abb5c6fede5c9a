"""Figures of one-shot pruning and quantization, layer by layer, as rows of plain values."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from roundel.golden.opq import LayerPlan, sizes
from roundel.golden.rounding import Ints

PlanRow = dict[str, Any]
BYTES = ("float32_bytes", "codes_bytes", "floor_bytes", "entropy_bytes", "stream_bytes")


def opq_table(
    plans: Mapping[str, LayerPlan],
    codes: Mapping[str, Ints] | None = None,
    streams: Mapping[str, int] | None = None,
) -> list[PlanRow]:
    """Return a row for each layer and one, `all`, for the network.

    Parameters
    ----------
    plans
        Plans of `roundel.golden.opq.plan.opq`.
    codes
        The integers of each layer after fine-tuning, in the shape of its weights; None for those of the plans.
    streams
        Bytes of each layer's weight stream.

    Returns
    -------
    list
        Rows with these values, None where there is none: because the layer is only pruned, has no stream, or the
        value does not add up over layers.

        - `layer`, `weights`; `pruned` and `zeros`: parts of the weights that the mask takes out, and that are 0 in the
          end, be it by rounding; `threshold`.
        - `laplace_scale` b, and `laplace_distance`, of Kolmogorov and Smirnov: 0 for weights that are Laplace, to 1.
        - `width` and `rate` in bits, `step`.
        - `pruning_predicted`, `pruning_measured`: mean squared error over all weights; `rounding_predicted`,
          `rounding_measured`: over the survivors, before any fine-tuning.
        - `float32_bytes`; `codes_bytes`: without positions; `floor_bytes`, `entropy_bytes`: with them, see
          `roundel.golden.opq.plan.Sizes`; `stream_bytes`; `ratio`: how many times smaller than float32 the stream is,
          without a stream the entropy; `over_floor`: by which part the stream exceeds the entropy.
    """
    rows = [_row(_with_codes(plan, codes), (streams or {}).get(name)) for name, plan in plans.items()]
    return [*rows, _total(rows)]


def _with_codes(plan: LayerPlan, codes: Mapping[str, Ints] | None) -> LayerPlan:
    """Return the plan as fine-tuning left it."""
    if codes is None or plan.levels is None:
        return plan
    tuned = codes[plan.name]
    if tuned.shape != plan.mask.shape:
        raise ValueError(f"{plan.name}: expected codes of shape {plan.mask.shape}, not {tuned.shape}")
    return replace(plan, levels=replace(plan.levels, codes=tuned))


def _row(plan: LayerPlan, stream: int | None) -> PlanRow:
    levels = plan.levels
    row: PlanRow = {
        "layer": plan.name,
        "weights": plan.mask.size,
        "pruned": plan.sparsity,
        "zeros": plan.sparsity if levels is None else float((levels.codes == 0).mean()),
        "threshold": plan.threshold,
        "laplace_scale": plan.scale,
        "laplace_distance": plan.distance,
        "width": levels and levels.width,
        "rate": levels and levels.rate,
        "step": levels and levels.step,
        "pruning_predicted": plan.predicted,
        "pruning_measured": plan.measured,
        "rounding_predicted": levels and levels.predicted,
        "rounding_measured": levels and levels.measured,
        "float32_bytes": 4.0 * plan.mask.size,
    }
    bits = sizes(plan) if levels else None
    row |= {f"{name}_bytes": bits and getattr(bits, name) / 8 for name in ("codes", "floor", "entropy")}
    return _compared(row | {"stream_bytes": stream})


def _total(rows: list[PlanRow]) -> PlanRow:
    """Sizes and parts of the whole network."""
    weights = sum(row["weights"] for row in rows)
    total: PlanRow = dict.fromkeys(rows[0]) | {"layer": "all", "weights": weights}
    for name in ("pruned", "zeros"):
        total[name] = sum(row[name] * row["weights"] for row in rows) / weights
    return _compared(total | {name: _sum(row[name] for row in rows) for name in BYTES})


def _sum(values: Iterable[float | None]) -> float | None:
    """None if any is."""
    numbers = list(values)
    return None if None in numbers else sum(value for value in numbers if value is not None)


def _compared(row: PlanRow) -> PlanRow:
    """Return the row with what follows from its sizes."""
    stream, entropy = row["stream_bytes"], row["entropy_bytes"]
    size = entropy if stream is None else stream
    over = stream / entropy - 1 if stream is not None and entropy else None
    return row | {"ratio": row["float32_bytes"] / size if size else None, "over_floor": over}
