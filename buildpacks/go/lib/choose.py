"""Chooses a version of Go.

Usage: choose.py REQUESTED < versions
Reads one version a line and prints the one to use: exactly the one asked for;
else the newest patch release of the same line that is not older; else, since
Go compiles what was written for older versions, the newest of the next line
there is. Nothing asked for means the newest of all. Exit status 1, with a
message, where all are too old.
"""

import re
import sys


def numbers(text):
    """Sort key of a release, or None for anything else (release candidates)."""
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+(\.\d+){1,3}", text) else None


def choose(requested, versions):
    """The version to use, or None where all are older than the one requested."""
    known = {numbers(text): text for text in versions if numbers(text)}
    if not known:
        return None
    if not requested:
        return known[max(known)]
    wanted = numbers(requested)
    if wanted is None:
        raise SystemExit(f'"{requested}" is not a version of Go')
    if len(wanted) > 2 and wanted in known:
        return known[wanted]
    newer = [key for key in known if key >= wanted]
    if not newer:
        return None
    line = min(key[:2] for key in newer)
    return known[max(key for key in newer if key[:2] == line)]


def main(requested, lines):
    versions = [line.strip() for line in lines]
    found = choose(requested, versions)
    if not found:
        newest = max(filter(None, map(numbers, versions)), default=())
        raise SystemExit(f"the newest version is {'.'.join(map(str, newest)) or 'unknown'}")
    print(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin)
