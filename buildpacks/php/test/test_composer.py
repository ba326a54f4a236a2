"""Tests of lib/composer.py."""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import composer


class Constraints(unittest.TestCase):
    def test_as_composer_reads_them(self):
        for constraint, version, expected in [
            ("*", "8.2.36", True),
            ("^8.1", "8.2.36", True),
            ("^8.3", "8.2.36", False),
            ("^7.4 || ^8.0", "8.2.36", True),
            ("^7.4|^8.3", "8.2.36", False),
            ("~8.2", "8.4.0", True),
            ("~8.2.0", "8.4.0", False),
            (">=8.1 <8.3", "8.2.36", True),
            (">= 8.1, < 8.2", "8.2.36", False),
            ("8.2.*", "8.2.36", True),
            ("8.2", "8.2.36", False),
            ("8.2", "8.2", True),
            ("8.1 - 8.3", "8.3.9", True),
            ("8.1 - 8.3", "8.4.0", False),
            ("<=8.2.36", "8.2.36", True),
            (">8.2.36", "8.2.36", False),
            ("!=8.1.0 ^8.0", "8.2.36", True),
            ("^8.2.5@dev", "8.2", True),
            ("^0.3", "0.3.9", True),
            ("^0.3", "0.4.0", False),
        ]:
            with self.subTest(constraint=constraint, version=version):
                self.assertEqual(composer.allows(constraint, version), expected)

    def test_nonsense_is_refused(self):
        with self.assertRaises(ValueError):
            composer.allows("newest", "8.2")


class Facts(unittest.TestCase):
    def facts(self, manifest, lock=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, document in (("composer.json", manifest), ("composer.lock", lock)):
                if document is not None:
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                        json.dump(document, file)
            return composer.facts(folder)

    def test_the_lock_comes_first(self):
        manifest = {"require": {"php": ">=8.0", "acme/a": "*", "ext-gd": "*"}, "scripts": {"compile": "x"}}
        lock = {"platform": {"php": "^8.1"}, "packages": [{"name": "acme/a", "require": {"ext-Redis": "*", "php": "*"}}]}
        facts = self.facts(manifest, lock)
        self.assertEqual((facts["php_requested"], facts["php_origin"]), ("^8.1", "composer.lock"))
        self.assertEqual(facts["extensions"], "gd redis")
        self.assertEqual((facts["needs_lock"], facts["has_lock"], facts["has_compile"]), ("false", "true", "true"))

    def test_without_a_lock(self):
        self.assertEqual(self.facts({"require": {"php": "^8.2"}})["needs_lock"], "false")
        self.assertEqual(self.facts({"require": {"acme/a": "*"}})["needs_lock"], "true")
        self.assertEqual(self.facts({"require": [], "config": {"vendor-dir": "lib/vendor/"}})["vendor_dir"], "lib/vendor")
        self.assertEqual(self.facts(None)["php_requested"], "")


if __name__ == "__main__":
    unittest.main()
