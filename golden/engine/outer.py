"""The outer memory as the engine addresses it: regions, each at its base, whose addresses wrap modulo 2^32."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine.registers import Region

ADDRESSES = 1 << 32
"""Bytes that an outer address tells apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OuterMemory:
    """Regions, and where they are.

    Parameters
    ----------
    regions
        Contents, each (bytes,) uint8; views of them are written to.
    bases
        What the base registers hold. None: every region is a memory of its own, whose addresses count from 0.
    align
        Bytes of a beat of the bus; addresses are multiples of it, the bits below are ignored.
    """

    regions: Mapping[Region, NDArray[np.uint8]]
    bases: Mapping[Region, int] | None
    align: int

    def address(self, region: Region, offset: int) -> int:
        """Outer address of a place in a region, its lowest bits as they come.

        Parameters
        ----------
        region
            Whose base the offset counts from.
        offset
            In bytes, of any size.
        """
        base = 0 if self.bases is None else self.bases[region]
        return (base + offset) % ADDRESSES

    def aligned(self, region: Region, offset: int) -> int:
        """Outer address of a place in a region, as it appears on the bus."""
        return self.address(region, offset) & -self.align

    def span(self, region: Region, offset: int, size: int) -> NDArray[np.uint8] | None:
        """Return a view of `size` bytes from a place on.

        Returns
        -------
        NDArray
            (size,) uint8; None where no region holds all of them.
        """
        address = self.aligned(region, offset)
        for held, content in self.regions.items():
            if self.bases is None and held is not region:
                continue
            at = address if self.bases is None else (address - self.bases[held]) % ADDRESSES
            if at + size <= len(content):
                return content[at : at + size]
        return None
