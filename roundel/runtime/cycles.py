"""Where the engine's cycles went, layer by layer: what its trace says."""

from roundel.compiler import Compiled, LayerCycles, layers_of
from roundel.runtime.frames import Frame


def layer_cycles(compiled: Compiled, frame: Frame) -> list[LayerCycles]:
    """Return a row for each layer in the order of the program; together they are all cycles up to the last one's end.

    What a descriptor of the compute unit waited for before its start is its layer's `memory`.
    """
    spans = [(row.index, row.start, row.end, row.flags) for row in frame.rows if row.unit == "compute"]
    return layers_of(compiled, sorted(spans, key=lambda span: span[0]), min(row.start for row in frame.rows))
