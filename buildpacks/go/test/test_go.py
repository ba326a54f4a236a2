"""Tests of the Python files in lib/."""

import io
import os
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import choose
import go_dev
import go_mod


class Choose(unittest.TestCase):
    VERSIONS = ["1.24.11", "1.24.3", "1.23.9", "1.23.4.4", "1.22.10", "1.21.13", "1.25rc1"]

    def test_versions(self):
        for requested, expected in [
            ("", "1.24.11"),
            ("1.24", "1.24.11"),
            ("1.24.3", "1.24.3"),
            ("1.24.5", "1.24.11"),
            ("1.23.4", "1.23.9"),
            ("1.13", "1.21.13"),
            ("1.22.11", "1.23.9"),
            ("1.25", None),
        ]:
            with self.subTest(requested=requested):
                self.assertEqual(choose.choose(requested, self.VERSIONS), expected)

    def test_nonsense(self):
        with self.assertRaisesRegex(SystemExit, '"latest" is not a version of Go'):
            choose.choose("latest", self.VERSIONS)


class GoMod(unittest.TestCase):
    def facts(self, text):
        return dict(go_mod.facts(text))

    def test_what_decides_the_version(self):
        facts = self.facts("module example.com/a/shop\n\ngo 1.22.0\n\ntoolchain go1.23.4\n")
        self.assertEqual((facts["go_requested"], facts["go_origin"]), ("1.23.4", "the toolchain line in go.mod"))
        facts = self.facts("// +heroku goVersion go1.21\nmodule shop\ngo 1.20\n")
        self.assertEqual(facts["go_requested"], "1.21")
        facts = self.facts("module shop\n")
        self.assertEqual((facts["go_requested"], facts["go_origin"]), ("", "the default"))

    def test_names(self):
        self.assertEqual(self.facts("module example.com/shop/v2\n")["module_name"], "shop")
        self.assertEqual(self.facts('module "example.com/shop"\n')["module_name"], "shop")
        self.assertEqual(self.facts("// +heroku install ./cmd/... ./tools\nmodule shop\n")["package_spec"], "./cmd/... ./tools")


class GoDev(unittest.TestCase):
    LIST = """[
        {"version": "go1.24.1", "stable": true, "files": [
            {"kind": "source", "os": "", "arch": "", "sha256": "ss"},
            {"kind": "archive", "os": "linux", "arch": "amd64", "sha256": "aa"},
            {"kind": "archive", "os": "linux", "arch": "arm64", "sha256": "bb"}]},
        {"version": "go1.25rc1", "stable": false, "files": [
            {"kind": "archive", "os": "linux", "arch": "amd64", "sha256": "cc"}]}]"""

    def run_main(self, *arguments):
        with mock.patch("sys.stdin", io.StringIO(self.LIST)), mock.patch("sys.stdout", io.StringIO()) as out:
            go_dev.main(*arguments)
        return out.getvalue()

    def test_stable_versions_and_checksums(self):
        self.assertEqual(self.run_main("versions", "linux-amd64"), "1.24.1\n")
        self.assertEqual(self.run_main("checksum", "linux-arm64", "1.24.1"), "bb\n")
        with self.assertRaises(SystemExit):
            self.run_main("checksum", "linux-amd64", "1.25rc1")


if __name__ == "__main__":
    unittest.main()
