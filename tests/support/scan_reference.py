"""Candidates of a detector head in plain integers, written from docs/engine.md and docs/heads.md alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Candidate(NamedTuple):
    """A candidate; `score` is None for a softmax, whose score comes later."""

    row: int
    column: int
    prior: int
    label: int
    score: int | None
    numbers: list[int]  # as `box_bytes` and `softmax_bytes` order them


class Maps:
    """The bytes of a BOXES descriptor's maps.

    Parameters
    ----------
    values
        The descriptor's fields.
    memory
        Words of the activation memory, each a number.
    lanes
        Bytes of a word.
    """

    def __init__(self, values: dict[str, int], memory: Sequence[int], lanes: int):
        self.values, self.memory, self.lanes = values, memory, lanes

    def __getitem__(self, place: tuple[str, int, int]) -> int:
        """The raw byte of a map's channel at a location."""
        name, location, channel = place
        plane, lane = divmod(channel, self.lanes)
        word = self.values[name] + plane * self.values.get(f"{name}_plane", 0) + location
        return self.memory[word % len(self.memory)] >> 8 * lane & 0xFF


def signed(byte: int, is_signed: int) -> int:
    return byte - 256 if is_signed and byte > 127 else byte


def candidates(
    values: dict[str, int], memory: Sequence[int], lanes: int, costs: Sequence[int], score_width: int
) -> Iterator[Candidate]:
    """Yield what passes: thresholds, costs of products, peaks; in the order of locations, priors and classes."""
    maps, priors, softmax = Maps(values, memory, lanes), values["priors"] + 1, values["score_form"] == 2
    classes, logits = values["classes"], values["classes"] + softmax
    behind = softmax and not values["background"]

    def cost_of(raw: int, objectness: int) -> int:
        return costs[raw] + costs[256 + objectness]

    for location in range(values["width"] * values["height"]):
        row, column = divmod(location, values["width"])
        for prior in range(priors):
            raw = [maps["cls", location, prior * logits + number] for number in range(logits)]
            rest = raw[1:] if behind else raw[:classes]
            kinds = [signed(byte, values["cls_signed"]) for byte in rest]
            ground = 0
            if softmax:
                ground = signed(raw[0] if behind else raw[-1], values["cls_signed"])
            best = max(range(classes), key=lambda label: (kinds[label], -label))
            product = values["score_form"] == 1
            objectness = maps["objectness", location, prior] if product else 0
            passes = [kinds[label] - ground >= values["threshold"] for label in range(classes)]
            if product:
                passes = [ok and cost_of(rest[label], objectness) <= values["most"] for label, ok in enumerate(passes)]
            for label in range(classes) if values["every_class"] and passes[best] else [best]:
                if not passes[label]:
                    continue
                if values["peaks"] and maps["maxima", location, prior * logits + label] != rest[label]:
                    continue
                score: int | None = (kinds[label] << values["score_shift"]) % (1 << score_width)
                if values["cls_signed"]:
                    score ^= 1 << score_width - 1
                if product:
                    score = (1 << score_width) - 1 - cost_of(rest[label], objectness)
                numbers = list(box_bytes(maps, location, prior))
                if softmax:
                    score = None
                    numbers += [greatest(raw, values["cls_signed"]), *raw[::-1], rest[label]]
                yield Candidate(row, column, prior, label, score, numbers)


def greatest(raw: Sequence[int], is_signed: int) -> int:
    """The byte of the greatest number."""
    return max(raw, key=lambda byte: signed(byte, is_signed))


def box_bytes(maps: Maps, location: int, prior: int) -> Iterator[int]:
    """Yield the numbers of a box, axis by axis; of a distribution the greatest bin and all from the last down."""
    values = maps.values
    for side in (0, 2, 1, 3):
        if values["box_form"] == 1:
            bins = values["bins"]
            raw = [maps["box", location, (4 * prior + side) * bins + number] for number in range(bins)]
            yield greatest(raw, values["box_signed"])
            yield from reversed(raw)
        else:
            yield maps["box", location, 4 * prior + side]
