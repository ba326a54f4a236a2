"""Tests of lib/static_server.py: a real server on a free port, real requests."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "static_server.py")


class Site:
    """A running server over files given as a dictionary."""

    def __init__(self, files):
        self.folder = tempfile.mkdtemp()
        for name, content in files.items():
            path = os.path.join(self.folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        environment = {**os.environ, "PORT": "0"}
        self.process = subprocess.Popen([sys.executable, SERVER, self.folder], env=environment, stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"port (\d+)", self.process.stdout.readline())[1])

    def get(self, path, method="GET", **headers):
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        result = response.status, response.headers, response.read()
        connection.close()
        return result

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder)


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site({
            "public/index.html": b"<h1>home</h1>",
            "public/about.html": b"about",
            "public/docs/index.html": b"docs",
            "public/404.html": b"missing",
            "public/app.0a1b2c3d.js": b"1",
            "public/photo-20240101.jpg": b"jpg",
            "public/letters.txt": b"abcdefghij",
            "public/sp\xc3\xa4t name.txt".encode("latin-1").decode(): b"late",
            "public/.secret": b"secret",
            "public/.well-known/x": b"known",
            "public/big.bin": os.urandom(3_000_000),
            "secret.txt": b"secret",
            "static.json": b'{"headers": {"/docs/**": {"X-Docs": "yes"}}}',
        })
        os.symlink("../secret.txt", os.path.join(cls.site.folder, "public", "link.txt"))
        os.symlink(".secret", os.path.join(cls.site.folder, "public", "alias.txt"))

    @classmethod
    def tearDownClass(cls):
        cls.site.close()

    def test_pages(self):
        for path, status, body in [
            ("/", 200, b"<h1>home</h1>"),
            ("/index.html", 200, b"<h1>home</h1>"),
            ("/about", 200, b"about"),
            ("/about?x=/y", 200, b"about"),
            ("//about", 200, b"about"),
            ("/docs/", 200, b"docs"),
            ("/nowhere", 404, b"missing"),
            ("/sp%C3%A4t%20name.txt", 200, b"late"),
            ("/.well-known/x", 200, b"known"),
        ]:
            with self.subTest(path=path):
                got = self.site.get(path)
                self.assertEqual((got[0], got[2]), (status, body))

    def test_redirects_stay_here(self):
        for path, target in [("/docs", "/docs/"), ("/docs?a=b", "/docs/?a=b"), ("/about/", "/about"), ("//docs", "/docs/")]:
            with self.subTest(path=path):
                status, headers, _ = self.site.get(path)
                self.assertEqual((status, headers["Location"]), (301, target))

    def test_nothing_else_is_served(self):
        for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/docs/../../secret.txt", "/..%2fsecret.txt", "/.secret", "/link.txt",
                     "/alias.txt", "/%2esecret", "/docs/%00", "/..%5csecret.txt", "/%ff"]:
            with self.subTest(path=path):
                status, _, body = self.site.get(path)
                self.assertIn(status, (400, 404))
                self.assertNotIn(b"secret", body)

    def test_types_and_caching(self):
        for path, kind, cache in [
            ("/", "text/html; charset=utf-8", "public, no-cache"),
            ("/app.0a1b2c3d.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
            ("/photo-20240101.jpg", "image/jpeg", "public, no-cache"),
            ("/big.bin", "application/octet-stream", "public, no-cache"),
        ]:
            with self.subTest(path=path):
                headers = self.site.get(path)[1]
                self.assertEqual((headers["Content-Type"], headers["Cache-Control"]), (kind, cache))
        self.assertEqual(self.site.get("/docs/")[1]["X-Docs"], "yes")

    def test_not_modified(self):
        headers = self.site.get("/letters.txt")[1]
        for condition in ({"If_None_Match": headers["ETag"]}, {"If_None_Match": f'"x", W/{headers["ETag"]}'},
                          {"If_Modified_Since": headers["Last-Modified"]}):
            with self.subTest(condition=condition):
                status, _, body = self.site.get("/letters.txt", **condition)
                self.assertEqual((status, body), (304, b""))
        for condition in ({"If_None_Match": '"x"'}, {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If_Modified_Since": "soon"}):
            with self.subTest(condition=condition):
                self.assertEqual(self.site.get("/letters.txt", **condition)[0], 200)

    def test_ranges(self):
        for text, status, body in [
            ("bytes=0-2", 206, b"abc"),
            ("bytes=7-", 206, b"hij"),
            ("bytes=-3", 206, b"hij"),
            ("bytes=-99", 206, b"abcdefghij"),
            ("bytes=8-99", 206, b"ij"),
            ("bytes=3-1", 200, b"abcdefghij"),
            ("lines=1-2", 200, b"abcdefghij"),
            ("bytes=0-1,4-5", 200, b"abcdefghij"),
        ]:
            with self.subTest(range=text):
                got = self.site.get("/letters.txt", Range=text)
                self.assertEqual((got[0], got[2]), (status, body))
        status, headers, _ = self.site.get("/letters.txt", Range="bytes=10-")
        self.assertEqual((status, headers["Content-Range"]), (416, "bytes */10"))
        self.assertEqual(self.site.get("/letters.txt", Range="bytes=0-1")[1]["Content-Range"], "bytes 0-1/10")
        self.assertEqual(self.site.get("/letters.txt", Range="bytes=0-1", If_Range='"old"')[0], 200)

    def test_head_and_other_methods(self):
        status, headers, body = self.site.get("/letters.txt", method="HEAD")
        self.assertEqual((status, headers["Content-Length"], body), (200, "10", b""))
        self.assertGreaterEqual(self.site.get("/", method="POST")[0], 400)

    def test_big_file_and_keep_alive(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=10)
        for _ in range(3):
            connection.request("GET", "/big.bin")
            self.assertEqual(len(connection.getresponse().read()), 3_000_000)
            self.assertIsNotNone(connection.sock)
        connection.close()


class Configured(unittest.TestCase):
    def test_app_folder_keeps_its_own_files(self):
        site = Site({"index.html": b"home", "Procfile": b"web: x", "static.json": b"{}", ".windlass/static_server.py": b"x"})
        self.addCleanup(site.close)
        self.assertEqual(site.get("/")[0], 200)
        for path in ("/Procfile", "/static.json", "/.windlass/static_server.py"):
            self.assertEqual(site.get(path)[0], 404)

    def test_single_page_app(self):
        site = Site({"dist/index.html": b"app", "static.json": b'{"root": "dist", "clean_urls": false, "routes": {"/**": "index.html"}}'})
        self.addCleanup(site.close)
        self.assertEqual(site.get("/some/route")[::2], (200, b"app"))

    def test_staticfile(self):
        site = Site({"web/index.html": b"web", "Staticfile": b"root: web\n"})
        self.addCleanup(site.close)
        self.assertEqual(site.get("/")[2], b"web")

    def test_etag_is_of_the_content(self):
        site = Site({"a.txt": b"one", "b.txt": b"two", "c.txt": b"one"})
        self.addCleanup(site.close)
        for name in ("a.txt", "b.txt", "c.txt"):
            os.utime(os.path.join(site.folder, name), (0, 0))
        tags = [site.get(f"/{name}")[1]["ETag"] for name in ("a.txt", "b.txt", "c.txt")]
        self.assertEqual(tags[0], tags[2])
        self.assertNotEqual(tags[0], tags[1])

    def test_sigterm_ends_it_and_finishes_what_runs(self):
        site = Site({"index.html": b"home", "big.bin": b"x" * 30_000_000})
        self.addCleanup(site.close)
        slow = socket.create_connection(("127.0.0.1", site.port), timeout=10)
        slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        received = len(slow.recv(1000))
        site.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        self.assertIsNone(site.process.poll())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.port), timeout=1)
        while data := slow.recv(1 << 20):
            received += len(data)
        slow.close()
        self.assertGreater(received, 30_000_000)
        self.assertEqual(site.process.wait(5), 0)


if __name__ == "__main__":
    unittest.main()
