#!/usr/bin/env bash
# Tests that need neither network nor Go: detection, versions, sources, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

app go.mod
check 'detects go.mod' equal "$("$PACK/bin/detect" "$APP")" Go
app main.go
check 'refuses Go files alone' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

release() { "$PACK/bin/release" "$APP"; }
app '.heroku/go/programs=shop\nserver\n'
check 'the only program is started' contains "$(release)" '  web: bin/server'
app '.heroku/go/programs=shop\nshop\nworker\n' bin/shop
chmod +x "$APP/bin/shop"
check 'of several the one named as the module' contains "$(release)" '  web: bin/shop'
app '.heroku/go/programs=shop\nserver\nworker\n' bin/server
check 'else none' equal "$(release)" ''
app '.heroku/go/programs=shop\nserver\n' Procfile
check 'none beside a Procfile' equal "$(release)" ''

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
app 'go.mod=go 1.22\n'
compile
check 'a go.mod without module is told' contains "$OUTPUT" ' !     go.mod has no line "module PATH".'
app 'go.mod=module example.com/x\n\ngo 1.22\n'
compile WINDLASS_GO_SOURCE=nowhere
check 'an unknown source is told' contains "$OUTPUT" 'WINDLASS_GO_SOURCE names nowhere; known are go.dev and pypi.'
compile WINDLASS_GO_SOURCE=go.dev WINDLASS_GO_MIRROR="file://$WORK/nowhere"
check 'a source that is not there is told' contains "$OUTPUT" ' !     Go 1.22, from the go line in go.mod, could not be had:'

# A toolchain that writes down what it is asked, in a mirror that is a folder.
mirror="$WORK/mirror"
platform=linux-amd64
[[ $HOSTTYPE != aarch64 ]] || platform=linux-arm64
mkdir -p "$mirror" "$WORK/toolchain/go/bin"
cat >"$WORK/toolchain/go/bin/go" <<'END'
#!/usr/bin/env bash
echo "$* GOFLAGS=$GOFLAGS GOTOOLCHAIN=$GOTOOLCHAIN" >>"$GOPATH.calls"
case $1 in
  list) if [[ $* == *.ImportPath* ]]; then echo example.com/x/cmd/server; else echo "$GOBIN/server"; fi ;;
  install) printf '#!/bin/sh\n' >"$GOBIN/server" && chmod +x "$GOBIN/server" ;;
esac
END
chmod +x "$WORK/toolchain/go/bin/go"
archive="go1.22.9.$platform.tar.gz"
tar -czf "$mirror/$archive" -C "$WORK/toolchain" go
# list SHA256: the mirror's list, with this checksum.
list() {
  printf '[{"version": "go1.22.9", "stable": true, "files": [{"kind": "archive", "os": "%s", "arch": "%s", "sha256": "%s"}]}]' \
    "${platform%-*}" "${platform#*-}" "$1" >"$mirror/index"
}
# curl takes no query in a file's address: one that does.
from_mirror() { compile WINDLASS_GO_SOURCE=go.dev WINDLASS_GO_MIRROR="file://$mirror" "$@"; }
list 00
stub="$WORK/stub"
mkdir -p "$stub"
cat >"$stub/curl" <<END
#!/usr/bin/env bash
for last; do :; done
while ((\$#)); do [[ \$1 == -o ]] && output=\$2; shift; done
case \$last in
  *'?mode=json'*) cp "$mirror/index" "\$output" ;;
  file://*) cp "\${last#file://}" "\$output" ;;
esac
END
chmod +x "$stub/curl"
from_mirror PATH="$stub:$PATH"
check 'a damaged download is told' contains "$OUTPUT" "the download of $archive is damaged"
list "$(sha256sum "$mirror/$archive" | cut -d ' ' -f 1)"
from_mirror PATH="$stub:$PATH"
check 'an app is built' equal "$STATUS" 0
check 'the newest patch release is used' contains "$OUTPUT" '-----> Using Go 1.22.9, from the go line in go.mod (1.22)'
check 'the program is there' test -x "$APP/bin/server"
check 'and is the default' contains "$(release)" '  web: bin/server'
check 'Go fetches no other Go' contains "$(<"$WORK/cache/go-path.calls")" 'GOTOOLCHAIN=local'
compile WINDLASS_GO_SOURCE=go.dev WINDLASS_GO_MIRROR="file://$WORK/nowhere"
check 'the second build needs no source' equal "$STATUS" 0
app 'go.mod=module example.com/x\n\ngo 1.22\n' vendor/modules.txt
compile WINDLASS_GO_SOURCE=go.dev WINDLASS_GO_MIRROR="file://$WORK/nowhere"
check 'vendored modules are used' contains "$(tail -n 1 "$WORK/cache/go-path.calls")" '-mod=vendor'
compile GO_INSTALL_PACKAGE_SPEC='./cmd/a ./cmd/b'
check 'packages can be named' contains "$OUTPUT" '-----> Building ./cmd/a ./cmd/b'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
