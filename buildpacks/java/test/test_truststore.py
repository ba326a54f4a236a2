"""Tests of lib/truststore.py."""

import base64
import hashlib
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import truststore


def pem(der):
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"


class KeyStore(unittest.TestCase):
    def test_each_certificate_once(self):
        text = "# one\n" + pem(b"first") + pem(b"second") + pem(b"first")
        self.assertEqual(truststore.certificates(text), [b"first", b"second"])

    def test_the_form_that_java_reads(self):
        store = truststore.key_store([b"first", b"second"])
        self.assertEqual(struct.unpack(">III", store[:12]), (0xFEEDFEED, 2, 2))
        name = b"\x00\x0bauthority-0"
        entry = struct.pack(">I", 2) + name + bytes(8) + b"\x00\x05X.509" + struct.pack(">I", 5) + b"first"
        self.assertEqual(store[12 : 12 + len(entry)], entry)
        password = "changeit".encode("utf-16-be")
        self.assertEqual(store[-20:], hashlib.sha1(password + b"Mighty Aphrodite" + store[:-20]).digest())


if __name__ == "__main__":
    unittest.main()
