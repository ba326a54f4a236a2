"""Tests of lib/requested.py."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import requested


class Find(unittest.TestCase):
    def find(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                name = {"gemfile": "Gemfile", "lock": "Gemfile.lock", "version": ".ruby-version", "tools": ".tool-versions"}[name]
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            return requested.find(folder)

    def test_the_gemfile_comes_first(self):
        self.assertEqual(self.find(gemfile='ruby "3.3.6"\n', version="3.1.2\n"), ("3.3.6", "exact", "Gemfile"))
        self.assertEqual(self.find(gemfile="  ruby('>= 3.1', \"< 4\") # ours\n"), (">= 3.1, < 4", "exact", "Gemfile"))
        self.assertEqual(self.find(gemfile='ruby "3.2.2", patchlevel: "53"\n'), ("3.2.2", "exact", "Gemfile"))

    def test_the_lock_says_what_a_range_became(self):
        lock = "GEM\n\nRUBY VERSION\n   ruby 3.3.6p108\n\nBUNDLED WITH\n   2.5.22\n"
        self.assertEqual(self.find(gemfile='ruby "3.3"\n', lock=lock), ("3.3.6", "exact", "Gemfile.lock"))
        self.assertEqual(self.find(gemfile='ruby "~> 3.1"\n', lock=lock), ("~> 3.1", "exact", "Gemfile"))

    def test_files_of_versions(self):
        self.assertEqual(self.find(gemfile="gem 'x'\n", version="# ours\nruby-3.1.2\n"), ("3.1.2", "near", ".ruby-version"))
        self.assertEqual(self.find(gemfile='ruby file: ".ruby-version"\n', version="3.1.4\n"), ("3.1.4", "exact", "Gemfile"))
        self.assertEqual(self.find(gemfile='ruby file: ".tool-versions"\n', tools="nodejs 20\nruby 3.2.1\n"), ("3.2.1", "exact", "Gemfile"))
        self.assertIsNone(self.find(gemfile="source 'https://example.com'\n"))


class Satisfies(unittest.TestCase):
    def test_requirements_as_rubygems_reads_them(self):
        for requirement, version, expected in [
            ("3.1", "3.1.2", True),
            ("3.1.3", "3.1.2", False),
            ("= 3.1.2", "3.1.2", True),
            ("~> 3.1", "3.4.0", True),
            ("~> 3.1.0", "3.2.0", False),
            (">= 3.0, < 3.1", "3.1.2", False),
            ("!= 3.1.2", "3.1.2", False),
            (">= 3.1", "3.1.0", True),
        ]:
            with self.subTest(requirement=requirement, version=version):
                self.assertEqual(requested.satisfies(requirement, version), expected)


if __name__ == "__main__":
    unittest.main()
