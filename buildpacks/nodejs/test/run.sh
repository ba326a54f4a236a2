#!/usr/bin/env bash
# Tests that need neither network nor Node.js: detection, version ranges, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

app package.json
check 'detects package.json' equal "$("$PACK/bin/detect" "$APP")" Node.js
app server.js
check 'refuses anything else' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

release() { "$PACK/bin/release" "$APP"; }
app 'package.json={"scripts": {"start": "node server.js"}}'
check 'a plain start script is used as it is' contains "$(release)" '  web: node server.js'
app 'package.json={"scripts": {"start": "next start -p $PORT"}}'
check 'any other goes through npm' contains "$(release)" '  web: npm start'
app 'package.json={}' server.js
check 'server.js is npm'\''s default' contains "$(release)" '  web: node server.js'
app 'package.json={"scripts": {"start": "node server.js"}}' Procfile
check 'none beside a Procfile' equal "$(release)" ''

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
}
app 'package.json={}' yarn.lock
compile
check 'Yarn is refused clearly' contains "$OUTPUT" ' !     The app has a yarn.lock, but Yarn is not supported yet.'
app 'package.json={"engines": '
compile
check 'broken JSON is told' contains "$OUTPUT" ' !     package.json is not valid JSON'
app 'package.json={"engines": {"node": "20.x"}}'
compile WINDLASS_NODE_SOURCE=nodejs.org WINDLASS_NODE_MIRROR="file://$WORK/nowhere"
check 'a source that is not there is told' contains "$OUTPUT" ' !     Node.js 20.x, as asked for in engines.node in package.json, could not be had:'
mkdir -p "$WORK/mirror"
echo '[{"version": "v22.1.0", "files": ["linux-x64", "linux-arm64"]}, {"version": "v20.1.0", "files": ["win-x64-zip"]}]' >"$WORK/mirror/index.json"
compile WINDLASS_NODE_SOURCE=nodejs.org WINDLASS_NODE_MIRROR="file://$WORK/mirror"
check 'a version nobody has is told' contains "$OUTPUT" 'no version satisfies "20.x"; there are versions of the lines [22]'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
