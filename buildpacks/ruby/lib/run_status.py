"""Reduces dpkg's list of installed packages to those that a running app finds.

Usage: run_status.py NAMES < /var/lib/dpkg/status > status
Keeps what is essential or required, the packages in the file NAMES, and all
that these depend on, so that the result fits together.
"""

import re
import sys


def stanzas(text):
    """(fields, text) of each package."""
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", stanza, re.MULTILINE))
        if "Package" in fields:
            yield fields, stanza


def needed(fields):
    """For each dependency the names that could fulfil it."""
    for field in ("Depends", "Pre-Depends"):
        for dependency in filter(None, fields.get(field, "").split(",")):
            yield [re.split(r"[\s(:]", choice.strip())[0] for choice in dependency.split("|")]


def provided(fields):
    """The package's own name and its virtual ones."""
    names = [fields["Package"]]
    names += [re.split(r"[\s(]", name.strip())[0] for name in fields.get("Provides", "").split(",") if name.strip()]
    return names


def reduce(text, roots):
    """The stanzas to keep, in their order."""
    packages = list(stanzas(text))
    providers = {}
    for index, (fields, _) in enumerate(packages):
        for name in provided(fields):
            providers.setdefault(name, []).append(index)
    base = {i for i, (fields, _) in enumerate(packages) if fields.get("Essential") == "yes" or fields.get("Priority") == "required"}
    waiting = base | {index for name in roots for index in providers.get(name, [])[:1]}
    kept = set()
    while waiting:
        index = waiting.pop()
        kept.add(index)
        for choices in needed(packages[index][0]):
            found = [i for name in choices for i in providers.get(name, [])]
            if found and kept.isdisjoint(found):
                waiting.add(found[0])
    return [packages[index][1].strip("\n") for index in sorted(kept)]


def main(path):
    with open(path, encoding="utf-8") as file:
        roots = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    print("\n\n".join(reduce(sys.stdin.read(), roots)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
