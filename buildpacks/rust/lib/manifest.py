"""Prints what the buildpack needs to know of an app as shell assignments.

Usage: manifest.py FOLDER
"""

import os
import sys
import tomllib


def quoted(text):
    """A shell word that stands for this text."""
    return "'" + text.replace("'", "'\\''") + "'"


def load(folder, name):
    """The file's content; SystemExit with a message where it is not TOML."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f" !     {name} cannot be read: {error}") from None


def toolchain(folder):
    """(channel, origin, components, targets)."""
    for name in ("rust-toolchain.toml", "rust-toolchain"):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
        # The older form is the channel and nothing else.
        if name == "rust-toolchain" and "\n" not in text and "[" not in text:
            return text, name, [], []
        wanted = load(folder, name).get("toolchain", {})
        return wanted.get("channel", "stable"), name, wanted.get("components", []), wanted.get("targets", [])
    return "stable", "the default", [], []


def facts(folder):
    """(name, value) pairs."""
    package = load(folder, "Cargo.toml").get("package", {})
    channel, origin, components, targets = toolchain(folder)
    return [
        ("package_name", package.get("default-run") or package.get("name", "")),
        ("channel", channel),
        ("channel_origin", origin),
        ("components", " ".join(components)),
        ("targets", " ".join(targets)),
    ]


def main(folder):
    for name, value in facts(folder):
        print(f"{name}={quoted(value)}")


if __name__ == "__main__":
    main(sys.argv[1])
