"""A plain plot by another hand: prints root, leaf and path for one index, made from key and seed alone.

    python3 plot.py FILE INDEX

Reads of the file its header's key, seed and number of leaves, and nothing that was computed from them.
"""
import hashlib
import struct
import sys


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def main(path, index):
    with open(path, "rb") as plot:
        header = plot.read(4096)
    magic, version, height = struct.unpack("<8sII", header[:16])
    assert magic == b"ADITPLOT" and version == 1
    key, seed = header[16:48], header[48:80]
    (leaves,) = struct.unpack("<Q", header[80:88])
    plot_id = sha256(b"adit plot 1", key, seed)
    nodes = [sha256(plot_id, struct.pack("<Q", leaf)) for leaf in range(leaves)]
    leaf, beside, missing = nodes[index], [], bytes(32)
    for _ in range(height):
        if len(nodes) % 2:
            nodes.append(missing)
        beside.append(nodes[index ^ 1])
        nodes = [sha256(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
        index //= 2
        missing = sha256(missing, missing)
    (root,) = nodes
    print(root.hex())
    print(leaf.hex())
    print(" ".join(node.hex() for node in beside))


main(sys.argv[1], int(sys.argv[2]))
