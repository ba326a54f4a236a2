"""Reads Cargo's messages on standard input, and prints the path of each program that was built.

Usage: programs.py < messages
"""

import json
import sys


def programs(lines):
    """Paths of the programs, each once, examples and tests left out."""
    found = []
    for line in lines:
        message = json.loads(line) if line.startswith("{") else {}
        path = message.get("executable")
        if path and "bin" in message.get("target", {}).get("kind", []) and path not in found:
            found.append(path)
    return found


if __name__ == "__main__":
    print("\n".join(programs(sys.stdin)))
