#!/usr/bin/python3
"""A build that takes all it can get: processor, memory, disk. Usage: burn BUILD_DIR …

It ends by itself after a while, should nobody stop it.
"""

import os
import sys
import time

SECONDS = 120
PIECE = b"x" * (1 << 20)
PIECES_OF_A_FILE = 512

end = time.monotonic() + SECONDS


def spin():
    while time.monotonic() < end:
        sum(range(10_000))


def eat():
    """Grows until the kernel ends it."""
    kept = []
    while time.monotonic() < end:
        kept.append(bytearray(PIECE))


def write(number):
    path = os.path.join(sys.argv[1], f"burn-{number}")
    while time.monotonic() < end:
        with open(path, "wb") as file:
            for piece in range(PIECES_OF_A_FILE):
                file.write(PIECE)
                if piece % 64 == 63:
                    file.flush()
                    os.fsync(file.fileno())


def start(action, *arguments):
    child = os.fork()
    if child == 0:
        action(*arguments)
        os._exit(0)
    return child


for _ in range(4 * os.cpu_count()):
    start(spin)
for number in range(2):
    start(write, number)
hog = start(eat)
print("burning", flush=True)
while time.monotonic() < end:
    gone, _ = os.wait()
    if gone == hog:
        hog = start(eat)
