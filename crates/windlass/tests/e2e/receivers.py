"""Receivers of webhooks and of log drains.

receivers.py hook OUT SECRET | https OUT CERT KEY | syslog OUT

Prints its port, then appends one JSON value a line to OUT for each thing it receives.
"""

import base64
import hashlib
import hmac
import http.server
import json
import socketserver
import ssl
import sys

kind, out = sys.argv[1:3]


def write(value):
    with open(out, "a") as file:
        file.write(json.dumps(value) + "\n")


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if kind == "hook":
            expected = base64.b64encode(hmac.new(sys.argv[3].encode(), body, hashlib.sha256).digest())
            signed = headers["heroku-webhook-hmac-sha256"].encode() == expected
            write({"signed": signed, "body": json.loads(body)})
        else:
            write({"headers": headers, "body": body.decode()})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Syslog(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            digits = b""
            while not digits.endswith(b" "):
                byte = self.rfile.read(1)
                if not byte:
                    return
                digits += byte
            write({"frame": self.rfile.read(int(digits)).decode()})


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if kind == "syslog":
    server = TcpServer(("127.0.0.1", 0), Syslog)
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Http)
if kind == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
