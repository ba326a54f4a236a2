"""Prints what the buildpack needs to know of a go.mod as shell assignments.

Usage: go_mod.py FILE
"""

import re
import sys

MODULE = re.compile(r'module\s+"?([^\s"]+)"?')
GO = re.compile(r"go\s+(\d+(?:\.\d+){1,2})(?:(?:rc|beta)\d+)?")
TOOLCHAIN = re.compile(r"toolchain\s+go(\d+(?:\.\d+){1,2})\S*")
HEROKU = re.compile(r"//\s*\+heroku\s+(goVersion|install)\s+(.+)")


def quoted(text):
    """A shell word that stands for this text."""
    return "'" + text.replace("'", "'\\''") + "'"


def program_name(module):
    """The name that Go gives to the program of a module's top folder."""
    parts = module.split("/")
    if len(parts) > 1 and re.fullmatch(r"v[2-9]\d*", parts[-1]):
        parts.pop()
    return parts[-1]


def facts(text):
    """(name, value) pairs; SystemExit with a message where the file is no go.mod."""
    module = go = toolchain = version = ""
    packages = ""
    for line in text.splitlines():
        line = line.strip()
        if match := MODULE.match(line):
            module = match[1]
        elif match := GO.match(line):
            go = match[1]
        elif match := TOOLCHAIN.match(line):
            toolchain = match[1]
        elif match := HEROKU.match(line):
            if match[1] == "install":
                packages = match[2].strip()
            else:
                version = match[2].strip().removeprefix("go")
    if not module:
        raise SystemExit(' !     go.mod has no line "module PATH".')
    candidates = (
        (version, "the line +heroku goVersion in go.mod"),
        (toolchain, "the toolchain line in go.mod"),
        (go, "the go line in go.mod"),
        ("", "the default"),
    )
    requested, origin = next(pair for pair in candidates if pair[0] or pair[1] == "the default")
    return [
        ("module_path", module),
        ("module_name", program_name(module)),
        ("go_requested", requested),
        ("go_origin", origin),
        ("package_spec", packages),
    ]


def main(path):
    with open(path, encoding="utf-8") as file:
        for name, value in facts(file.read()):
            print(f"{name}={quoted(value)}")


if __name__ == "__main__":
    main(sys.argv[1])
