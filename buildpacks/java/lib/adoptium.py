"""Reads Adoptium's answer about the newest release of a line.

Usage: adoptium.py < answer
Prints address, SHA-256 and version, one a line.
"""

import json
import sys


def read(document):
    release = document[0]
    package = release["binary"]["package"]
    return package["link"], package["checksum"], release["version"]["openjdk_version"].split("+")[0]


def main():
    try:
        print("\n".join(read(json.load(sys.stdin))))
    except (ValueError, LookupError, TypeError):
        raise SystemExit("there is no such release") from None


if __name__ == "__main__":
    main()
