"""LOAD, STORE and COMPUTE of scheme `shift`, byte by byte in Python's integers, as docs/engine.md writes them down.

Written from that page alone, with none of the golden engine's code but what unpacks descriptors and weights.
"""

from fractions import Fraction
from itertools import product
from math import floor
from types import SimpleNamespace

from roundel.golden.engine import FIELDS, Opcode
from tests.support.activation_reference import naive_word

UNIT = SimpleNamespace(segments=16, step_bits=5, fraction=3)
HEADER, DESCRIPTOR = 64, 128


def signed(value, bits):
    """The lower bits of an integer as a two's complement number."""
    value %= 1 << bits
    return value - (1 << bits) if value >> bits - 1 else value


def fields_of(data):
    """A descriptor's fields by name, unsigned; None for END."""
    number, at, values = int.from_bytes(data, "little"), 0, {}
    opcode = Opcode(number & 15)
    for item in FIELDS[opcode]:
        values[item.name] = number >> at & (1 << item.bits) - 1
        at += item.bits
    return None if opcode is Opcode.END else values


class NaiveEngine:
    """An engine whose outer memory is one piece of bytes that begins at an address."""

    def __init__(self, params, image, at, bases):
        self.params, self.image, self.at, self.bases = params, bytearray(image), at, bases
        self.memory = [0] * params.memory

    def run(self):
        """Descriptors one after the other, up to END."""
        for number in range(HEADER, len(self.image), DESCRIPTOR):
            d = fields_of(self.image[number : number + DESCRIPTOR])
            if d is None:
                return
            if d["opcode"] == Opcode.COMPUTE:
                self.compute(d)
            else:
                self.move(d)

    def outer(self, region, offset):
        """Place in the image of an outer address, whose bits below a beat of the bus are ignored."""
        address = (self.bases[region] + offset) % 2**32
        return address - address % (self.params.bus // 8) - self.at

    def move(self, d):
        lanes, size = self.params.lanes, self.params.memory
        for p, r in product(range(d["planes"]), range(d["runs"])):
            outer = self.outer(d["region"], d["offset"] + p * d["outer_plane"] + r * d["outer_run"])
            chip = (d["chip"] + p * d["chip_plane"] + r * d["chip_run"]) * lanes
            if d["opcode"] == Opcode.STORE:
                for byte in range(d["run_bytes"]):
                    self.image[outer + byte] = self.memory[(chip + byte) % size]
                continue
            for byte in range(-(-d["run_bytes"] // lanes) * lanes):
                self.memory[(chip + byte) % size] = self.image[outer + byte] if byte < d["run_bytes"] else 0

    def compute(self, d):
        for name in ("low", "high"):
            d[name] = signed(d[name], 9)
        d["every"] = d["every"] or 16
        streams = [
            bytes(self.image[self.outer(d[f"{name}_region"], d[f"{name}_offset"]) :][: d[f"{name}_bytes"]])
            for name in ("parameters", "weights")
        ]
        gated = self.params.gates and d["has_gate"]
        weights = self.factors(d) if gated else self.params.decoder.decode(streams[1]).tolist()
        for ty, tx in product(range(d["tiles_y"]), range(d["tiles_x"])):
            h = d["last_h"] if ty == d["tiles_y"] - 1 else d["tile_h"]
            w = d["last_w"] if tx == d["tiles_x"] - 1 else d["tile_w"]
            self.tile(d, ty, tx, h, w, streams[0], list(weights))

    def factors(self, d):
        """The weights of all blocks whose factors are in the activation memory."""
        weights = []
        for block, column in product(range(d["blocks"]), range(self.params.columns)):
            word = d["weights_offset"] + block * d["weights_bytes"]
            byte = self.memory[(word * self.params.lanes + column) % self.params.memory] ^ (d["flip_gate"] << 7)
            weights += [signed(byte, self.params.weight_width)] + [0] * (self.params.lanes - 1)
        return weights

    def tile(self, d, ty, tx, h, w, stream, weights):
        lanes, columns, at, blocks = self.params.lanes, self.params.columns, 0, []
        activated = self.params.act_lanes and d["activation"]
        table = self.table(stream[:40]) if activated else None
        stream = stream[40:] if activated else stream
        for block in range(d["blocks"]):
            held = [stream[at + 8 * c : at + 8 * c + 8] for c in range(columns)]
            at += 8 * columns
            acc, last = None, False
            while not last:
                size = self.step_bytes(d)
                step, last, at = stream[at : at + size], bool(stream[at + 5] & 1), at + size
                if not blocks or not step[5] & 2:  # else those of the step before stay
                    blocks = [weights[c * lanes : c * lanes + lanes] for c in range(columns)]
                    del weights[: lanes * columns]
                acc = self.step(d, ty, tx, h, w, step, blocks, acc, held)
            for (y, x), sums in acc.items():
                self.result(d, block, ty, tx, y, x, sums, held, table)
                if self.params.sums and d["has_sums"] and x == w - 1:
                    self.sums(d, block, ty, tx, y, w)
        assert not weights, "more weights than steps take"

    def step_bytes(self, d):
        """8, and with selectors of 3 bits a lane as many further 8 as these take."""
        if not (self.params.select and d["wide_steps"]):
            return 8
        return {4: 16, 8: 16, 16: 16, 32: 24}[self.params.lanes]

    def selected(self, d, step, words):
        """A byte for each lane: of the words of a beat, one of eight."""
        selector, side = int.from_bytes(step[8:], "little"), 8 >> d["split"]
        lanes, chosen = self.params.lanes, []
        for lane in range(lanes):
            choice = selector >> 3 * lane & 7
            word = words[choice // side] if choice // side < len(words) else [0] * lanes
            chosen.append(word[lane - lane % side + choice % side])
        return chosen

    def step(self, d, ty, tx, h, w, step, blocks, acc, held):
        """Sums after a step, by position; `acc` None before the first."""
        lanes, columns = self.params.lanes, self.params.columns
        offset, dy, dx = (int.from_bytes(step[a:b], "little", signed=True) for a, b in ((0, 4), (4, 5), (6, 8)))
        count = (step[5] >> 4 & 7) + 1 if self.params.beat_words > 1 else 1
        assert len({word * d["word_step"] % self.params.banks for word in range(count)}) == count
        assert count <= 1 << d["split"] <= self.params.beat_words or self.params.beat_words == 1
        chain = self.params.taps >> d["split"] if self.params.beat_words > 1 else self.params.taps
        sums = {}
        for y in range(h):
            window = []  # beats of this row, the latest first
            for beat in range(d["lead"] + (w - 1) * d["every"] + 1):
                b, v = (beat >> 1, y >> 1) if d["upsample"] else (beat, y)
                row = signed(ty * d["tile_y_rows"] + dy + v * d["y_rows"], 18)
                byte = signed(tx * d["tile_x_step"] + dx + b * d["x_step"], 18)
                addr = d["source"] + ty * d["tile_y_step"] + tx * d["tile_x_step"] + offset
                addr += v * d["y_step"] + b * d["x_step"]
                words = []
                for word in range(count):
                    inside = 0 <= signed(row + word * d["word_rows"], 18) < d["rows"]
                    raw = [
                        self.memory[(addr + word * d["word_step"] * lanes + lane) % self.params.memory]
                        if inside and 0 <= byte + lane < d["row_bytes"]
                        else d["pad"]
                        for lane in range(lanes)
                    ]
                    words.append([signed(value ^ (d["flip_source"] << 7), 8) for value in raw])
                window.insert(0, words)
                if beat < d["lead"] or (beat - d["lead"]) % d["every"]:
                    continue
                x = (beat - d["lead"]) // d["every"]
                before = acc[y, x] if acc else [signed(int.from_bytes(p[:4], "little"), 29) for p in held]
                sums[y, x] = []
                for c in range(columns):
                    if d["depthwise"]:
                        dot = sum(
                            window[age][word][c] * blocks[c][word * chain + age]
                            for word in range(count)
                            for age in range(min(chain, len(window)))
                        )
                    else:
                        taken = self.selected(d, step, window[0]) if len(step) > 8 else window[0][0]
                        dot = sum(value * weight for value, weight in zip(taken, blocks[c], strict=True))
                    dot *= (1, 4, 16, 64)[step[5] >> 2 & 3] if self.params.scales else 1
                    sums[y, x].append(max(before[c], dot) if d["maximum"] else before[c] + dot)
        return sums

    def place(self, d, name, block, ty, tx, y, x):
        """Byte address of a position's word."""
        word = d[name] + block * d[f"{name}_plane"] + ty * d[f"{name}_tile"] + y * d[f"{name}_row"]
        word += (tx * d["tile_w"] + x) * (d["skip"] + 1)
        return word * self.params.lanes % self.params.memory

    def table(self, data):
        """Control word and knots at the head of a parameter stream."""
        control, *knots = (int.from_bytes(data[2 * entry : 2 * entry + 2], "little") for entry in range(18))
        flags = {name: control >> bit & 1 for bit, name in enumerate(("flat", "odd", "sided", "sloped"))}
        fold = {"flat": "none", "odd": "odd", "sided": "slope" if flags["sloped"] else "negative"}
        names = [fold[name] for name in fold if flags[name]]
        return SimpleNamespace(
            knots=[signed(knot, 11) for knot in knots], fold=SimpleNamespace(value=(names or ["even"])[0]),
            linear=control >> 4 & 1, unsigned=control >> 5 & 1, linear_shift=2 * (control >> 6 & 1),
            residual_shift=control >> 7 & 3, core=control >> 9 & 15,
        )  # fmt: skip

    def sums(self, d, block, ty, tx, y, w):
        """What the bytes of a tile's row add up to, as two digits: of 6 bits, and of 8."""
        word = d["sums"] + 2 * block * d["sums_plane"] + ty * d["tile_h"] + tx * d["sums_tile"] + y
        lower = word * self.params.lanes % self.params.memory
        upper = (word + d["sums_plane"]) * self.params.lanes % self.params.memory
        for c in range(self.params.columns):
            written = [self.memory[self.place(d, "target", block, ty, tx, y, x) + c] for x in range(w)]
            total = sum(byte - 128 if d["flip_sums"] else signed(byte, 8) for byte in written)
            self.memory[lower + c] = total % 64
            self.memory[upper + c] = total // 64 % 256

    def result(self, d, block, ty, tx, y, x, sums, held, table):
        target, residual = (self.place(d, name, block, ty, tx, y, x) for name in ("target", "residual"))
        for c, total in enumerate(sums):
            shift, residual_shift = held[c][4] % 32, held[c][5] % 32
            if table:
                added = self.memory[residual + c] if d["has_residual"] else 0
                added = added if d["flip_residual"] else signed(added, 8)
                word = min(max(total // 2**shift, -1024), 1023)
                byte = naive_word(UNIT, table, word, added, held[c][6] % 128)
                self.memory[target + c] = byte % 256 ^ (d["flip_target"] << 7)
                continue
            if d["has_residual"]:
                total += signed(self.memory[residual + c] ^ (d["flip_residual"] << 7), 8) << residual_shift
            amount = shift + (d["leak"] if total < 0 else 0)
            value = floor(Fraction(total, 1 << amount) + Fraction(1, 2))
            value = d["high"] if value > d["high"] else max(value, d["low"])
            self.memory[target + c] = value % 256 ^ (d["flip_target"] << 7)
