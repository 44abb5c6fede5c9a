"""Work on all cores, in threads: given up as a whole when a part fails or the user stops it."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from roundel.processes.guard import CREWS, GUARD, Crew

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def in_parallel(function: Callable[[Item], Outcome], items: Iterable[Item]) -> list[Outcome]:
    """Call a function with each item, on as many at a time as the machine has cores.

    Parameters
    ----------
    function
        Runs in a thread. The child processes that it starts belong to this call.
    items
        Its arguments.

    Returns
    -------
    list
        The results in the order of the items.

    Raises
    ------
    Exception
        What the function raised for the first of the items that failed. Calls that have not begun do not begin any
        more, and the child processes of the others end; so it is after Ctrl-C.
    """
    crew = Crew()
    token = CREWS.set((*CREWS.get(), crew))
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        futures = [pool.submit(copy_context().run, function, item) for item in items]
        outcomes = [future.result() for future in futures]
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        GUARD.end_crew(crew)
        pool.shutdown(wait=isinstance(error, Exception))  # after Ctrl-C nobody waits for threads
        raise
    finally:
        CREWS.reset(token)
    pool.shutdown()
    return outcomes
