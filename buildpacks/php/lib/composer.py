"""What composer.json and composer.lock ask for.

Usage: composer.py facts FOLDER
Prints shell assignments: php_requested, php_origin, extensions (names without
"ext-", separated by blanks), vendor_dir, and needs_lock, has_lock, has_autoload
and has_compile ("true" or "false").
       composer.py choose CONSTRAINT VERSION...
Prints the first version that the constraint allows; "8.2" stands for any of its
patch releases. Exit status 1 where there is none.
"""

import json
import os
import re
import shlex
import sys

# After every version.
LIMIT = (10**6, 0, 0)


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SystemExit(f" !     {name} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SystemExit(f" !     {name} cannot be read: it is not an object.")
    return document


def section(document, name):
    """An object of the document; PHP writes an empty one as a list."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def facts(folder):
    """What the build needs to know, by name."""
    manifest, lock = read(folder, "composer.json"), read(folder, "composer.lock")
    wanted = dict(section(manifest, "require"))
    asked = wanted.get("php") or wanted.get("php-64bit") or ""
    origin = "composer.json" if asked else ""
    if platform := section(lock, "platform").get("php"):
        asked, origin = platform, "composer.lock"
    names = set(wanted) | set(section(lock, "platform"))
    for package in lock.get("packages", []):
        names |= set(section(package, "require"))
    vendor = str(section(manifest, "config").get("vendor-dir", "vendor")).strip("/")
    if not vendor or ".." in vendor.split("/") or "$" in vendor:
        raise SystemExit(f' !     config.vendor-dir in composer.json is "{vendor}", which is not a folder of the app.')
    return {
        "php_requested": asked,
        "php_origin": origin,
        "extensions": " ".join(sorted(name[4:].lower() for name in names if re.fullmatch(r"ext-[\w-]+", name))),
        "needs_lock": str(any("/" in name for name in wanted) and not lock).lower(),
        "has_lock": str(bool(lock)).lower(),
        "has_autoload": str("autoload" in manifest).lower(),
        "has_compile": str("compile" in section(manifest, "scripts")).lower(),
        "vendor_dir": vendor,
    }


def numbers(text):
    return [int(part) for part in re.findall(r"\d+", re.split(r"[-@]", text)[0])][:3]


def padded(parts):
    return tuple((parts + [0, 0, 0])[:3])


def after(parts, place):
    """The first version after all that share the parts up to `place`."""
    return padded([*parts[:place], parts[place] + 1])


def bounds(term):
    """[from, to) of one term of a constraint."""
    match = re.fullmatch(r"(\^|~|>=|<=|<|>|==?|!=|<>)?v?(\d[\w.*@+-]*|\*)", term)
    if not match:
        raise ValueError(term)
    operator, parts = match[1] or "", numbers(match[2])
    low = padded(parts)
    if not parts or operator in ("!=", "<>"):
        return padded([]), LIMIT
    if operator == "^":
        return low, after(parts, 0 if parts[0] else min(1, len(parts) - 1))
    if operator == "~":
        return low, after(parts, max(0, len(parts) - 2))
    return {
        ">=": (low, LIMIT),
        ">": (padded([*low[:2], low[2] + 1]), LIMIT),
        "<": (padded([]), low),
        "<=": (padded([]), padded([*low[:2], low[2] + 1])),
        # Without an operator it is that very version, unless it ends in ".*".
    }.get(operator, (low, after(parts, len(parts) - 1) if "*" in match[2] else after(list(low), 2)))


def terms(choice):
    """The terms of one alternative; "8.1 - 8.3" is two of them."""
    words = re.sub(r"(\^|~|[<>=!]+)\s+", r"\1", choice).replace(",", " ").split()
    while "-" in words[1:-1]:
        place = words.index("-", 1)
        last = numbers(words[place + 1])
        end = ".".join(map(str, after(last, len(last) - 1)))
        words[place - 1 : place + 2] = [">=" + words[place - 1], "<" + end]
    return words


def allows(constraint, version):
    """Whether a version fits; "8.2" stands for any of its patch releases."""
    parts = numbers(version)
    for choice in re.split(r"\|\|?", constraint):
        low, high = padded(parts), after(parts, len(parts) - 1)
        for term in terms(choice):
            begin, end = bounds(term)
            low, high = max(low, begin), min(high, end)
        if low < high:
            return True
    return False


def main(action, argument, *versions):
    if action == "facts":
        for name, value in facts(argument).items():
            print(f"{name}={shlex.quote(str(value))}")
        return
    try:
        found = next((version for version in versions if allows(argument, version)), None)
    except ValueError as error:
        raise SystemExit(f' !     "{error}" is not a constraint that Composer knows.') from None
    if found is None:
        raise SystemExit(1)
    print(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
