"""Finds which Ruby an app asks for.

Usage: requested.py FOLDER
Prints the requirement, a word that says how binding it is, and where it stands,
one a line. "exact" requirements are checked by Bundler at each start, so that
nothing else will do; with "near" ones another patch release will. Nothing is
printed where nothing is asked for.
       requested.py FOLDER satisfies REQUIREMENT VERSION
Exit status 0 if the version is what the requirement allows.
"""

import os
import re
import sys

NUMBERS = r"\d+(?:\.\d+)*"


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def first_line(text):
    """A version file's version: its first line that says something."""
    for line in text.splitlines():
        line = line.split("#")[0].strip().removeprefix("ruby-")
        if line:
            return line
    return ""


def of_gemfile(text, folder):
    """The requirement of the line `ruby ...` of a Gemfile."""
    match = re.search(r"^\s*ruby[\s(]+(.*)$", text, re.MULTILINE)
    if not match:
        return ""
    line = match[1].split("#")[0]
    if file := re.search(r"""file:\s*["']([^"']+)""", line):
        if file[1] == ".tool-versions":
            found = re.search(r"^ruby\s+(\S+)", read(folder, file[1]), re.MULTILINE)
            return found[1] if found else ""
        return first_line(read(folder, file[1]))
    # engine: "jruby", patchlevel: "53" and the like.
    line = re.sub(r""":?\w+\s*(?:=>|:)\s*["'][^"']*["']""", "", line)
    return ", ".join(re.findall(rf"""["']\s*((?:[<>=~!]+\s*)?{NUMBERS})\s*["']""", line))


def find(folder):
    """(requirement, "exact" or "near", origin), or None."""
    gemfile = of_gemfile(read(folder, "Gemfile"), folder)
    locked = re.search(rf"^RUBY VERSION\n\s+ruby ({NUMBERS})", read(folder, "Gemfile.lock"), re.MULTILINE)
    if gemfile and locked and re.fullmatch(NUMBERS, gemfile):
        return locked[1], "exact", "Gemfile.lock"
    if gemfile:
        return gemfile, "exact", "Gemfile"
    if version := first_line(read(folder, ".ruby-version")):
        return version, "near", ".ruby-version"
    return None


def key(version):
    return [int(part) for part in version.split(".")]


def satisfies(requirement, version):
    """RubyGems' rules; a bare version means itself, shorter ones any that begin so."""
    have = key(version)
    for term in requirement.split(","):
        operator, wanted = re.fullmatch(rf"([<>=~!]*)\s*({NUMBERS})", term.strip()).groups()
        want = key(wanted)
        width = max(len(have), len(want))
        a, b = have + [0] * (width - len(have)), want + [0] * (width - len(want))
        allowed = {
            "": have[: len(want)] == want,
            "=": a == b,
            "!=": a != b,
            ">=": a >= b,
            ">": a > b,
            "<=": a <= b,
            "<": a < b,
            "~>": a >= b and have[: len(want) - 1] == want[:-1],
        }
        if not allowed.get(operator, False):
            return False
    return True


def main(folder, action="find", requirement="", version=""):
    if action == "satisfies":
        raise SystemExit(0 if satisfies(requirement, version) else 1)
    found = find(folder)
    if not found:
        return
    terms = found[0].split(",")
    if not all(re.fullmatch(rf"([<>=~!]+\s*)?{NUMBERS}", term.strip()) for term in terms):
        raise SystemExit(f' !     {found[2]} asks for "{found[0]}", which is not a version of Ruby such as 3.1 or 3.1.2.')
    print("\n".join(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
