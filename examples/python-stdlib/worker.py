"""Prints a tick every second (TICK_SECONDS) until it is told to stop."""

import os
import signal
import sys
import time


def stop(*_):
    print("worker: stopping", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
count = 0
while True:
    count += 1
    print(f"tick {count}", flush=True)
    time.sleep(float(os.environ.get("TICK_SECONDS", "1")))
