#!/usr/bin/env bash
# Tests without network: detection, configuration, and the server itself.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."

for file in index.html public/index.html static.json Staticfile; do
  app "$file"
  check "detects $file" equal "$("$PACK/bin/detect" "$APP")" 'Static site'
done
app README.md
check 'refuses anything else' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

compile() { OUTPUT=$("$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1); }
app public/index.html
compile
check 'the folder is found' contains "$OUTPUT" '-----> Serving the folder public'
check 'the server is there' test -f "$APP/.windlass/static_server.py"
app 'static.json={"root": "dist"}'
compile
check 'a missing folder ends the push' contains "$OUTPUT" ' !     The folder to serve, dist, does not exist.'
app 'static.json={"root": "../"}'
compile
check 'a folder outside ends the push' contains "$OUTPUT" 'lies outside the app'
app 'static.json={"root": 1}'
compile
check 'a wrong type ends the push' contains "$OUTPUT" '"root" in static.json must be a str.'
check 'the default process' contains "$("$PACK/bin/release" "$APP")" '  web: python3 -I .windlass/static_server.py'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
