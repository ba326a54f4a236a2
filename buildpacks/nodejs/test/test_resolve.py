"""Tests of lib/resolve.py, lib/package_json.py and lib/start_command.py."""

import os
import subprocess
import sys
import unittest

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIB)
import package_json
import resolve
import start_command

VERSIONS = """
0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 0.10.48 1.0.0 1.2.3 1.2.4 1.3.0 1.9.9 2.0.0-rc.1 2.0.0-rc.2 2.0.0
18.20.4 20.1.0 20.11.1 20.9.0 21.7.3 22.0.0 22.11.0 v22.12.0 23.1.0 24.0.0-nightly 24.19.0
""".split()


class Resolve(unittest.TestCase):
    def test_ranges(self):
        for text, expected in {
            "*": "24.19.0",
            "": "24.19.0",
            "x": "24.19.0",
            "latest": "24.19.0",
            "20": "20.11.1",
            "20.x": "20.11.1",
            "20.X.*": "20.11.1",
            "v20": "20.11.1",
            "20.9": "20.9.0",
            "20.9.0": "20.9.0",
            "v22.12.0": "22.12.0",
            "=20.1.0": "20.1.0",
            ">=18": "24.19.0",
            ">= 18": "24.19.0",
            ">=18 <21": "20.11.1",
            ">= 18 < 21": "20.11.1",
            ">=18.0.0 <=20.9.0": "20.9.0",
            "<=20": "20.11.1",
            "<20": "18.20.4",
            ">22 <24": "23.1.0",
            ">20.9.0 <21": "20.11.1",
            "^20.1": "20.11.1",
            "^20.1.0": "20.11.1",
            "~20.9": "20.9.0",
            "~22.11.0": "22.11.0",
            "~20": "20.11.1",
            "^0.2.3": "0.2.9",
            "^0.0.3": "0.0.3",
            "^0.0": "0.0.4",
            "^0": "0.10.48",
            "~1.2.3": "1.2.4",
            "^1.2.3": "1.9.9",
            "1.2.3 - 1.3": "1.3.0",
            "1.2.3 - 2.0.0": "2.0.0",
            "18 - 20": "20.11.1",
            "16.x || 18.x": "18.20.4",
            "^18 || ^20||^22": "22.12.0",
            ">=2.0.0-rc.1 <2.0.0": "2.0.0-rc.2",
            "2.0.0-rc.1": "2.0.0-rc.1",
            ">1.9.9 <2.0.0": None,
            "24.0.0": None,
            "19.x": None,
            "<0.0.3": None,
            ">*": None,
            "lts/*": "24.19.0",
            "lts/iron": "20.11.1",
            "lts/Jod": "22.12.0",
        }.items():
            with self.subTest(range=text):
                self.assertEqual(resolve.resolve(text, VERSIONS), expected)

    def test_nonsense(self):
        for text in ["banana", "20.banana", ">=", "20.1.2.3", "lts/none", "^", "20 || banana"]:
            with self.subTest(range=text), self.assertRaises(resolve.BadRange):
                resolve.resolve(text, VERSIONS)

    def test_command(self):
        command = [sys.executable, os.path.join(LIB, "resolve.py")]
        done = subprocess.run([*command, "20.x"], input="20.1.0\n20.2.0\n", capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "20.2.0\n"))
        done = subprocess.run([*command, "21.x"], input="20.1.0\n", capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('no version satisfies "21.x"', done.stderr)


class PackageJson(unittest.TestCase):
    def test_facts(self):
        facts = dict(package_json.facts('{"engines": {"node": ">=18"}, "scripts": {"build": "x"}, "devDependencies": {"a": "1"}}'))
        self.assertEqual(facts["node_range"], ">=18")
        self.assertEqual(facts["scripts"], "build")
        self.assertEqual((facts["has_dependencies"], facts["dev_dependencies"]), ("true", "true"))

    def test_package_manager(self):
        facts = dict(package_json.facts('{"packageManager": "pnpm@9.1.0+sha512.ab@c", "engines": {"yarn": "1.x"}, "workspaces": ["a"]}'))
        self.assertEqual((facts["package_manager"], facts["package_manager_version"]), ("pnpm", "9.1.0"))
        self.assertEqual((facts["yarn_range"], facts["pnpm_range"], facts["has_workspaces"]), ("1.x", "", "true"))

    def test_digest_is_of_dependencies_only(self):
        def digest(text):
            return dict(package_json.facts(text))["dependencies_digest"]

        self.assertEqual(digest('{"dependencies": {"a": "1", "b": "2"}}'), digest('{"name": "x", "dependencies": {"b": "2", "a": "1"}}'))
        self.assertNotEqual(digest('{"dependencies": {"a": "1"}}'), digest('{"dependencies": {"a": "2"}}'))

    def test_values_are_shell_words(self):
        word = package_json.quoted("a'; echo $(id) `id` \"")
        done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, text=True)
        self.assertEqual(done.stdout, "a'; echo $(id) `id` \"")

    def test_refusals(self):
        for text in ["{", "[]", '{"engines": []}'.replace("[]", '["x"]')]:
            with self.subTest(text=text), self.assertRaises(SystemExit):
                package_json.facts(text)


class StartCommand(unittest.TestCase):
    def test_plain_and_other(self):
        for scripts, expected in [
            ({"start": "node server.js"}, "node server.js"),
            ({"start": "node --enable-source-maps dist/main.js"}, "node --enable-source-maps dist/main.js"),
            ({"start": "node a.js && node b.js"}, "npm start"),
            ({"start": "node server.js", "prestart": "x"}, "npm start"),
            ({"start": "next start"}, "npm start"),
            ({}, None),
        ]:
            with self.subTest(scripts=scripts):
                self.assertEqual(start_command.start_command({"scripts": scripts}), expected)


if __name__ == "__main__":
    unittest.main()
