"""Prints the default process of what was built: the only .jar that can be started.

Usage: start_command.py FOLDER
Looked for in target/ (Maven) and build/libs/ (Gradle). Prints nothing where
there is none, or more than one.
"""

import glob
import os
import re
import sys
import zipfile


def manifest(path):
    """The manifest of an archive, with its long lines joined."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""
    return re.sub(r"\r?\n ", "", text)


def startable(folder):
    """(path, whether it is Spring Boot's) of each archive that has a main class."""
    for place in ("target", "build/libs"):
        for path in sorted(glob.glob(os.path.join(folder, place, "*.jar"))):
            text = manifest(path)
            if re.search(r"^Main-Class: *\S", text, re.MULTILINE) and re.fullmatch(r"[\w.+-]+", os.path.basename(path)):
                yield os.path.join(place, os.path.basename(path)), "Spring-Boot-Version" in text


def main(folder):
    found = list(startable(folder))
    if len(found) == 1:
        path, spring = found[0]
        port = "-Dserver.port=$PORT " if spring else ""
        print(f"---\ndefault_process_types:\n  web: java {port}$JAVA_OPTS -jar {path}")


if __name__ == "__main__":
    main(sys.argv[1])
