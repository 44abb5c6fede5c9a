"""The plan of the activation memory: packing, bands and buffers of random networks."""

import numpy as np
import pytest

from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.compiler.area import cut, whole
from roundel.compiler.lowering import lower_network
from roundel.compiler.planning.bands import roles
from roundel.compiler.planning.packing import overlap, pack, peak
from roundel.compiler.planning.plan import Planner
from roundel.compiler.tensor import Storage
from roundel.golden.errors import InputError
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import engine


def storages(rng, count):
    """Storages of random sizes, and their lives."""
    made = [Storage(name=str(i), rows=int(rng.integers(1, 20)), columns=3, planes=2, lanes=4) for i in range(count)]
    begins = rng.integers(0, 10, count)
    return {storage: (int(at), int(at + rng.integers(0, 4))) for storage, at in zip(made, begins, strict=True)}


def test_packed_storages_do_not_overlap(seed):
    rng, packed = np.random.default_rng(seed), 0
    for _ in range(50):
        lives = storages(rng, 12)
        words = int(peak(lives)[1] * rng.uniform(0.9, 1.2))
        places = pack(lives, words)
        if places is None:
            continue
        packed += 1
        assert set(places) == set(lives)
        for a, at in places.items():
            assert 0 <= at <= words - a.words
            for b, other in places.items():
                if a is not b and overlap(lives[a], lives[b]):
                    assert at + a.words <= other or other + b.words <= at
    assert packed > 20


def test_peak_is_what_must_fit():
    first, second, third = (Storage(name=name, rows=2, columns=5, planes=1, lanes=4) for name in "abc")
    lives = {first: (0, 1), second: (1, 2), third: (2, 3)}
    assert peak(lives) == (1, 20)
    assert pack(lives, 19) is None
    assert pack(lives, 20) is not None


def test_chains_fit_at_both_ends():
    """Maps that only follow one another need the room of the greatest neighbours, no more."""
    chain = [
        Storage(name=str(i), rows=rows, columns=1, planes=1, lanes=4) for i, rows in enumerate((6, 4, 5, 5, 3, 7, 1))
    ]
    lives = {storage: (index, index + 1) for index, storage in enumerate(chain)}
    assert pack(lives, 10) is not None


def plans(seed, count, name="tiny", **settings):
    """Networks lowered and planned."""
    params = engine(name, **settings)
    for offset in range(count):
        network, image = engine_network(1000 * seed + offset, size=30, channels=9)
        lowered = lower_network(network, image.shape, params)
        results = {lowered.tensors[name].storage.root[0] for name in network.output_names}
        source = lowered.tensors[network.source].storage
        planner = Planner(
            operations=lowered.operations, outer=results, source=source, words=params.words, params=params
        )
        try:
            yield params, lowered, planner, planner.plan()
        except InputError:
            continue


def test_buffers_hold_what_is_read_and_share_nothing(seed):
    streamed = 0
    for params, lowered, planner, plan in plans(seed, 30, memory=1024):
        for index, (operation, bands) in enumerate(zip(lowered.operations, plan.bands, strict=True)):
            living = [root for root in plan.resident if overlap(planner.lives[root], (index, index))]
            taken = [(plan.resident[root], plan.resident[root] + root.words) for root in living]
            for name, words in bands.buffers.items():
                streamed += 1
                storage = roles(operation)[name].storage
                areas = cut(operation.target.storage, bands.heights, bands.columns)
                parts = [operation.reads(part, params.bus_bytes) for part in areas] if name == "source" else areas
                size = max(part.rows * storage.words_of(part.columns) for part in parts) * storage.planes
                taken += [(word, word + size) for word in words]
            for place, (start, stop) in enumerate(taken):
                assert 0 <= start <= stop <= params.words
                assert all(stop <= other[0] or other[1] <= start for other in taken[place + 1 :])
    assert streamed > 10


@pytest.mark.parametrize(("name", "memory"), [("tiny", 2048), ("medium", 1 << 17)])
def test_parts_make_up_the_whole(name, memory, seed):
    """And begin where the phases of the results do."""
    for _, lowered, _, plan in plans(seed, 40, name, memory=memory):
        for operation, bands in zip(lowered.operations, plan.bands, strict=True):
            storage = operation.target.storage
            made = np.zeros((storage.rows, storage.columns), int)
            for area in cut(storage, bands.heights, bands.columns):
                assert area.first % operation.grain == 0
                made[area.first : area.last, area.left : area.right] += 1
            assert (made == 1).all()


def test_reads_are_what_is_promised_at_most(seed):
    rng = np.random.default_rng(seed)
    for params, lowered, _, _ in plans(seed, 20):
        for operation in lowered.operations:
            storage, align = operation.target.storage, params.bus_bytes
            heights = [operation.grain * int(rng.integers(1, 5))] * storage.rows
            areas = [one for one in cut(storage, heights, 2 * int(rng.integers(1, 4))) if one.last <= storage.rows]
            for area in [*areas, whole(storage)]:
                rows, columns = operation.most(area.rows, area.columns, align)
                part = operation.reads(area, align)
                assert part.rows <= rows
                assert part.columns <= columns


def test_a_map_stays_where_others_make_room_for_it():
    """A first layer's results, too many beside the image: they stay on chip, and the image comes in bands."""
    builder = Builder(shape=(80, 80, 3))
    first = builder.conv("image", 32, 3, 2)
    builder.conv(builder.conv(first, 32, 3, groups=32), 16, linear=True)
    params = engine("medium", memory=1 << 16)
    compiled = compile_network(builder.network(), builder.shape, params)
    (made,) = (storage for storage in compiled.plan.resident if storage.name == first)
    image = compiled.source.storage
    assert made.words + image.words > params.words
    assert image in compiled.plan.streamed
