"""Writes Java's list of authorities from the system's.

Usage: truststore.py PEM_FILE OUTPUT
The result is a key store in Java's own old format, which every version reads;
its password is Java's usual one. A script of a Debian package would otherwise
make it, by starting Java, and as root.
"""

import base64
import hashlib
import re
import struct
import sys

PASSWORD = "changeit"


def certificates(text):
    """The DER form of each certificate, once."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    return list(dict.fromkeys(base64.b64decode(body) for body in found))


def text(value):
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def key_store(entries):
    """Magic number, version, the entries, and a digest over all of it."""
    parts = [struct.pack(">III", 0xFEEDFEED, 2, len(entries))]
    for number, der in enumerate(entries):
        # A trusted certificate: tag 2, its name, the time it was added, its type, itself.
        parts.append(struct.pack(">I", 2) + text(f"authority-{number}") + struct.pack(">Q", 0))
        parts.append(text("X.509") + struct.pack(">I", len(der)) + der)
    body = b"".join(parts)
    return body + hashlib.sha1(PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def main(source, target):
    with open(source, encoding="ascii", errors="replace") as file:
        store = key_store(certificates(file.read()))
    with open(target, "wb") as file:
        file.write(store)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
