"""Reads the index.json of nodejs.org on standard input, and prints the versions
that exist for a platform.

Usage: node_index.py PLATFORM < index.json
"""

import json
import sys

for release in json.load(sys.stdin):
    if sys.argv[1] in release["files"]:
        print(release["version"].removeprefix("v"))
