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
app 'package.json={}' bun.lock
compile
check 'Bun is refused clearly' contains "$OUTPUT" ' !     The app has a bun.lock, but Bun is not supported.'
app 'package.json={"packageManager": "cargo@1.0.0"}'
compile
check 'so is what nobody knows' contains "$OUTPUT" '"packageManager" in package.json asks for cargo, which is not supported.'
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

# choose: which manager, in which form and version, the app in $APP gets.
choose() {
  OUTPUT=$(cd "$APP" && PACK_DIR="$PACK" BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" bash -c '
    set -euo pipefail; shopt -s nullglob
    source "$PACK_DIR/lib/output.sh"; source "$PACK_DIR/lib/node.sh"
    source "$PACK_DIR/lib/managers.sh"; source "$PACK_DIR/lib/dependencies.sh"
    read_package_json; choose_manager; manager_environment; node_version=24.0.0; node_modules_key >/dev/null; install_command; prune_command
    echo "$manager $manager_range berry=$berry workspaces=$has_workspaces"; echo "${install[*]}"; echo "${prune[*]}"' 2>&1)
}
app 'package.json={}' package-lock.json
choose
check 'npm by its lock' contains "$OUTPUT" $'npm  berry=false workspaces=false\nnpm ci --include=dev'
app 'package.json={"engines": {"yarn": "1.22.x"}}' 'yarn.lock=# yarn lockfile v1\n'
choose
check 'Yarn classic by its lock, its version by engines' contains "$OUTPUT" 'yarn 1.22.x berry=false'
check 'its lock is kept to' contains "$OUTPUT" '--production=false --frozen-lockfile'
app 'package.json={}' 'yarn.lock=__metadata:\n  version: 8\n'
choose
check 'Yarn by the form of its lock' contains "$OUTPUT" $'yarn 4.x berry=true workspaces=false\nyarn install --immutable\nyarn workspaces focus'
app 'package.json={"packageManager": "yarn@3.8.1+sha512.abc"}'
choose
check 'Yarn by packageManager' contains "$OUTPUT" $'yarn 3.8.1 berry=true'
app 'package.json={"packageManager": "pnpm@9.1.0"}' package-lock.json 'pnpm-workspace.yaml=packages:\n  - a\n'
choose
check 'packageManager comes before locks' contains "$OUTPUT" $'pnpm 9.1.0 berry=false workspaces=true\npnpm install'
check 'without a lock of its own' contains "$OUTPUT" '--no-frozen-lockfile'
for pair in 5.4:7.x "'6.0':8.x" "'9.0':10.x"; do
  app 'package.json={}' "pnpm-lock.yaml=lockfileVersion: ${pair%:*}\n\n"
  choose
  check "pnpm by a lock of the form ${pair%:*}" contains "$OUTPUT" "pnpm ${pair##*:} berry=false"
done
app 'package.json={}' package-lock.json yarn.lock
choose
check 'two locks are told' contains "$OUTPUT" ' !     There are lock files of npm yarn; npm is used.'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
