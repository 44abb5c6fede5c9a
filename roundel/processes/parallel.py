"""Work on all cores, in threads: given up as a whole when a part fails or the user stops it."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Lock, Thread
from typing import TypeVar, cast

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
    crew, todo = Crew(), list(items)
    futures = [Future[Outcome]() for _ in todo]
    waiting = iter(zip(todo, futures, strict=True))
    taking = Lock()

    def work() -> None:
        while not crew.ended:
            with taking:
                item, future = next(waiting, (None, None))
            if future is None:
                return
            try:
                future.set_result(function(cast(Item, item)))
            except BaseException as error:
                future.set_exception(error)

    token = CREWS.set((*CREWS.get(), crew))
    try:
        # Threads that end with the process: after Ctrl-C, Python waits for none of them.
        threads = [
            Thread(target=copy_context().run, args=(work,), daemon=True)
            for _ in range(min(len(todo), os.cpu_count() or 1))
        ]
        for thread in threads:
            thread.start()
        return [future.result() for future in futures]
    except BaseException as error:
        GUARD.end_crew(crew)
        if isinstance(error, Exception):
            for thread in threads:
                thread.join()
        raise
    finally:
        CREWS.reset(token)
