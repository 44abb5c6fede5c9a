"""Float graph and images to an integer network."""

from roundel.quantization.equalization import equalize
from roundel.quantization.function_tables import Untabled, untabled
from roundel.quantization.given import MAX_WIDTH, is_power
from roundel.quantization.image_statistics import ImageStatistics, calibration_warnings, input_warnings
from roundel.quantization.module_rows import modules_table
from roundel.quantization.modules import Module, feature_order, integer_order, unify
from roundel.quantization.pipeline import Choice, Quantized, quantize, usual_rounding
from roundel.quantization.quantizers import given_format
from roundel.quantization.real_numbers import real_values
from roundel.quantization.search import QuantizeOptions, estimate
from roundel.quantization.sqnr import LEAST_DB, sqnr_db, tensor_sqnr_db
from roundel.quantization.streams import (
    LayerStream,
    StreamOptions,
    array_order,
    has_stream,
    layer_stream,
    network_streams,
)

__all__ = [
    "LEAST_DB",
    "MAX_WIDTH",
    "Choice",
    "ImageStatistics",
    "LayerStream",
    "Module",
    "QuantizeOptions",
    "Quantized",
    "StreamOptions",
    "Untabled",
    "array_order",
    "calibration_warnings",
    "equalize",
    "estimate",
    "feature_order",
    "given_format",
    "has_stream",
    "input_warnings",
    "integer_order",
    "is_power",
    "layer_stream",
    "modules_table",
    "network_streams",
    "quantize",
    "real_values",
    "sqnr_db",
    "tensor_sqnr_db",
    "unify",
    "untabled",
    "usual_rounding",
]
