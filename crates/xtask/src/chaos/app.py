"""An app of `cargo xtask chaos`: says its name and version, and logs what it is asked to."""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "VERSION")) as file:
    SAYS = file.read().strip()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 16 * 1024

    def do_GET(self):
        if self.path.startswith("/log/"):
            # Written to the pipe before it is acknowledged.
            os.write(1, self.path.removeprefix("/log/").encode() + b"\n")
        data = SAYS.encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format, *args):
        """The router keeps the access log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A client that has gone."""


server = Server(("0.0.0.0", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
signal.pause()
