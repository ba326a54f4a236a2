"""Resolves a semantic version range, as npm understands it, against a list.

Usage: resolve.py RANGE < versions
Reads one version a line and prints the greatest that satisfies the range.
Exit status 1, with a message, where none does or the range makes no sense.
"""

import re
import sys

# Long-term support lines of Node.js by code name; "lts/*" is the newest of them.
LTS = {"argon": 4, "boron": 6, "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14}
LTS |= {"gallium": 16, "hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24}

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
# A version in a range may leave out parts, or write x, X or * for them.
PART = r"(\d+|[xX*])"
PARTIAL = re.compile(rf"[v=\s]*{PART}(?:\.{PART}(?:\.{PART}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?)?)?")
COMPARATOR = re.compile(r"\s*(>=|<=|>|<|=|\^|~>|~)?\s*(\S+)")
# Sorts before every release with the same three numbers.
LOWEST = (0,)


class BadRange(ValueError):
    """The text is not a version range."""


def prerelease_key(text):
    """Sort key of a pre-release label; a release sorts after all of its pre-releases."""
    if not text:
        return (1,)
    parts = (((0, int(part), "") if part.isdigit() else (1, 0, part)) for part in text.split("."))
    return (0, tuple(parts))


def parse_version(text):
    """Sort key ((major, minor, patch), pre-release key), or None."""
    match = VERSION.fullmatch(text.strip())
    if not match:
        return None
    return tuple(int(part) for part in match.group(1, 2, 3)), prerelease_key(match.group(4))


def bounds(operator, text):
    """(lower, upper) of one comparator, as sort keys: lower inclusive, upper exclusive, None for open."""
    match = PARTIAL.fullmatch(text)
    if not match:
        raise BadRange(text)
    numbers = []
    for part in match.group(1, 2, 3):
        if part is None or not part.isdigit():
            break
        numbers.append(int(part))
    label = match.group(4) if len(numbers) == 3 else None
    floor = tuple(numbers + [0] * (3 - len(numbers)))
    exact = (floor, prerelease_key(label))
    start = exact if label or len(numbers) == 3 else (floor, LOWEST)

    def below(position):
        """The first version after all that agree with `numbers` up to this position."""
        raised = list(floor)
        raised[position] += 1
        return tuple(raised[: position + 1] + [0] * (2 - position)), LOWEST

    if not numbers:
        return (exact, exact) if operator in ("<", ">") else (None, None)
    if operator == ">=":
        return start, None
    if operator == "<":
        return None, start
    after = below(len(numbers) - 1)
    if len(numbers) == 3:
        # Just after exactly this version.
        after = (floor, exact[1] + (0,))
    if operator == ">":
        return after, None
    if operator == "<=":
        return None, after
    if operator in ("~", "~>"):
        return start, below(min(1, len(numbers) - 1))
    if operator == "^":
        # The first number that is not zero may not change.
        position = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        return start, below(position)
    return start, after


def parse_alternative(text):
    """Comparators between two `||`: a list of (lower, upper, labelled numbers)."""
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", text)
    pairs = [(">=", hyphen[1]), ("<=", hyphen[2])] if hyphen else COMPARATOR.findall(text)
    result = []
    for operator, version in pairs or [("", "*")]:
        labelled = parse_version(version.lstrip("=v"))
        numbers = labelled[0] if labelled and labelled[1] != (1,) else None
        result.append((*bounds(operator, version), numbers))
    return result


def satisfies(version, alternatives):
    """Whether a parsed version lies in one of the parsed alternatives."""
    for comparators in alternatives:
        if not all((low is None or version >= low) and (high is None or version < high) for low, high, _ in comparators):
            continue
        # As in npm, a pre-release counts only where the range names one of the same three numbers.
        if version[1] == (1,) or any(numbers == version[0] for _, _, numbers in comparators):
            return True
    return False


def parse_range(text):
    """Alternatives of a range; BadRange where it is none."""
    text = text.strip()
    if text.lower() in ("node", "current", "latest", "stable"):
        text = "*"
    if text.lower() in ("lts", "lts/*"):
        text = str(max(LTS.values()))
    elif text.lower().startswith("lts/"):
        name = text[4:].lower()
        if name not in LTS:
            raise BadRange(text)
        text = str(LTS[name])
    return [parse_alternative(part.strip()) for part in text.split("||")]


def resolve(range_text, versions):
    """The greatest of the versions that satisfies the range, or None."""
    alternatives = parse_range(range_text)
    best = None
    for text in versions:
        version = parse_version(text)
        if version and satisfies(version, alternatives) and (best is None or version > best[0]):
            best = (version, text.strip().removeprefix("v"))
    return best and best[1]


def main(range_text, lines):
    versions = list(lines)
    try:
        found = resolve(range_text, versions)
    except BadRange as error:
        raise SystemExit(f'"{range_text}" is not a version range ("{error}" was not understood)') from None
    if not found:
        known = sorted(filter(None, map(parse_version, versions)))
        lines_of_releases = sorted({version[0][0] for version in known})
        raise SystemExit(f'no version satisfies "{range_text}"; there are versions of the lines {lines_of_releases}')
    print(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin)
