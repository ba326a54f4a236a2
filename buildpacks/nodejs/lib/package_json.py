"""Prints what the buildpack needs to know of a package.json as shell assignments.

Usage: package_json.py FILE
"""

import hashlib
import json
import sys

DEPENDENCY_FIELDS = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "overrides",
    "resolutions",
    "pnpm",
    "workspaces",
    "bundleDependencies",
    "bundledDependencies",
)


def quoted(text):
    """A shell word that stands for this text."""
    return "'" + text.replace("'", "'\\''") + "'"


def facts(text):
    """(name, value) pairs; SystemExit with a message where the file is no package.json."""
    try:
        package = json.loads(text)
    except ValueError as error:
        raise SystemExit(f" !     package.json is not valid JSON: {error}") from None
    if not isinstance(package, dict):
        raise SystemExit(" !     package.json is not a JSON object.")
    engines = package.get("engines") or {}
    scripts = package.get("scripts") or {}
    if not isinstance(engines, dict) or not isinstance(scripts, dict):
        raise SystemExit(" !     \"engines\" and \"scripts\" in package.json must be objects.")
    manager, _, version = str(package.get("packageManager") or "").partition("@")
    depends = {field: package[field] for field in DEPENDENCY_FIELDS if package.get(field)}
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return [
        ("node_range", str(engines.get("node") or "").strip()),
        ("npm_range", str(engines.get("npm") or "").strip()),
        ("yarn_range", str(engines.get("yarn") or "").strip()),
        ("pnpm_range", str(engines.get("pnpm") or "").strip()),
        ("package_manager", manager.strip()),
        # What follows a plus is the digest of the archive.
        ("package_manager_version", version.partition("+")[0].strip()),
        ("has_workspaces", "true" if package.get("workspaces") else "false"),
        ("scripts", " ".join(name for name in scripts if not any(c.isspace() for c in name))),
        ("has_dependencies", "true" if depends else "false"),
        ("dev_dependencies", "true" if package.get("devDependencies") else "false"),
        ("dependencies_digest", digest),
    ]


def main(path):
    with open(path, encoding="utf-8-sig") as file:
        for name, value in facts(file.read()):
            print(f"{name}={quoted(value)}")


if __name__ == "__main__":
    main(sys.argv[1])
