"""Serves a folder of files over HTTP.

Usage: static_server.py [--check] [APP_DIR]

Needs nothing but Python's standard library. Listens on $PORT (default 8000).
With --check it only reads the configuration and prints the folder it would serve.

Configuration, all optional, in static.json of the app:
  root        folder to serve (default: public if it has an index.html, else the app)
  clean_urls  serve about.html as /about (default true)
  error_page  file sent with 404 (default 404.html, where it exists)
  routes      {"/**": "index.html"} sends unknown paths to a single-page app
  headers     {"/path or /prefix/**": {"Name": "value"}}
or, in a Staticfile, the line `root: FOLDER`.

Files and folders with a leading dot are never served, except .well-known.
"""

import email.utils
import hashlib
import html
import json
import mimetypes
import os
import re
import signal
import socket
import stat
import sys
import threading
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IDLE_SECONDS = 65
# How long requests may go on after SIGTERM.
DRAIN_SECONDS = 25
COPY_BYTES = 256 * 1024
# Served by name from the app's own folder they would tell about the app, not the site.
PRIVATE_FILES = {"Procfile", "Staticfile", "static.json", "app.json", "package.json", "package-lock.json"}
# A content hash in the name, as bundlers write it: such a file never changes.
FINGERPRINT = re.compile(r"[.-][0-9a-f]{8,}\.(?:css|js|mjs|map|wasm|woff2?)$")
MORE_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
TEXT_TYPES = {"application/json", "application/manifest+json", "application/xml", "image/svg+xml"}


class ConfigError(Exception):
    """static.json or Staticfile is wrong."""


class Site:
    """The folder to serve and how."""

    def __init__(self, app_dir):
        app_dir = os.path.realpath(app_dir)
        options = read_options(app_dir)
        default = "public" if os.path.isfile(os.path.join(app_dir, "public", "index.html")) else "."
        self.root_name = options.get("root") or default
        self.root = os.path.realpath(os.path.join(app_dir, self.root_name))
        if not os.path.isdir(self.root):
            raise ConfigError(f"The folder to serve, {self.root_name}, does not exist.")
        if os.path.commonpath([app_dir, self.root]) != app_dir:
            raise ConfigError(f"The folder to serve, {self.root_name}, lies outside the app.")
        self.is_app_dir = self.root == app_dir
        self.clean_urls = bool(options.get("clean_urls", True))
        self.error_page = options.get("error_page") or "404.html"
        self.fallback = (options.get("routes") or {}).get("/**")
        self.headers = options.get("headers") or {}
        self.etags = {}

    def find(self, url_path):
        """The file for a decoded path that starts with a slash: a real path, None, or a Redirect."""
        parts = [part for part in url_path.split("/") if part]
        if any(hidden(part) for part in parts) or "\0" in url_path or "\\" in url_path:
            return None
        if self.is_app_dir and len(parts) == 1 and parts[0] in PRIVATE_FILES:
            return None
        name = os.path.join(self.root, *parts)
        if os.path.isdir(name):
            index = self.file(os.path.join(name, "index.html"))
            if index and not url_path.endswith("/"):
                return Redirect(url_path + "/")
            return index
        if url_path.endswith("/"):
            # /about/ for about.html
            return Redirect(url_path.rstrip("/")) if self.clean_urls and self.file(name + ".html") else None
        return self.file(name) or (self.file(name + ".html") if self.clean_urls else None)

    def file(self, name):
        """The real path of a regular file inside the root, or None: links must not lead out of it."""
        real = os.path.realpath(name)
        if os.path.commonpath([self.root, real]) != self.root or not os.path.isfile(real):
            return None
        inside = os.path.relpath(real, self.root).split(os.sep)
        return None if any(hidden(part) for part in inside) else real

    def etag(self, file, info):
        """The entity tag of an open file: of its content, since an image's file times may all be alike."""
        key = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
        if key not in self.etags:
            digest = hashlib.blake2b(digest_size=12)
            while data := file.read(COPY_BYTES):
                digest.update(data)
            self.etags[key] = f'"{digest.hexdigest()}"'
        return self.etags[key]

    def headers_for(self, url_path):
        """Configured headers whose pattern matches the path."""
        found = {}
        for pattern, headers in self.headers.items():
            if pattern == url_path or (pattern.endswith("/**") and url_path.startswith(pattern[:-2])):
                found.update(headers)
        return found


class Redirect(str):
    """Where to go instead."""


def hidden(part):
    return part.startswith(".") and part != ".well-known"


def read_options(app_dir):
    """The configuration as a dictionary; empty without one."""
    path = os.path.join(app_dir, "static.json")
    if os.path.isfile(path):
        try:
            with open(path, encoding="utf-8") as file:
                options = json.load(file)
        except ValueError as error:
            raise ConfigError(f"static.json is not valid JSON: {error}") from None
        expected = {"root": str, "clean_urls": bool, "error_page": str, "routes": dict, "headers": dict}
        if not isinstance(options, dict):
            raise ConfigError("static.json must hold a JSON object.")
        for name, kind in expected.items():
            if name in options and not isinstance(options[name], kind):
                raise ConfigError(f'"{name}" in static.json must be a {kind.__name__}.')
        return options
    path = os.path.join(app_dir, "Staticfile")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            found = re.search(r"^root:[ \t]*(\S.*?)[ \t]*$", file.read(), re.MULTILINE)
        return {"root": found[1]} if found else {}
    return {}


def content_type(path):
    extension = os.path.splitext(path)[1].lower()
    guess = MORE_TYPES.get(extension) or mimetypes.types_map.get(extension) or "application/octet-stream"
    return f"{guess}; charset=utf-8" if guess.startswith("text/") or guess in TEXT_TYPES else guess


def parse_range(text, size):
    """(first, last) of a `Range` header with one range; None to send all; ValueError if unsatisfiable."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text.replace(" ", ""))
    if not match or match[0] == "bytes=-":
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        if length == 0:
            raise ValueError(text)
        return size - length, size - 1
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise ValueError(text)
    return first, last


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # Headers and a short body leave in one packet.
    wbufsize = 16 * 1024
    server_version = "windlass-static"
    sys_version = ""
    site = None

    # Without it, a body that follows its headers waits for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.counted(body=True)

    def do_HEAD(self):
        self.counted(body=False)

    def counted(self, body):
        with self.server.request_running():
            if self.server.stopping or self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
                # A body that nobody reads would be taken for the next request.
                self.close_connection = True
            self.serve(body)
            self.wfile.flush()

    def serve(self, body):
        raw, _, query = self.path.partition("?")
        try:
            path = urllib.parse.unquote(raw, errors="strict")
        except UnicodeDecodeError:
            return self.send_text(HTTPStatus.BAD_REQUEST, "Bad request", body)
        if not path.startswith("/") or "/../" in path + "/":
            return self.send_text(HTTPStatus.BAD_REQUEST, "Bad request", body)
        # "//host/" in a redirect would lead to another host.
        path = re.sub("/{2,}", "/", path)
        found = self.site.find(path)
        if isinstance(found, Redirect):
            target = urllib.parse.quote(found) + ("?" + query if query else "")
            return self.send_text(HTTPStatus.MOVED_PERMANENTLY, "Moved", body, {"Location": target})
        if found:
            return self.send_file(found, path, body)
        if self.site.fallback and (page := self.site.file(os.path.join(self.site.root, self.site.fallback))):
            return self.send_file(page, path, body)
        if page := self.site.file(os.path.join(self.site.root, self.site.error_page)):
            return self.send_file(page, path, body, HTTPStatus.NOT_FOUND)
        return self.send_text(HTTPStatus.NOT_FOUND, "Not found", body)

    def send_file(self, name, url_path, body, status=HTTPStatus.OK):
        try:
            file = open(name, "rb")
        except OSError:
            return self.send_text(HTTPStatus.FORBIDDEN, "Forbidden", body)
        with file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                return self.send_text(HTTPStatus.FORBIDDEN, "Forbidden", body)
            etag = self.site.etag(file, info)
            headers = {
                "ETag": etag,
                "Last-Modified": email.utils.formatdate(info.st_mtime, usegmt=True),
                "Cache-Control": "public, max-age=31536000, immutable" if FINGERPRINT.search(name) else "public, no-cache",
                "X-Content-Type-Options": "nosniff",
                **self.site.headers_for(url_path),
            }
            if status == HTTPStatus.OK and self.unchanged(etag, info.st_mtime):
                return self.send_head(HTTPStatus.NOT_MODIFIED, headers)
            first, last = 0, info.st_size - 1
            if status == HTTPStatus.OK:
                headers["Accept-Ranges"] = "bytes"
                asked = self.headers.get("Range")
                if asked and self.headers.get("If-Range", etag) in (etag, headers["Last-Modified"]):
                    try:
                        part = parse_range(asked, info.st_size)
                    except ValueError:
                        extra = {"Content-Range": f"bytes */{info.st_size}"}
                        return self.send_text(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "Range not satisfiable", body, extra)
                    if part:
                        first, last = part
                        status = HTTPStatus.PARTIAL_CONTENT
                        headers["Content-Range"] = f"bytes {first}-{last}/{info.st_size}"
            headers["Content-Type"] = content_type(name)
            headers["Content-Length"] = str(last - first + 1)
            self.send_head(status, headers)
            if body:
                self.copy(file, first, last - first + 1)

    def unchanged(self, etag, mtime):
        """Whether the client's copy is still good."""
        if none_match := self.headers.get("If-None-Match"):
            tags = [tag.strip().removeprefix("W/") for tag in none_match.split(",")]
            return etag in tags or "*" in tags
        if since := self.headers.get("If-Modified-Since"):
            try:
                return int(mtime) <= email.utils.parsedate_to_datetime(since).timestamp()
            except (TypeError, ValueError):
                return False
        return False

    def copy(self, file, offset, count):
        self.wfile.flush()
        file.seek(offset)
        while count > 0 and (data := file.read(min(COPY_BYTES, count))):
            self.wfile.write(data)
            count -= len(data)
        if count > 0:
            # The file shrank: the promised length cannot be kept.
            self.close_connection = True

    def send_head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_text(self, status, text, body, headers=None):
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
            f"<title>{html.escape(text)}</title><body style=\"font:1.1rem system-ui;margin:20vh auto;max-width:30rem\">"
            f"<h1>{int(status)}</h1><p>{html.escape(text)}.</p>\n"
        ).encode()
        kind = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page)), "Cache-Control": "no-cache"}
        self.send_head(status, {**kind, **(headers or {})})
        if body:
            self.wfile.write(page)

    def log_message(self, format, *args):
        """Requests are logged by the router."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    address_family = socket.AF_INET

    def __init__(self, address, handler):
        self.stopping = False
        self.running = 0
        self.idle = threading.Condition()
        super().__init__(address, handler)

    def request_running(self):
        return RunningRequest(self)

    def handle_error(self, request, client_address):
        """A client that goes away is no error; anything else is."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def drain(self):
        """Waits for running requests, up to the limit."""
        with self.idle:
            return self.idle.wait_for(lambda: self.running == 0, DRAIN_SECONDS)


class RunningRequest:
    """Counts a request in and out."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        with self.server.idle:
            self.server.running += 1

    def __exit__(self, *_):
        with self.server.idle:
            self.server.running -= 1
            self.server.idle.notify_all()


def main(arguments):
    check = "--check" in arguments
    folders = [argument for argument in arguments if argument != "--check"]
    try:
        site = Site(folders[0] if folders else ".")
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    if check:
        print("of the app itself" if site.is_app_dir else site.root_name)
        return
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), handler)

    def stop(*_):
        server.stopping = True
        # shutdown() waits for serve_forever(), which this signal interrupted.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"Serving {site.root} on port {server.server_address[1]}", flush=True)
    # A short poll: it is only how soon SIGTERM is acted on.
    server.serve_forever(poll_interval=0.1)
    server.socket.close()
    server.drain()


if __name__ == "__main__":
    main(sys.argv[1:])
