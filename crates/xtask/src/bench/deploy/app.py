"""The app of `bench deploy`: short, middling and long requests, events and a WebSocket.

Environment: PORT; GRACEFUL=1 ends what it has begun on SIGTERM, otherwise SIGTERM ends it at once,
as it does any program that does not mind it.
"""

import base64
import hashlib
import os
import queue
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLEEPS = {"/fast": 0.02, "/slow": 0.5, "/long": 3.0}
EVENTS = 12
PAUSE = 0.5
DRAIN_SECONDS = 25

folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "VERSION")) as file:
    VERSION = file.read().strip()
busy = threading.Condition()
count = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90
    disable_nagle_algorithm = True
    wbufsize = 16 * 1024

    def do_GET(self):
        global count
        with busy:
            count += 1
        try:
            if self.path == "/events":
                self.events()
            elif self.path == "/ws":
                self.web_socket()
            else:
                time.sleep(SLEEPS.get(self.path, 0))
                self.answer(VERSION.encode() + b"\n")
            self.wfile.flush()
        finally:
            with busy:
                count -= 1
                busy.notify_all()

    def answer(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def events(self):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(1, EVENTS + 1):
            self.wfile.write(b"data: %d\n\n" % number)
            self.wfile.flush()
            time.sleep(PAUSE)
        self.wfile.write(b"data: end\n\n")

    def web_socket(self):
        """Sends short messages back until it is sent a close."""
        self.close_connection = True
        key = self.headers["Sec-WebSocket-Key"].encode()
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.wfile.flush()
        while len(start := self.rfile.read(2)) == 2:
            mask = self.rfile.read(4)
            masked = self.rfile.read(start[1] & 0x7F)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
            self.wfile.write(bytes([start[0], len(data)]) + data)
            self.wfile.flush()
            if start[0] & 0x0F == 8:
                return

    def log_message(self, format, *args):
        """Whoever stands in front keeps the log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A client that has gone."""


def main():
    server = Server(("0.0.0.0", int(os.environ["PORT"])), Handler)
    # Unlike an Event, safe in a signal handler.
    stop = queue.SimpleQueue()
    if os.environ.get("GRACEFUL"):
        signal.signal(signal.SIGTERM, lambda *_: stop.put(None))
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    stop.get()
    server.shutdown()
    server.socket.close()
    with busy:
        busy.wait_for(lambda: count == 0, DRAIN_SECONDS)


if __name__ == "__main__":
    main()
