"""Tests of lib/run_status.py."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import run_status

STATUS = """\
Package: base
Essential: yes
Pre-Depends: libc (>= 2)
Description: words
 and Depends: nothing

Package: libc
Provides: libc-abi (= 1)

Package: curl
Depends: missing | libcurl:any (>= 7), mail-agent

Package: libcurl
Depends: libc-abi

Package: postfix
Provides: mail-agent

Package: gcc
Depends: libgomp

Package: libgomp
"""


class Reduce(unittest.TestCase):
    def names(self, roots):
        return [stanza.split()[1] for stanza in run_status.reduce(STATUS, roots)]

    def test_keeps_what_the_roots_need(self):
        self.assertEqual(self.names(["curl"]), ["base", "libc", "curl", "libcurl", "postfix"])
        self.assertEqual(self.names([]), ["base", "libc"])
        self.assertEqual(self.names(["gcc", "unheard-of"]), ["base", "libc", "gcc", "libgomp"])


if __name__ == "__main__":
    unittest.main()
