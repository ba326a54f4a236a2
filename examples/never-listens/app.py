"""Runs, but never listens on $PORT."""

import time

print("thinking about listening", flush=True)
while True:
    time.sleep(3600)
