"""A web server with an address for each thing a platform should be tried with.

  GET  /                   hello and the version
  GET  /healthz            ok
  GET  /env                the environment, as JSON
  GET  /headers            the request's headers and client address, as JSON
  GET  /sleep?ms=100       answers after that time
  GET  /stream?n=5&ms=100  n lines, one each ms, with chunked encoding
  GET  /events?n=5&ms=100  the same as server-sent events
  GET  /bytes?n=1000       that many bytes
  GET  /status?code=418    answers with that status
  POST /echo               sends the body back while it is still arriving
  GET  /ws                 a WebSocket that sends each message back
  GET  /log?n=10&text=x    writes that many lines to the log
  GET  /memory?mb=10       takes that much more memory, and keeps it
  GET  /cpu?ms=100         computes for that time
  GET  /spawn?n=1          starts that many child processes that sleep
  GET  /exit?code=1        ends the process at once
  GET  /hangup             closes the connection without an answer
  GET  /garbage            answers with something that is not HTTP

Environment: PORT; BOOT_DELAY=seconds before it listens; CRASH_AT_BOOT=exit
status; NO_PORT=1 never listens; IGNORE_TERM=1 does not stop on SIGTERM.
On SIGTERM it takes no more connections, finishes the requests it has, and exits.
"""

import json
import os
import queue
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl

DRAIN_SECONDS = 25
COPY_BYTES = 64 * 1024

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "VERSION")) as file:
    VERSION = file.read().strip()

kept_memory = []
children = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90
    disable_nagle_algorithm = True
    # Headers and a short body leave in one packet.
    wbufsize = 16 * 1024

    def handle_method(self):
        path, _, query = self.path.partition("?")
        self.query = dict(parse_qsl(query))
        with self.server.counted():
            action = ACTIONS.get(path)
            if action is None:
                self.answer("not found\n", status=404)
            else:
                action(self)
            self.wfile.flush()
            # The next request shall go to another instance.
            if self.server.stopping:
                self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = handle_method

    def number(self, name, default):
        return float(self.query.get(name, default))

    def body(self):
        """The request's body, piece by piece, as it arrives."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (data := self.rfile.read1(min(left, COPY_BYTES))):
            left -= len(data)
            yield data

    def head(self, status=200, kind="text/plain; charset=utf-8", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()

    def answer(self, text, status=200, kind="text/plain; charset=utf-8"):
        for _ in self.body():
            pass
        if status == 204:
            return self.head(status, kind)
        data = text.encode()
        self.head(status, kind, Content_Length=len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format, *args):
        """The router keeps the access log."""


def hello(request):
    request.answer(f"Hello from {os.environ.get('DYNO', 'local')}, {VERSION}\n")


def environment(request):
    request.answer(json.dumps(dict(os.environ), indent=1, sort_keys=True) + "\n", kind="application/json")


def headers(request):
    shown = {"client": request.client_address[0], "headers": request.headers.items()}
    request.answer(json.dumps(shown, indent=1) + "\n", kind="application/json")


def sleep(request):
    time.sleep(request.number("ms", 100) / 1000)
    request.answer("slept\n")


def stream(request, kind="text/plain; charset=utf-8", form="line {}\n"):
    request.head(kind=kind, Transfer_Encoding="chunked", Cache_Control="no-cache")
    for i in range(1, int(request.number("n", 5)) + 1):
        if i > 1:
            time.sleep(request.number("ms", 100) / 1000)
        request.chunk(form.format(i).encode())
    request.chunk(b"")


def events(request):
    stream(request, "text/event-stream", "id: {0}\ndata: event {0}\n\n")


def some_bytes(request):
    left = int(request.number("n", 1000))
    request.head(kind="application/octet-stream", Content_Length=left)
    while left > 0 and request.command != "HEAD":
        request.wfile.write(b"x" * min(left, COPY_BYTES))
        left -= COPY_BYTES


def status(request):
    code = int(request.number("code", 200))
    request.answer(f"{code}\n" if code != 304 else "", status=code)


def echo(request):
    kind = request.headers.get("Content-Type", "application/octet-stream")
    request.head(kind=kind, Transfer_Encoding="chunked")
    for data in request.body():
        request.chunk(data)
    request.chunk(b"")


def log(request):
    count = int(request.number("n", 10))
    text = request.query.get("text", "log line")
    for i in range(count):
        print(f"{text} {i + 1}")
    sys.stdout.flush()
    request.answer(f"logged {count} lines\n")


def memory(request):
    kept_memory.append(bytearray(os.urandom(1024)) * (1024 * int(request.number("mb", 10))))
    request.answer(f"holding {sum(map(len, kept_memory)) >> 20} MB\n")


def cpu(request):
    end = time.monotonic() + request.number("ms", 100) / 1000
    while time.monotonic() < end:
        sum(range(1000))
    request.answer("computed\n")


def spawn(request):
    import subprocess

    for _ in range(int(request.number("n", 1))):
        children.append(subprocess.Popen(["sleep", "3600"]))
    request.answer(json.dumps([child.pid for child in children]) + "\n", kind="application/json")


def leave(request):
    print("exiting, as asked", flush=True)
    os._exit(int(request.number("code", 1)))


def hang_up(request):
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def garbage(request):
    request.close_connection = True
    request.wfile.write(b"this is not HTTP\n")


def web_socket(request):
    """RFC 6455: sends text and binary messages back, answers pings."""
    import base64
    import hashlib

    key = request.headers.get("Sec-WebSocket-Key")
    if request.headers.get("Upgrade", "").lower() != "websocket" or not key:
        return request.answer("this address wants a WebSocket\n", status=426)
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    request.send_response(101)
    request.send_header("Upgrade", "websocket")
    request.send_header("Connection", "Upgrade")
    request.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
    request.end_headers()
    request.wfile.flush()
    request.close_connection = True
    read = request.rfile.read
    while len(start := read(2)) == 2:
        length = start[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(read(2 if length == 126 else 8), "big")
        mask = read(4) if start[1] & 0x80 else b"\0\0\0\0"
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(read(length)))
        opcode = start[0] & 0x0F
        if opcode == 10:
            continue
        # A ping (9) is answered by a pong (10), anything else by itself.
        first = bytes([(start[0] & 0xF0) | (10 if opcode == 9 else opcode)])
        if length < 126:
            size = bytes([length])
        elif length < 65536:
            size = b"\x7e" + length.to_bytes(2, "big")
        else:
            size = b"\x7f" + length.to_bytes(8, "big")
        request.wfile.write(first + size + data)
        request.wfile.flush()
        if opcode == 8:
            return


ACTIONS = {
    "/": hello,
    "/healthz": lambda request: request.answer("ok\n"),
    "/env": environment,
    "/headers": headers,
    "/sleep": sleep,
    "/stream": stream,
    "/events": events,
    "/bytes": some_bytes,
    "/status": status,
    "/echo": echo,
    "/ws": web_socket,
    "/log": log,
    "/memory": memory,
    "/cpu": cpu,
    "/spawn": spawn,
    "/exit": leave,
    "/hangup": hang_up,
    "/garbage": garbage,
}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address):
        self.stopping = False
        self.running = 0
        self.idle = threading.Condition()
        super().__init__(address, Handler)

    def counted(self):
        return RunningRequest(self)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class RunningRequest:
    """Counts a request in and out, so that the end can wait for it."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        with self.server.idle:
            self.server.running += 1

    def __exit__(self, *_):
        with self.server.idle:
            self.server.running -= 1
            self.server.idle.notify_all()


def main():
    if code := os.environ.get("CRASH_AT_BOOT"):
        print("crashing at boot, as asked", flush=True)
        sys.exit(int(code))
    if os.environ.get("IGNORE_TERM"):
        signal.signal(signal.SIGTERM, lambda *_: print("ignoring SIGTERM", flush=True))
    if os.environ.get("NO_PORT"):
        print("not listening, as asked", flush=True)
        while True:
            time.sleep(3600)
    time.sleep(float(os.environ.get("BOOT_DELAY", "0")))

    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))))
    # Not an Event: its lock, held when a second SIGTERM comes, would be waited for for ever. Putting
    # into this queue is safe in a signal handler.
    stop = queue.SimpleQueue()
    if not os.environ.get("IGNORE_TERM"):
        signal.signal(signal.SIGTERM, lambda *_: stop.put(None))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(f"{VERSION} listening on port {server.server_address[1]}", flush=True)
    stop.get()

    server.stopping = True
    server.shutdown()
    server.socket.close()
    with server.idle:
        server.idle.wait_for(lambda: server.running == 0, DRAIN_SECONDS)
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
