"""Prints the dependencies in a Pipfile.lock or pyproject.toml as a requirements file.

Usage: requirements.py FILE UNHASHED
Those that have no hash beside others that have go into the file UNHASHED.
Warnings are printed on standard error, with exit status 0.
"""

import hashlib
import json
import os
import sys


def from_pipfile_lock(text):
    """(line, has a hash) for the packages of the lock's default section, pinned."""
    lock = json.loads(text)
    for source in lock.get("_meta", {}).get("sources", [])[1:]:
        yield f"--extra-index-url {source['url']}", True
    for name, package in sorted(lock.get("default", {}).items()):
        extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
        markers = f" ; {package['markers']}" if package.get("markers") else ""
        if "git" in package:
            folder = f"#subdirectory={package['subdirectory']}" if package.get("subdirectory") else ""
            yield f"{name}{extras} @ git+{package['git']}@{package['ref']}{folder}{markers}", False
        elif "path" in package:
            path = package["path"] if package["path"].startswith(".") else f"./{package['path']}"
            yield f"{'-e ' if package.get('editable') else ''}{path}{extras}", False
        elif "file" in package:
            yield f"{name}{extras} @ {package['file']}{markers}", False
        elif "version" in package:
            hashes = "".join(f" --hash={item}" for item in package.get("hashes", []))
            yield f"{name}{extras}{package['version']}{markers}{hashes}", bool(hashes)
        else:
            raise SystemExit(f"Pipfile.lock: {name} has no version and no address, which is not supported.")


def pipfile_digest(text):
    """The digest of a Pipfile that Pipenv writes into its lock."""
    import tomllib

    pipfile = tomllib.loads(text)
    data = {
        "_meta": {"sources": pipfile.get("source", []), "requires": pipfile.get("requires", {})},
        "default": pipfile.get("packages", {}),
        "develop": pipfile.get("dev-packages", {}),
    }
    known = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop")
    data |= {name: section for name, section in pipfile.items() if name not in known}
    content = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def check_pipfile(lock_text, pipfile_text):
    """Warns where the lock is not of this Pipfile."""
    wanted = json.loads(lock_text).get("_meta", {}).get("hash", {}).get("sha256")
    if wanted and "[[source]]" in pipfile_text and pipfile_digest(pipfile_text) != wanted:
        print('Pipfile.lock is not of this Pipfile; what is in Pipfile.lock is installed. Run "pipenv lock".', file=sys.stderr)


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
            "pyproject.toml has its dependencies in [tool.poetry], but there is no poetry.lock.\n"
            ' !     Run "poetry lock" and commit the result.'
        )
    yield from project.get("dependencies", [])


def main(path, unhashed_path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not path.endswith("Pipfile.lock"):
        lines = [(line, True) for line in from_pyproject(text)]
    else:
        lines = list(from_pipfile_lock(text))
        if os.path.exists("Pipfile"):
            with open("Pipfile", encoding="utf-8") as file:
                check_pipfile(text, file.read())
    # Where one line has a hash, pip wants one in each.
    with open(unhashed_path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line, hashed in lines if not hashed)
    for line, hashed in lines:
        if hashed:
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
