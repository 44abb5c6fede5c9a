"""Named configurations of the units: keyword arguments of their parameters, each verified by `roundel verify`."""

from typing import Any

from roundel.golden.engine import CONFIGS, HEADS


def requant_configs() -> dict[str, dict[str, Any]]:
    """Every scheme, every rounding of the shift family, signed, unsigned and ReLU, narrow and wide."""
    roundings = ("floor", "half_up", "half_away", "half_even")
    configs: dict[str, dict[str, Any]] = {}
    for rounding in roundings:
        configs[f"shift_{rounding}"] = {"scheme": "shift", "rounding": rounding}
        configs[f"shift_const_{rounding}"] = {"scheme": "shift_const", "rounding": rounding, "shift": 9}
    configs |= {
        "shift_const_0": {"scheme": "shift_const", "shift": 0},
        "shift_const_63": {"scheme": "shift_const", "shift": 63, "rounding": "half_away"},
        "fixed16_half_even": {"scheme": "fixed16", "rounding": "half_even", "relu": True},
        "shift_unsigned": {"scheme": "shift", "out_signed": False},
        "shift_relu": {"scheme": "shift", "relu": True},
        "shift_48_to_16": {"scheme": "shift", "acc_width": 48, "out_width": 16},
        "shift_16_to_2": {"scheme": "shift", "acc_width": 16, "out_width": 2, "rounding": "half_even"},
    }
    for rounding in ("floor", "half_away", "half_even"):
        configs[f"fixed8_{rounding}"] = {"scheme": "fixed8", "rounding": rounding}
    for scheme in ("fixed8", "fixed16", "fixed32", "float32"):
        configs[scheme] = {"scheme": scheme}
        configs[f"{scheme}_pipelined"] = {"scheme": scheme, "pipeline": True}
        configs[f"{scheme}_unsigned_relu"] = {"scheme": scheme, "out_signed": False, "relu": True}
        configs[f"{scheme}_48_to_16"] = {"scheme": scheme, "acc_width": 48, "out_width": 16}
        configs[f"{scheme}_16_to_4"] = {"scheme": scheme, "acc_width": 16, "out_width": 4}
    configs |= {
        "codebook": {"scheme": "codebook"},
        "codebook_2": {"scheme": "codebook", "index_width": 1, "out_width": 16},
        "threshold": {"scheme": "threshold", "out_width": 4},
        "threshold_unsigned": {"scheme": "threshold", "out_width": 2, "out_signed": False},
    }
    return configs


ACTIVATION_CONFIGS: dict[str, dict[str, Any]] = {
    "8_lanes": {},
    "16_columns_4_lanes_pipelined": {"columns": 16, "lanes": 4, "pipeline": True},
    "6_columns_2_lanes_12_bits": {"columns": 6, "lanes": 2, "in_width": 12, "segment_bits": 5},
    "single_column_10_bits_curve_alone": {
        "columns": 1,
        "lanes": 1,
        "in_width": 10,
        "segment_bits": 3,
        "step_bits": 7,
        "residual": False,
        "slopes": False,
        "pipeline": True,
    },
}
"""As many lanes as columns and fewer, every word width, with and without residual, slopes and pipeline."""


MAC_CONFIGS: dict[str, dict[str, Any]] = {
    "16x16": {},
    "16x16_weights_4": {"weight_width": 4},
    "3x1_single_position": {
        "lanes": 3,
        "columns": 1,
        "depth": 1,
        "act_width": 5,
        "act_signed": True,
        "weight_width": 3,
        "reduction": 40,
        "requant": {"scheme": "threshold", "out_width": 3},
    },
    "1x3_product_fixed8": {
        "lanes": 1,
        "columns": 3,
        "depth": 5,
        "act_width": 2,
        "weight_width": 2,
        "reduction": 30,
        "structure": "product",
        "requant": {"scheme": "fixed8", "pipeline": True},
    },
    "5x4_float32_per_layer": {
        "lanes": 5,
        "columns": 4,
        "depth": 16,
        "act_signed": True,
        "weight_width": 4,
        "reduction": 100,
        "per_channel": False,
        "requant": {"scheme": "float32", "pipeline": True, "out_signed": False},
    },
    "8x2_codebook": {
        "lanes": 8,
        "columns": 2,
        "depth": 40,
        "reduction": 64,
        "requant": {"scheme": "codebook", "out_width": 4},
    },
}
"""Both structures, odd sizes, every kind of requantizer interface: with tables, pipelined, per layer."""


_SMALL = {"width": 200, "height": 120, "classes": 3}
"""An image that builds and runs quickly, no multiple of any window."""

NMS_CONFIGS: dict[str, dict[str, Any]] = {
    "psrr_parallel": {"format": _SMALL, "method": "psrr", "semantics": "parallel", "capacity": 64},
    "psrr_cascade": {"format": _SMALL, "method": "psrr", "capacity": 64},
    "psrr_no_shift": {"format": _SMALL, "method": "psrr", "semantics": "parallel", "shift": "none", "capacity": 40},
    "maxpool_quad_cascade_centre": {
        "format": _SMALL | {"form": "centre"},
        "method": "maxpool",
        "semantics": "cascade",
        "shift": "quad",
        "capacity": 24,
        "banks": 3,
    },
    "psrr_guard": {"format": _SMALL, "method": "psrr", "semantics": "parallel", "guard": 0.3, "capacity": 50},
    "psrr_2_lanes": {"format": _SMALL, "method": "psrr", "semantics": "parallel", "lanes": 2, "capacity": 64},
    "psrr_no_shift_4_lanes": {
        "format": _SMALL,
        "method": "psrr",
        "semantics": "parallel",
        "shift": "none",
        "lanes": 4,
        "capacity": 64,
    },
    "maxpool": {"format": _SMALL, "method": "maxpool", "semantics": "parallel", "capacity": 64},
    "maxpool_by_class_4_lanes": {
        "format": _SMALL,
        "method": "maxpool",
        "semantics": "parallel",
        "class_key": True,
        "lanes": 4,
        "capacity": 64,
        "epoch_width": 5,
    },
    "adjacent": {"format": _SMALL | {"score_width": 3}, "method": "adjacent", "stride": 8, "capacity": 64, "banks": 4},
    "guarded": {"format": _SMALL, "capacity": 64},
    "guarded_cascade": {"format": _SMALL, "semantics": "cascade", "shift": "diagonal", "capacity": 32},
    "guarded_by_class_worn_epochs_centre": {
        "format": _SMALL | {"fraction": 2, "form": "centre"},
        "class_key": True,
        "capacity": 48,
        "epoch_width": 3,
    },
    "guarded_2_lanes": {"format": _SMALL, "lanes": 2, "capacity": 64, "epoch_width": 4},
    "guarded_diagonal_4_lanes": {
        "format": _SMALL,
        "shift": "diagonal",
        "lanes": 4,
        "capacity": 64,
        "epoch_width": 2,
    },
    "odd_passes": {
        "format": _SMALL | {"fraction": 1, "score_width": 1},
        "method": "psrr",
        "areas": (1000, 5000),
        "ratios": (0.6,),
        "alpha": 1.3,
        "stride": 4,
        "passes": (
            {"scales": ((1,), (0,)), "ratios": ((0,),), "kernel": "largest", "shift_y": True},
            {"scales": ((0, 1),), "ratios": ((0,),), "shift_x": True},
        ),
        "capacity": 5,
    },
    "cells_beyond_the_image_one_beat": {
        "format": {"width": 9, "height": 70, "score_width": 32, "classes": 1},
        "method": "psrr",
        "semantics": "parallel",
        "shift": "none",
        "lanes": 4,
        "capacity": 4,
        "banks": 5,
    },
    "full_hd": {"format": {"width": 1920, "height": 1080}, "method": "psrr", "semantics": "parallel"},
    "4096_square": {
        "format": {"width": 4096, "height": 4096, "fraction": 1},
        "capacity": 64,
        "passes": ({"scales": ((0, 1), (2, 3)), "ratios": ((0, 1, 2),), "shift_x": True},),
    },
}
"""Both semantics, every method, shift and form, 1, 2 and 4 lanes, few epochs, odd lists of passes, large images."""


EXACT_CONFIGS: dict[str, dict[str, Any]] = {
    "640x640_single_class": {"format": {"classes": 1}},
    "200x120_few_slots": {"format": _SMALL, "capacity": 64, "slots": 16},
    "8_bits_8_comparators": {
        "format": _SMALL | {"score_width": 8},
        "threshold": 0.4,
        "capacity": 100,
        "comparators": 8,
        "slots": 32,
    },
    "class_agnostic_ten_best": {"format": _SMALL, "class_agnostic": True, "capacity": 64, "max_detections": 10},
    "any_overlap_three_digits": {
        "format": {"width": 50, "height": 41, "fraction": 2, "score_width": 20, "classes": 4},
        "threshold": 0,
        "capacity": 70,
        "slots": 16,
    },
    "centre_256_classes": {
        "format": {"width": 301, "height": 90, "fraction": 1, "form": "centre", "score_width": 9, "classes": 256},
        "threshold": 0.3,
        "capacity": 33,
        "comparators": 8,
        "slots": 16,
    },
    "no_overlap_centre": {
        "format": {"width": 33, "height": 257, "fraction": 3, "form": "centre", "score_width": 1, "classes": 1},
        "threshold": 1,
        "capacity": 40,
        "slots": 16,
        "max_detections": 20,
    },
    "2x2_single_box": {"format": {"width": 2, "height": 2, "score_width": 1, "classes": 1}, "capacity": 1},
    "4096_square": {"format": {"width": 4096, "height": 4096, "fraction": 1, "score_width": 32}, "capacity": 50},
    "best_of_many_tagged": {"format": _SMALL, "capacity": 40, "candidates": 10000, "slots": 16, "tag_width": 32},
    "best_of_many_8_bits_three_best": {
        "format": _SMALL | {"score_width": 8},
        "capacity": 21,
        "candidates": 500,
        "max_detections": 3,
    },
}
"""One to four digits, both forms, thresholds from any overlap to none, few slots and many passes, the best of many."""


TOPK_CONFIGS: dict[str, dict[str, Any]] = {
    "640x640_300_best": {},
    "200x120_8_bits": {"format": _SMALL | {"score_width": 8}, "capacity": 40},
    "single_best": {"format": _SMALL, "capacity": 1},
    "all_that_may_come": {"format": _SMALL, "capacity": 64, "candidates": 64},
    "three_digits_centre_tagged": {
        "format": _SMALL | {"fraction": 1, "form": "centre", "score_width": 20},
        "capacity": 33,
        "candidates": 500,
        "tag_width": 24,
    },
    "single_bit_one_more": {"format": _SMALL | {"score_width": 1}, "capacity": 32, "candidates": 33},
    "4096_square": {"format": {"width": 4096, "height": 4096, "fraction": 1, "score_width": 32}, "capacity": 20},
}
"""One to four digits, one box kept and many, both forms, with tags and without, no room and much beyond."""


GREEDY_CONFIGS: dict[str, dict[str, Any]] = {
    "640x640_single_class_4_lanes": {"format": {"classes": 1}, "threshold": 0.3, "lanes": 4},
    "100x76": {"format": {"width": 100, "height": 76, "score_width": 6, "classes": 3}, "capacity": 33},
    "50x41_any_overlap_2_lanes": {
        "format": {"width": 50, "height": 41, "fraction": 2, "score_width": 8, "classes": 4},
        "threshold": 0,
        "lanes": 2,
        "capacity": 12,
    },
    "47x39_centre": {
        "format": {"width": 47, "height": 39, "form": "centre", "score_width": 5, "classes": 2},
        "threshold": 0.3,
        "capacity": 17,
    },
    "61x90_centre_2_lanes": {
        "format": {"width": 61, "height": 90, "fraction": 1, "form": "centre", "score_width": 4, "classes": 5},
        "threshold": 0.4,
        "lanes": 2,
        "capacity": 20,
    },
    "33x257_centre_no_overlap_4_lanes": {
        "format": {"width": 33, "height": 257, "fraction": 3, "form": "centre", "score_width": 1, "classes": 1},
        "threshold": 1,
        "lanes": 4,
        "capacity": 4,
    },
    "2x2_single_box": {
        "format": {"width": 2, "height": 2, "score_width": 1, "classes": 1},
        "capacity": 1,
    },
}
"""1, 2 and 4 lanes, both forms, thresholds from any overlap to none, a single box, 1,024 boxes."""


DECODER_CONFIGS: dict[str, dict[str, Any]] = {
    "mask_8": {"packing": "mask", "bus": 64, "lanes": 8, "width": 4},
    "mask_16": {"packing": "mask", "bus": 128, "lanes": 16, "width": 4},
    "mask_4_table_of_8": {"packing": "mask", "bus": 128, "lanes": 4, "width": 3, "table": True},
    "mask_16_table_of_32": {"packing": "mask", "bus": 64, "lanes": 16, "width": 5, "table": True},
    "mask_8_narrow": {"packing": "mask", "bus": 128, "lanes": 8, "width": 2},
    "mask_32_slow_bus": {"packing": "mask", "bus": 32, "lanes": 32, "width": 8},
    "mask_8_odd": {"packing": "mask", "bus": 32, "lanes": 8, "width": 7},
    "relative_8": {"packing": "relative", "bus": 64, "lanes": 8, "width": 4},
    "relative_16_table_of_16": {"packing": "relative", "bus": 128, "lanes": 16, "width": 4, "table": True},
    "relative_4_narrow": {"packing": "relative", "bus": 32, "lanes": 4, "width": 2},
    "relative_32_wide": {"packing": "relative", "bus": 32, "lanes": 32, "width": 8},
    "rice_16_4_slices": {"packing": "rice", "bus": 64, "lanes": 16, "width": 4, "slices": 4},
    "rice_4_1_slice": {"packing": "rice", "bus": 32, "lanes": 4, "width": 2, "slices": 1},
    "rice_8_2_slices_table_of_8": {"packing": "rice", "bus": 128, "lanes": 8, "width": 3, "slices": 2, "table": True},
    "rice_8_8_slices": {"packing": "rice", "bus": 32, "lanes": 8, "width": 8, "slices": 8},
    "rice_32_8_slices_table_of_32": {"packing": "rice", "bus": 64, "lanes": 32, "width": 5, "slices": 8, "table": True},
    "rice_4_4_slices": {"packing": "rice", "bus": 128, "lanes": 4, "width": 6, "slices": 4},
    "rice_32_1_slice": {"packing": "rice", "bus": 64, "lanes": 32, "width": 7, "slices": 1},
}
"""Every format, bus, number of lanes; narrow, wide and odd codes, identity and tables."""


def _sparse_mac(packing: str, lanes: int, columns: int, **decoder: Any) -> dict[str, Any]:
    """Return a small array behind a decoder of its lanes."""
    width = 8 if decoder.get("table") else decoder["width"]
    mac = {"lanes": lanes, "columns": columns, "depth": 32, "weight_width": width, "reduction": 256}
    return {"mac": mac, "decoder": {"packing": packing, "lanes": lanes} | decoder}


SPARSE_MAC_CONFIGS: dict[str, dict[str, Any]] = {
    "mask_8x4": _sparse_mac("mask", 8, 4, width=4, slices=1),
    "relative_4x8": _sparse_mac("relative", 4, 8, width=6, bus=32, slices=1),
    "rice_16x4": _sparse_mac("rice", 16, 4, width=4, slices=4),
    "rice_8x3_table": _sparse_mac("rice", 8, 3, width=3, slices=2, bus=128, table=True),
}
"""Every format, before an array whose blocks take fewer, as many or more beats to load than a tile has positions."""


ENGINE_CONFIGS: dict[str, dict[str, Any]] = {
    "tiny_with_units": CONFIGS["tiny"] | {"act_lanes": 2, "act_fifo": 16, "gates": True, "sums": True},
    "tiny_best_of_many": CONFIGS["tiny"]
    | {
        "places": True,
        "nms": {
            "method": "exact",
            "format": CONFIGS["tiny"]["nms"]["format"],
            "threshold": 0.4,
            "capacity": 12,
            "candidates": 150,
            "max_detections": 9,
            "slots": 16,
        },
    },
    "tiny_heads": CONFIGS["tiny"] | {"heads": HEADS, "places": True},
    "small_with_words": CONFIGS["small"]
    | {"memory": 1 << 15, "banks": 8, "beat_words": 4, "select": True, "taps": 8, "weight_width": 4, "nms": None},
}
"""Beside named configurations: one with the units that they leave out, and a FIFO that bursts fill; one with GreedyNMS
of the best boxes, whose records say where they were found; one whose box unit knows the heads of all families; one that
reads four words in a beat, lets lanes select among them, and multiplies digits of 4 bits."""
