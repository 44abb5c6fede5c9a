"""Rows of `bench.json`, and a clock."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

Row = dict[str, Any]


def row(name: str, value: float, unit: str, params: Mapping[str, Any]) -> Row:
    """Return a figure as a row of `bench.json`.

    Parameters
    ----------
    name
        `unit.what`, such as `engine.cycles`.
    value, unit
        The figure.
    params
        What it is about, by name.
    """
    return {"name": name, "value": float(value), "unit": unit, "params": dict(params)}


def seconds(call: Callable[[], Any], repeats: int = 5, clock: Callable[[], float] = perf_counter) -> float:
    """Return the seconds of the fastest of several calls; the others were disturbed.

    With `time.process_time` as `clock` other processes are left out.
    """
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)
