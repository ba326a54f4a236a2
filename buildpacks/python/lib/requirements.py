"""Prints the dependencies in a Pipfile.lock or pyproject.toml as a requirements file.

Usage: requirements.py FILE
"""

import json
import sys


def from_pipfile_lock(text):
    """Lines for the packages of the lock's default section, pinned with hashes."""
    lock = json.loads(text)
    for source in lock.get("_meta", {}).get("sources", [])[1:]:
        yield f"--extra-index-url {source['url']}"
    for name, package in sorted(lock.get("default", {}).items()):
        extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
        markers = f" ; {package['markers']}" if package.get("markers") else ""
        if "git" in package:
            yield f"{name}{extras} @ git+{package['git']}@{package['ref']}{markers}"
        elif "version" in package:
            hashes = "".join(f" --hash={item}" for item in package.get("hashes", []))
            yield f"{name}{extras}{package['version']}{markers}{hashes}"
        else:
            raise SystemExit(f"Pipfile.lock: {name} has neither a version nor a git address, which is not supported.")


def from_pyproject(text):
    """Lines for [project] dependencies."""
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f"pyproject.toml cannot be read: {error}") from None
    project = document.get("project", {})
    if "poetry" in document.get("tool", {}) and "dependencies" not in project:
        raise SystemExit(
            "pyproject.toml has its dependencies in [tool.poetry], which this buildpack does not read.\n"
            ' !     Run "poetry export -o requirements.txt" and commit the result.'
        )
    yield from project.get("dependencies", [])


def main(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    read = from_pipfile_lock if path.endswith("Pipfile.lock") else from_pyproject
    for line in read(text):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1])
