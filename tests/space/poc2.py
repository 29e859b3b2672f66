"""A nonce of a hard plot by another hand: prints one scoop of it and how good that answers a challenge.

    python3 poc2.py ACCOUNT NUMBER SCOOP CHALLENGE

The challenge in hexadecimal digits, everything else in decimal ones. Takes about half a minute: a nonce is 8,192 digests.
"""
import struct
import sys

ONES = 0xFFFFFFFF


def written_out():
    """Shabal's permutation as one function of single variables: loops over lists would take three times as long."""
    a, b, c, m = ([f"{name}{at}" for at in range(16)] for name in "abcm")
    a = a[:12]
    lines = ["def permute(a, b, c, m, number):"]
    lines += [f" {','.join(names)} = {name}" for names, name in ((a, "a"), (b, "b"), (c, "c"), (m, "m"))]
    lines += [" a0 ^= number & 0xffffffff", " a1 ^= number >> 32"]
    lines += [f" {x} = ({x} << 17 | {x} >> 15) & 0xffffffff" for x in b]
    for step in range(48):
        own, before, at = a[step % 12], a[(step + 11) % 12], step % 16
        times_five = f"({before} << 15 ^ {before} >> 17) * 5"
        times_three = f"({own} ^ {times_five} ^ {c[(8 - step) % 16]}) * 3"
        picked = f"({b[(at + 9) % 16]} & ~{b[(at + 6) % 16]})"
        lines.append(f" {own} = ({times_three} ^ {b[(at + 13) % 16]} ^ {picked} ^ {m[at]}) & 0xffffffff")
        lines.append(f" {b[at]} = (({b[at]} << 1 | {b[at]} >> 31) ^ ~{own}) & 0xffffffff")
    for at in range(12):
        sums = [c[(6 - sum) % 16] for sum in range(36) if (11 - sum) % 12 == at]
        lines.append(f" {a[at]} = ({a[at]} + {' + '.join(sums)}) & 0xffffffff")
    lines.append(f" return [{','.join(a)}], [{','.join(b)}]")
    return "\n".join(lines)


exec(written_out())


def add(b, m):
    return [(x + y) & ONES for x, y in zip(b, m)]


def take(state, m):
    """Mixes in a block that is not the last."""
    a, b, c, number = state
    a, b = permute(a, add(b, m), c, m, number)
    return a, [(x - y) & ONES for x, y in zip(c, m)], b, (number + 1) & (2**64 - 1)


def begin():
    state = [0] * 12, [0] * 16, [0] * 16, 2**64 - 1
    for first in (256, 272):
        state = take(state, list(range(first, first + 16)))
    return state


BEGIN = begin()


def shabal256(message):
    padded = message + b"\x80" + bytes(-(len(message) + 1) % 64)
    blocks = [list(words) for words in struct.iter_unpack("<16I", padded)]
    state = BEGIN
    for m in blocks[:-1]:
        state = take(state, m)
    a, b, c, number = state
    m = blocks[-1]
    b = add(b, m)
    a, b = permute(a, b, c, m, number)
    for _ in range(3):
        b, c = c, b
        a, b = permute(a, b, c, m, number)
    return struct.pack("<8I", *b[8:])


def xor(left, right):
    return bytes(x ^ y for x, y in zip(left, right))


def scoop_of(account, number, scoop):
    nonce = bytearray(262144) + struct.pack(">QQ", account, number)
    for place in range(262144 - 32, -32, -32):
        nonce[place : place + 32] = shabal256(bytes(nonce[place + 32 : place + 32 + 4096]))
    whole = shabal256(bytes(nonce))
    digests = [2 * scoop, 2 * (4095 - scoop) + 1]
    return b"".join(xor(nonce[32 * at : 32 * at + 32], whole) for at in digests)


def main(account, number, scoop, challenge):
    data = scoop_of(account, number, scoop)
    print(data.hex())
    print(struct.unpack("<Q", shabal256(bytes.fromhex(challenge) + data)[:8])[0])


if __name__ == "__main__":
    account, number, scoop = map(int, sys.argv[1:4])
    main(account, number, scoop, sys.argv[4])
