"""Which descriptor starts when: queues of two, tokens of neighbours, and what stops a program."""

import pytest

from roundel.golden.engine import Descriptor, EngineFault, ErrorCode, Opcode
from roundel.golden.engine.dispatch import Dispatch

LOAD, COMPUTE, BOXES, STORE = Opcode.LOAD, Opcode.COMPUTE, Opcode.BOXES, Opcode.STORE


def order(*listed):
    """Numbers of descriptors in the order in which they start, and that of the fault, None without one."""
    made = [
        Descriptor(opcode=opcode, values=({"run_bytes": 1} if opcode is LOAD else {}) | dict.fromkeys(flags, 1))
        for opcode, *flags in listed
    ]
    started, faults = [], []
    try:
        for number, _ in Dispatch().order(iter(enumerate(made))):
            started.append(number)
    except EngineFault as fault:
        faults.append(fault)
    assert all((fault.code, fault.address) == (ErrorCode.DEADLOCK, 0) for fault in faults)
    return started, faults[0].index if faults else None


GIVE, TAKE, BACK, WAIT_BACK = "signal_next", "wait_previous", "signal_previous", "wait_next"


@pytest.mark.parametrize(
    ("listed", "started", "fault"),
    [
        ([(LOAD,), (COMPUTE,), (STORE,)], [0, 1, 2], None),
        ([(STORE, TAKE), (COMPUTE, TAKE, GIVE), (LOAD, GIVE)], [2, 1, 0], None),
        ([(LOAD, WAIT_BACK), (COMPUTE, BACK), (BOXES, WAIT_BACK), (STORE, BACK)], [1, 0, 3, 2], None),
        ([(COMPUTE, TAKE), (COMPUTE, TAKE), (LOAD, GIVE)], [2, 0], 1),  # a token is used up
        ([(LOAD, GIVE), (LOAD, GIVE), (COMPUTE, TAKE), (COMPUTE, TAKE)], [0, 1, 2, 3], None),
        ([(COMPUTE, TAKE, WAIT_BACK), (LOAD, GIVE)], [1], 0),  # both tokens
        ([(COMPUTE, TAKE, WAIT_BACK), (LOAD, GIVE), (STORE, BACK)], [1, 2, 0], None),
        ([(LOAD, WAIT_BACK), (LOAD,), (COMPUTE, BACK)], [2, 0, 1], None),  # two in a queue
        ([(LOAD, WAIT_BACK), (LOAD,), (LOAD,), (COMPUTE, BACK)], [], 0),  # the third does not let others pass
        ([(COMPUTE,), (BOXES,), (STORE, TAKE)], [0, 1], 1),  # the last that the compute unit ran
        ([(COMPUTE,), (STORE, TAKE), (COMPUTE, TAKE)], [0], 2),  # the first that waits there
        ([(LOAD,), (STORE, TAKE)], [0], 0),
        ([(LOAD, TAKE)], [], 0),  # there is no unit before
        ([(STORE, WAIT_BACK)], [], 0),  # nor behind
        ([(LOAD, BACK), (STORE, GIVE), (LOAD, TAKE)], [0, 1], 0),
    ],
)
def test_orders(listed, started, fault):
    assert order(*listed) == (started, fault)


@pytest.mark.parametrize(("given", "taken", "fault"), [(255, 255, None), (256, 256, 511), (300, 255, None)])
def test_255_tokens_are_held(given, taken, fault):
    assert order(*[(LOAD, GIVE)] * given, *[(COMPUTE, TAKE)] * taken)[1] == fault
