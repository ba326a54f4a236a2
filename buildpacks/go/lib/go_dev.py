"""Reads the list of releases of go.dev on standard input.

Usage: go_dev.py versions PLATFORM < list
       go_dev.py checksum PLATFORM VERSION < list
PLATFORM is for example linux-amd64. The first form prints one stable version a
line, the second the SHA-256 of that version's archive.
"""

import json
import sys


def archives(releases, platform):
    """(version, sha256) of each stable release that has an archive for the platform."""
    for release in releases:
        for file in release["files"]:
            if release["stable"] and file["kind"] == "archive" and f"{file['os']}-{file['arch']}" == platform:
                yield release["version"].removeprefix("go"), file["sha256"]


def main(action, platform, version=None):
    known = dict(archives(json.load(sys.stdin), platform))
    if action == "versions":
        print("\n".join(known))
    elif version in known:
        print(known[version])
    else:
        raise SystemExit(f"the list has no archive of Go {version} for {platform}")


if __name__ == "__main__":
    main(*sys.argv[1:])
