#!/usr/bin/env bash
# Tests without network.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."

app 'Procfile=web: ./serve\n'
check 'detects a Procfile' equal "$("$PACK/bin/detect" "$APP")" Procfile
"$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" >"$WORK/output" 2>&1
check 'needs nothing' equal $? 0
check 'and changes nothing' equal "$(ls -A "$APP")" Procfile
app README.md
check 'refuses anything else' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'
app Procfile
check 'an empty Procfile is none' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'
finish
