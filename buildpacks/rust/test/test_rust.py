"""Tests of the Python files in lib/."""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import manifest
import programs


class Manifest(unittest.TestCase):
    def facts(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = os.path.join(folder, name.replace("_", "-"))
                with open(path.replace("-toml", ".toml"), "w", encoding="utf-8") as file:
                    file.write(text)
            return dict(manifest.facts(folder))

    def test_channels(self):
        cargo = '[package]\nname = "shop"\n'
        self.assertEqual(self.facts(Cargo_toml=cargo)["channel"], "stable")
        self.assertEqual(self.facts(Cargo_toml=cargo, rust_toolchain="1.75.0\n")["channel"], "1.75.0")
        facts = self.facts(Cargo_toml=cargo, rust_toolchain_toml='[toolchain]\nchannel = "beta"\ncomponents = ["clippy", "rustfmt"]\n')
        self.assertEqual((facts["channel"], facts["components"]), ("beta", "clippy rustfmt"))

    def test_names(self):
        self.assertEqual(self.facts(Cargo_toml='[workspace]\nmembers = ["a"]\n')["package_name"], "")
        self.assertEqual(self.facts(Cargo_toml='[package]\nname = "a"\ndefault-run = "b"\n')["package_name"], "b")


class Programs(unittest.TestCase):
    def test_only_programs(self):
        messages = [
            {"executable": "/t/release/a", "target": {"kind": ["bin"]}},
            {"executable": "/t/release/a", "target": {"kind": ["bin"]}},
            {"executable": "/t/release/example", "target": {"kind": ["example"]}},
            {"executable": None, "target": {"kind": ["lib"]}},
            {"reason": "build-finished"},
        ]
        self.assertEqual(programs.programs([json.dumps(message) for message in messages] + ["\n"]), ["/t/release/a"])


if __name__ == "__main__":
    unittest.main()
