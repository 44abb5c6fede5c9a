"""The three weight formats decoded from `docs/codecs.md`, a bit at a time: slow, plain, nothing of golden."""

import struct


class Damaged(Exception):
    """The stream is not one."""


class Bits:
    """Words that come when bits are asked for."""

    def __init__(self, next_word):
        self.next_word = next_word
        self.waiting: list[int] = []

    def take(self, count: int) -> int:
        value = 0
        for place in range(count):
            if not self.waiting:
                word = self.next_word()
                self.waiting = [word >> bit & 1 for bit in range(32)]
            value |= self.waiting.pop(0) << place
        return value


def decode(data: bytes) -> list[int]:
    """The weights of a stream."""
    if len(data) % 4 or len(data) < 20 or data[:4] != b"RWS\x01":
        raise Damaged
    packing, width, lanes, segment = data[4:8]
    (count,) = struct.unpack("<I", data[8:12])
    head = dict(zip(("levels", "base", "slices", "run", "low", "limit", "extra"), data[12:19], strict=True))
    entries = head["levels"]
    table = list(struct.unpack(f"<{entries}b", data[20 : 20 + entries]))
    words = iter(struct.unpack(f"<{len(data) // 4}I", data)[5 + -(-entries // 4) :])
    head |= {"width": width, "lanes": 1 << lanes, "slices": 1 << head["slices"]}
    head["codes"] = entries or 1 << width
    codes: list[int] = []
    while len(codes) < count:
        length = take(words)
        inside = iter([take(words) for _ in range(length)])
        codes += (mask, relative, rice)[packing](inside, min(1 << segment, count - len(codes)), head)
        if any(True for _ in inside):
            raise Damaged
    if any(True for _ in words):
        raise Damaged
    return [table[code] if table else code - (code >> (width - 1) << width) for code in codes]


def take(words) -> int:
    for word in words:
        return word
    raise Damaged


def mask(words, count: int, head: dict) -> list[int]:
    bits, codes = Bits(lambda: take(words)), []
    while len(codes) < count:
        found = bits.take(head["lanes"])
        for lane in range(head["lanes"]):
            present = found >> lane & 1
            if present and len(codes) >= count:
                raise Damaged
            code = bits.take(head["width"]) if present else 0
            if present and not 1 <= code < head["codes"]:
                raise Damaged
            codes += [code] * (len(codes) < count)
    return codes


def relative(words, count: int, head: dict) -> list[int]:
    bits, codes = Bits(lambda: take(words)), []
    while len(codes) < count:
        run, code = bits.take(head["run"]), bits.take(head["width"])
        codes += [0] * run + [code]
        if code >= head["codes"] or len(codes) > count:
            raise Damaged
    return codes


def rice(words, count: int, head: dict) -> list[int]:
    slices = head["slices"]
    sources = [Bits(lambda: take(words)) for _ in range(slices)]
    rows = [len(range(index, count, slices)) for index in range(slices)]
    parts: list[list[int]] = [[] for _ in range(slices)]
    for beat_end in range(head["lanes"] // slices, count + head["lanes"], head["lanes"] // slices):
        # Rounds of one symbol for each slice that has not yet reached the end of the beat.
        while any(len(part) < min(beat_end, most) for part, most in zip(parts, rows, strict=True)):
            for bits, part, most in zip(sources, parts, rows, strict=True):
                if len(part) < min(beat_end, most):
                    symbol(bits, part, most, head)
    return [parts[index % slices][index // slices] for index in range(count)]


def symbol(bits: Bits, part: list[int], most: int, head: dict) -> None:
    """Append one symbol of `rice` to a slice."""
    ones = unary(bits, 8)
    part += [0] * (ones << head["run"])
    if ones < 8:
        part += [0] * bits.take(head["run"])
    if len(part) > most:
        raise Damaged
    if ones == 8 or len(part) == most:
        return
    ones = unary(bits, head["limit"])
    number = (ones << head["low"]) + bits.take(head["extra"] if ones == head["limit"] else head["low"])
    if head["levels"]:
        code, good = number + 1, number + 1 < head["codes"]
    else:
        level = (head["base"] + number // 2) * (1 if number % 2 else -1)
        code, good = level % (1 << head["width"]), -(1 << head["width"] - 1) <= level < 1 << head["width"] - 1
    if not good:
        raise Damaged
    part.append(code)


def unary(bits: Bits, limit: int) -> int:
    """Ones up to a zero, which is taken too, or up to `limit` of them."""
    for ones in range(limit):
        if not bits.take(1):
            return ones
    return limit
