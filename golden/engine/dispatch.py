"""The order in which descriptors come to run: queues of the units, and tokens between neighbours."""

from collections import deque
from collections.abc import Iterator

from roundel.golden.engine.fields import UNIT_OF, UNITS, Opcode
from roundel.golden.engine.program import Descriptor
from roundel.golden.engine.registers import ErrorCode

QUEUE = 2  # descriptors that a unit's queue holds, the one at work included
MOST_TOKENS = 255  # that a count holds; those given beyond are lost


class EngineFault(Exception):
    """What stops the engine: `code`, `address` and the descriptor's `index`, as its registers have them."""

    def __init__(self, code: ErrorCode, address: int, index: int):
        self.code, self.address, self.index = code, address, index
        super().__init__(f"descriptor {index}: {code.name.lower()} at {address:#x}")


class Dispatch:
    """Hands descriptors to their units' queues, and starts those whose tokens are there, one at a time.

    A descriptor is fetched only when no other can start: a program that can run in its own order does. Other programs
    run as they do on hardware, as far as that does not depend on how long descriptors take.
    """

    def __init__(self) -> None:
        self.queues: list[deque[tuple[int, Descriptor]]] = [deque() for _ in UNITS]
        self.tokens = {(unit, other): 0 for unit in range(len(UNITS)) for other in (unit - 1, unit + 1)}  # given, to
        self.last_compute = 0

    def order(self, fetched: Iterator[tuple[int, Descriptor]]) -> Iterator[tuple[int, Descriptor]]:
        """Yield number and descriptor of what starts next; it is complete when the next is asked for.

        Raises
        ------
        EngineFault
            Descriptors are left, and each waits for a token or for room in its queue: code 11.
        """
        held = next(fetched, None)
        while True:
            while (unit := self._startable()) is None and held is not None and self._put(held):
                held = next(fetched, None)
            if unit is None:
                if held is not None or any(self.queues):
                    raise EngineFault(ErrorCode.DEADLOCK, 0, self._of_compute())
                return
            yield self.queues[unit][0]
            self._complete(unit)

    def _put(self, held: tuple[int, Descriptor]) -> bool:
        """Put a descriptor into its unit's queue; whether there was room."""
        queue = self.queues[UNIT_OF[held[1].opcode]]
        if len(queue) == QUEUE:
            return False
        queue.append(held)
        return True

    def _startable(self) -> int | None:
        """Take the tokens of the first descriptor in the program that can start; its unit."""
        ready = [(queue[0][0], unit) for unit, queue in enumerate(self.queues) if queue and self._tokens_for(unit)]
        if not ready:
            return None
        _, unit = min(ready)
        for way in self._waits(unit):
            self.tokens[way] -= 1
        return unit

    def _tokens_for(self, unit: int) -> bool:
        _, descriptor = self.queues[unit][0]
        if descriptor.opcode is Opcode.LOAD and not descriptor.run_bytes:
            return False  # it waits for beats of its first run, for ever
        return all(self.tokens.get(way, 0) for way in self._waits(unit))

    def _waits(self, unit: int) -> list[tuple[int, int]]:
        _, descriptor = self.queues[unit][0]
        return [(unit - 1, unit)] * descriptor.wait_previous + [(unit + 1, unit)] * descriptor.wait_next

    def _complete(self, unit: int) -> None:
        number, descriptor = self.queues[unit].popleft()
        for way, given in (((unit, unit - 1), descriptor.signal_previous), ((unit, unit + 1), descriptor.signal_next)):
            self.tokens[way] = min(self.tokens[way] + given, MOST_TOKENS)
        if unit == 1:
            self.last_compute = number

    def _of_compute(self) -> int:
        """Return the number of the descriptor at the head of the compute unit's queue, or of the last that it ran."""
        queue = self.queues[1]
        return queue[0][0] if queue else self.last_compute
