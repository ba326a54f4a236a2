"""A small, graceful server: one worker with a few threads keeps memory low."""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
workers = 1
threads = 4
# The port opens once the app is loaded, so that nobody is sent here before.
preload_app = True
# Requests that run when the instance is told to stop may take this long.
graceful_timeout = 25
keepalive = 75
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# The router in front keeps the access log.
accesslog = None
