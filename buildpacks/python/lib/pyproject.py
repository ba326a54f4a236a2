"""Answers one question about a pyproject.toml.

Usage: pyproject.py FILE QUESTION
  uv-version       the requirement on uv itself, for example ">=0.5", or nothing
  poetry-version   likewise for Poetry
  poetry-package   "true" where Poetry installs the app itself as a package
"""

import re
import sys
import tomllib

# Both tools keep their command lines stable within these.
DEFAULT_POETRY = ">=2,<3"


def requirement(version, default=""):
    """A version or range as a requirement: "0.5.1" means exactly that."""
    if not version:
        return default
    return version if re.match(r"[<>=!~]", version) else f"=={version}"


def answer(document, question):
    """The answer as text."""
    tool = document.get("tool", {})
    poetry = tool.get("poetry", {})
    if question == "uv-version":
        return requirement(tool.get("uv", {}).get("required-version"))
    if question == "poetry-version":
        return requirement(poetry.get("requires-poetry"), DEFAULT_POETRY)
    if question == "poetry-package":
        wanted = poetry.get("package-mode", True) and "build-system" in document
        return "true" if wanted else "false"
    raise SystemExit(f"{question} is not a question")


def main(path, question):
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f" !     pyproject.toml cannot be read: {error}") from None
    print(answer(document, question))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
