"""Which patterns of channels layers may have, by name, and for which array."""

from dataclasses import dataclass

from roundel.compression.engine_check import FittedEngine
from roundel.golden.errors import InputError
from roundel.golden.opq import DENSE, ChannelPattern, pattern_name
from roundel.golden.parameters import Params, check_integer

KEPT = (DENSE, 4, 2, 1)
NAMES = {pattern_name(kept): kept for kept in KEPT}
BANKS = 8  # of which beats of four words and more leave some to residuals and stores


@dataclass(frozen=True, kw_only=True)
class Patterns(Params):
    """The patterns that layers may have.

    Parameters
    ----------
    kept
        Channels of eight that a block of outputs keeps, the densest first: 8 is no pattern.
    lanes, columns
        Of the array.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of its range.
    """

    kept: tuple[int, ...]
    lanes: int = 16
    columns: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kept or not set(self.kept) <= set(KEPT) or sorted(set(self.kept), reverse=True) != list(self.kept):
            raise ValueError(f"kept must be some of 8, 4, 2 and 1, falling, not {self.kept}")
        check_integer("lanes", self.lanes, 4, 64)
        check_integer("columns", self.columns, 1, 64)

    def __str__(self) -> str:
        return ",".join(map(pattern_name, self.kept))

    def of(self, kept: int) -> ChannelPattern:
        """Return the pattern that keeps so many channels of eight."""
        return ChannelPattern(kept=kept, lanes=self.lanes, columns=self.columns)


def parse_patterns(text: str, lanes: int, columns: int) -> Patterns:
    """Return the patterns that a list of names, such as `dense,4:8`, means.

    Parameters
    ----------
    text
        Names between commas, in any order.
    lanes, columns
        Of the array.

    Raises
    ------
    ValueError
        Another name, or one twice.
    """
    names = text.split(",")
    for name in names:
        if name == "2:4":
            raise ValueError("expected 4:8 in place of 2:4: it holds every mask that 2:4 does")
        if name not in NAMES or names.count(name) > 1:
            raise ValueError(f"expected some of {', '.join(NAMES)} between commas, each once, not {text!r}")
    return Patterns(kept=tuple(kept for kept in KEPT if pattern_name(kept) in names), lanes=lanes, columns=columns)


def check_engine(patterns: Patterns, engine: FittedEngine) -> None:
    """Raise InputError unless lanes of an engine select among as many words as patterns need, with banks for all."""
    params = engine.params
    for kept in patterns.kept:
        words = DENSE // kept
        wanted: dict[str, int | bool] = {}
        if words > 1:
            banks = BANKS if words > 2 else words
            wanted |= {"banks": banks} if params.banks < banks else {}
            wanted |= {"beat_words": words} if params.beat_words < words else {}
            wanted |= {} if params.select else {"select": True}
        if wanted:
            has = f"{params.banks} banks, beats of {params.beat_words} words and lanes that select"
            has = has if params.select else has.replace("lanes that", "no lanes that")
            way = " ".join(f"--set {name}={str(value).lower()}" for name, value in wanted.items())
            raise InputError(
                f"--patterns {pattern_name(kept)}: {engine.name} has {has}: expected {way}, or a pattern that it has"
            )
