"""Damage, drawn from a generator: the same seed damages alike."""

from __future__ import annotations

from random import Random

#: Integers at which sizes, offsets and counts go wrong.
EDGES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0xFFFFFFFFFFFFFFFF,
)
#: Numbers at which arithmetic goes wrong.
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e30, -1e30, 1e308, float("inf"), float("-inf"), float("nan"))
#: What YAML, JSON and CSV read as something else than it looks.
WORDS = (
    "", "null", "~", "true", "-1", "1e999", ".nan", "0x7f", "[]", "{}", "[1, 2", "&a [*a]", "!!python/name:os.system",
    "../../etc/passwd", "/dev/zero", "\\0", "é", "9" * 400, "a" * 5000, "a:/" * 20_000, "{a: {a: {a: {}}}}", "- - - -", "\t", '"',
)  # fmt: skip


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes with one to six faults: bits, edges, cuts, doubled or moved pieces, noise."""
    content = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(content) + 1)
        length = min(random.choice((1, 2, 4, 8, 16, 64, 256, 1024)), len(content) - at)
        fault = random.randrange(7)
        if fault == 0 and length:
            content[at] ^= 1 << random.randrange(8)
        elif fault == 1:
            width = random.choice((1, 2, 4, 8))
            number = random.choice(EDGES) & (256**width - 1)
            content[at : at + width] = number.to_bytes(width, random.choice(("little", "big")))
        elif fault == 2:
            del content[at : at + length]
        elif fault == 3:
            content[at:at] = content[at : at + length]
        elif fault == 4:
            content[at : at + length] = random.randbytes(length)
        elif fault == 5:
            other = random.randrange(len(content) + 1)
            content[at : at + length] = content[other : other + length]
        elif random.random() < 0.3:
            del content[at:]
    return bytes(content)


def rewritten(text: str, random: Random) -> str:
    """The text with one to three of its values, names or lines replaced; sometimes its bytes are damaged."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 3)):
        number = random.randrange(len(lines)) if lines else 0
        line = lines[number] if lines else ""
        fault = random.randrange(5)
        if fault == 0:
            lines[number : number + 1] = []
        elif fault == 1:
            lines.insert(number, random.choice(lines) if lines else "a: 1")
        else:
            head, mark, _ = line.partition(random.choice((":", ",", " ")))
            word = random.choice(WORDS)
            lines[number : number + 1] = [f"{head}{mark} {word}" if fault < 4 else word + line]
    new = "\n".join(lines) + "\n"
    return damaged(new.encode(), random).decode(errors="surrogateescape") if random.random() < 0.2 else new
