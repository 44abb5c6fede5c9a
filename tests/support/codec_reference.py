"""The three weight formats decoded from `docs/codecs.md`, a bit at a time: slow, plain, nothing of golden."""

import struct


class Damaged(Exception):
    """The stream is not one; the argument is the bit."""


class Words:
    """The words of a stream, up to `end`."""

    def __init__(self, data: bytes):
        self.data = struct.unpack(f"<{len(data) // 4}I", data)
        self.at, self.end = 0, len(self.data)

    @property
    def bit(self) -> int:
        return 32 * self.at

    def take(self) -> int:
        if self.at >= min(self.end, len(self.data)):
            raise Damaged(self.bit)
        self.at += 1
        return self.data[self.at - 1]


class Bits:
    """Bits of words that are taken when they are needed."""

    def __init__(self, words: Words):
        self.words = words
        self.waiting: list[int] = []

    @property
    def bit(self) -> int:
        """Of the next one, if no other slice takes words."""
        return self.words.bit - len(self.waiting)

    def take(self, count: int) -> int:
        value = 0
        for place in range(count):
            if not self.waiting:
                word = self.words.take()
                self.waiting = [word >> bit & 1 for bit in range(32)]
            value |= self.waiting.pop(0) << place
        return value


def decode(data: bytes) -> list[int]:
    """The weights of a stream with a good header."""
    _, width, lanes, segment = data[4:8]
    (count,) = struct.unpack("<I", data[8:12])
    head = dict(zip(("levels", "base", "slices", "run", "low", "limit", "extra"), data[12:19], strict=True))
    entries = head["levels"]
    table = list(struct.unpack(f"<{entries}b", data[20 : 20 + entries]))
    head |= {"width": width, "lanes": 1 << lanes, "slices": 1 << head["slices"]}
    head["codes"] = entries or 1 << width
    words = Words(data)
    words.at = 5 + -(-entries // 4)
    codes: list[int] = []
    while len(codes) < count:
        length = words.take()
        words.end = words.at + length
        codes += (mask, relative, rice)[data[4]](words, min(1 << segment, count - len(codes)), head)
        if words.at < words.end:
            raise Damaged(words.bit)
        words.end = len(words.data)
    if words.at < len(words.data):
        raise Damaged(words.bit)
    return [table[code] if table else code - (code >> (width - 1) << width) for code in codes]


def mask(words: Words, count: int, head: dict) -> list[int]:
    bits, codes = Bits(words), []
    while len(codes) < count:
        found = bits.take(head["lanes"])
        if found >> count - len(codes):
            raise Damaged(bits.bit - head["lanes"])
        for lane in range(min(head["lanes"], count - len(codes))):
            present = found >> lane & 1
            code = bits.take(head["width"]) if present else 0
            if present and not 1 <= code < head["codes"]:
                raise Damaged(bits.bit - head["width"])
            codes.append(code)
    return codes


def relative(words: Words, count: int, head: dict) -> list[int]:
    bits, codes = Bits(words), []
    while len(codes) < count:
        run, code = bits.take(head["run"]), bits.take(head["width"])
        codes += [0] * run + [code]
        if code >= head["codes"] or len(codes) > count:
            raise Damaged(bits.bit - head["run"] - head["width"])
    return codes


def rice(words: Words, count: int, head: dict) -> list[int]:
    slices = head["slices"]
    sources = [Bits(words) for _ in range(slices)]
    rows = [len(range(index, count, slices)) for index in range(slices)]
    parts: list[list[int]] = [[] for _ in range(slices)]
    for beat_end in range(head["lanes"] // slices, count + head["lanes"], head["lanes"] // slices):
        # Rounds of one symbol for each slice that has not yet reached the end of the beat.
        while any(len(part) < min(beat_end, most) for part, most in zip(parts, rows, strict=True)):
            bit = words.bit
            for bits, part, most in zip(sources, parts, rows, strict=True):
                if len(part) < min(beat_end, most) and not symbol(bits, part, most, head):
                    raise Damaged(bit)
    return [parts[index % slices][index // slices] for index in range(count)]


def symbol(bits: Bits, part: list[int], most: int, head: dict) -> bool:
    """Append one symbol of `rice` to a slice; False if it is none."""
    ones = unary(bits, 8)
    part += [0] * (ones << head["run"])
    if ones < 8:
        part += [0] * bits.take(head["run"])
    if len(part) > most:
        return False
    if ones == 8 or len(part) == most:
        return True
    ones = unary(bits, head["limit"])
    number = (ones << head["low"]) + bits.take(head["extra"] if ones == head["limit"] else head["low"])
    if head["levels"]:
        code, good = number + 1, number + 1 < head["codes"]
    else:
        level = (head["base"] + number // 2) * (1 if number % 2 else -1)
        code, good = level % (1 << head["width"]), -(1 << head["width"] - 1) <= level < 1 << head["width"] - 1
    part.append(code)
    return good


def unary(bits: Bits, limit: int) -> int:
    """Ones up to a zero, which is taken too, or up to `limit` of them."""
    for ones in range(limit):
        if not bits.take(1):
            return ones
    return limit
