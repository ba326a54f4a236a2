"""Tests of lib/requirements.py."""

import hashlib
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import requirements


class PipfileLock(unittest.TestCase):
    def test_pins_with_hashes_markers_and_extras(self):
        lock = {
            "_meta": {"sources": [{"url": "first"}, {"url": "https://example.com/simple"}]},
            "default": {
                "flask": {"version": "==3.0.0", "hashes": ["sha256:aa", "sha256:bb"], "markers": "python_version >= '3.8'"},
                "redis": {"version": "==5.0.0", "extras": ["hiredis"]},
                "local": {"path": ".", "editable": True},
                "other": {"path": "libs/other"},
                "own": {"git": "https://example.com/own.git", "ref": "abc"},
            },
            "develop": {"pytest": {"version": "==8.0.0"}},
        }
        self.assertEqual(
            list(requirements.from_pipfile_lock(json.dumps(lock))),
            [
                ("--extra-index-url https://example.com/simple", True),
                ("flask==3.0.0 ; python_version >= '3.8' --hash=sha256:aa --hash=sha256:bb", True),
                ("-e .", False),
                ("./libs/other", False),
                ("own @ git+https://example.com/own.git@abc", False),
                ("redis[hiredis]==5.0.0", False),
            ],
        )

    def test_refuses_what_it_cannot_pin(self):
        with self.assertRaisesRegex(SystemExit, "local has no version"):
            list(requirements.from_pipfile_lock('{"default": {"local": {}}}'))

    def test_knows_the_digest_of_a_pipfile(self):
        pipfile = '[[source]]\nurl = "https://example.com/simple"\nverify_ssl = true\nname = "main"\n[packages]\nflask = "*"\n'
        content = (
            '{"_meta":{"requires":{},"sources":[{"name":"main","url":"https://example.com/simple","verify_ssl":true}]},'
            '"default":{"flask":"*"},"develop":{}}'
        )
        self.assertEqual(requirements.pipfile_digest(pipfile), hashlib.sha256(content.encode()).hexdigest())


@unittest.skipIf(sys.version_info < (3, 11), "tomllib came with Python 3.11")
class Pyproject(unittest.TestCase):
    def test_reads_project_dependencies(self):
        text = '[project]\nname = "x"\ndependencies = ["flask>=3", "gunicorn"]\n'
        self.assertEqual(list(requirements.from_pyproject(text)), ["flask>=3", "gunicorn"])
        self.assertEqual(list(requirements.from_pyproject("[tool.black]\n")), [])

    def test_refuses_poetry_and_nonsense(self):
        with self.assertRaisesRegex(SystemExit, "poetry lock"):
            list(requirements.from_pyproject('[tool.poetry]\nname = "x"\n'))
        with self.assertRaisesRegex(SystemExit, "cannot be read"):
            list(requirements.from_pyproject("[["))


if __name__ == "__main__":
    unittest.main()
