#!/usr/bin/python3
"""What builds do, in small: the same each time. Usage: work BUILD_DIR CACHE_DIR ENV_DIR

Prints one line of JSON: seconds and processor seconds of each part.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time

WORK = os.path.join(sys.argv[1], "bench-work")
PYTHON = "/usr/bin/python3"
PACKAGES = ["asyncio", "email", "html", "http", "importlib", "json", "unittest", "urllib", "xml"]


def processor_seconds():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def run(*arguments):
    subprocess.run(arguments, check=True, cwd=WORK, stdin=subprocess.DEVNULL)


def copy_and_compile_python():
    library = os.path.dirname(json.__path__[0])
    for name in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(os.path.join(library, name), os.path.join(WORK, "python", name), ignore=ignore)
    run(PYTHON, "-m", "compileall", "-q", "python")


def small_files():
    directory = os.path.join(WORK, "node_modules")
    for package in range(60):
        place = os.path.join(directory, f"package-{package}")
        os.makedirs(place)
        for number in range(20):
            path = os.path.join(place, f"{number}.js")
            with open(path + ".new", "w") as file:
                file.write(f"module.exports = {number};\n" * 40)
            os.rename(path + ".new", path)
    shutil.copytree(directory, os.path.join("/tmp", "bench-modules"))
    for place, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(place, name)) as file:
                file.read()
    shutil.rmtree(os.path.join("/tmp", "bench-modules"))


def archives():
    run("/bin/tar", "-czf", "all.tar.gz", "python", "node_modules")
    os.mkdir(os.path.join(WORK, "unpacked"))
    run("/bin/tar", "-xzf", "all.tar.gz", "-C", "unpacked")


def compile_c():
    with open(os.path.join(WORK, "many.c"), "w") as file:
        file.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n")
        for number in range(130):
            file.write(
                f"int f{number}(int n) {{ int s = {number}; for (int i = 0; i < n; i++)"
                f" {{ s = s * 31 + i % {number + 2}; if (s > 1000) s -= n; }} return s; }}\n"
            )
    run("/usr/bin/gcc", "-O2", "-c", "many.c")


def short_programs():
    for _ in range(300):
        run("/bin/true")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    parts = [copy_and_compile_python, small_files, archives, short_programs]
    if os.path.exists("/usr/bin/gcc"):
        parts.append(compile_c)
    measured = {}
    for part in parts:
        begun, processor = time.monotonic(), processor_seconds()
        part()
        measured[part.__name__] = [time.monotonic() - begun, processor_seconds() - processor]
    shutil.rmtree(WORK)
    print("measured " + json.dumps(measured), flush=True)


main()
