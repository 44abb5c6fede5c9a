"""Rows of a table of registers, which hardware, drivers and documentation read."""

from dataclasses import dataclass
from enum import StrEnum

WIDTH = 32
"""Bits of a word of a register file."""
BYTES = WIDTH // 8


class Access(StrEnum):
    """What a bus master can do with a register, and which side drives it."""

    READ = "read"  # the hardware drives it; writing changes nothing
    WRITE = "write"  # the bus writes it and reads it back
    ACT = "act"  # a one that is written is a one for the hardware for one cycle; reads as 0


@dataclass(frozen=True, kw_only=True)
class Register:
    """A row of a table of registers.

    Parameters
    ----------
    name
        The register's name, an identifier.
    offset
        Its address in bytes, a multiple of 4.
    access
        See `Access`.
    width
        Its bits, 1 to 64; more than 32 take two words, the lower half first, and are not read at once.
    init
        Its value after a reset, for `Access.WRITE`.
    meaning
        What it says or does, in a line of Markdown.

    Raises
    ------
    ValueError
        An offset that is no multiple of 4, a width out of range, or an `init` of more bits.
    """

    name: str
    offset: int
    access: Access
    width: int = WIDTH
    init: int = 0
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.offset < 0 or self.offset % BYTES:
            raise ValueError(f"offset of {self.name} must be a multiple of {BYTES} from 0, not {self.offset}")
        if not 1 <= self.width <= 2 * WIDTH:
            raise ValueError(f"width of {self.name} must be 1 to {2 * WIDTH}, not {self.width}")
        if not 0 <= self.init < 1 << self.width:
            raise ValueError(f"init of {self.name} must have at most {self.width} bits, not {self.init}")

    @property
    def words(self) -> range:
        """Word addresses that it takes."""
        first = self.offset // BYTES
        return range(first, first + -(-self.width // WIDTH))
