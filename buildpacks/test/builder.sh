#!/usr/bin/env bash
# Tests of builder.sh with small buildpacks made on the spot.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/check.sh"
BUILDER="$HERE/../../crates/control/src/build/builder.sh"

# pack NAME SCRIPT=BODY...: a buildpack below $PACKS.
PACKS="$WORK/packs"
pack() {
  local name=$1 script
  shift
  mkdir -p "$PACKS/$name/bin"
  for script in "$@"; do
    printf '#!/usr/bin/env bash\n%s\n' "${script#*=}" >"$PACKS/$name/bin/${script%%=*}"
    chmod +x "$PACKS/$name/bin/${script%%=*}"
  done
}

# build [BUILDPACK...]: builds $APP. Sets OUTPUT, STATUS, RESULT, RELEASE.
build() {
  rm -rf "$WORK/out"
  mkdir -p "$WORK/out" "$WORK/cache" "$WORK/env" "$WORK/buildpacks"
  OUTPUT=$(env -i PATH="$PATH" HOME="$WORK" STACK=debian-12 BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" ENV_DIR="$WORK/env" \
    WINDLASS_PACKS_DIR="$PACKS" WINDLASS_OUT_DIR="$WORK/out" WINDLASS_BUILDPACKS="$*" bash "$BUILDER" 2>&1)
  STATUS=$?
  RESULT=$(<"$WORK/out/result.json")
  RELEASE=$(cat "$WORK/out/release.yml" 2>/dev/null)
}

valid_json() { python3 -c 'import json, sys; json.loads(sys.argv[1])' "$1"; }

pack nodejs 'detect=[[ -f $1/package.json ]] && echo Node.js' 'compile=echo node compile'
pack python 'detect=[[ -f $1/requirements.txt ]] && echo Python' 'compile=echo "args $*"; echo made >"$1/made"' \
  'release=printf -- "---\ndefault_process_types:\n  web: serve\n"'
pack static 'detect=[[ -f $1/index.html ]] && echo Static' 'compile=true'

app requirements.txt index.html
build
check 'a build succeeds' equal "$STATUS" 0
check 'the stack is named' contains "$OUTPUT" '-----> Building on the Debian-12 stack'
check 'python comes before static' contains "$OUTPUT" '-----> Python app detected'
check 'compile has its arguments' contains "$OUTPUT" "args $APP $WORK/cache $WORK/env"
check 'compile changes the app' test -f "$APP/made"
check 'the result is valid JSON' valid_json "$RESULT"
check 'the result tells' contains "$RESULT" '{"outcome":"succeeded","buildpack":"python","name":"Python","buildpacks":["python"],"exit_code":0,"reason":"","stages":{"detect_ms":'
check 'bin/release is kept' contains "$RELEASE" 'web: serve'

pack apt 'detect=[[ -f $1/Aptfile ]] && echo Apt' 'compile=true'
app requirements.txt Aptfile
build
check 'an Aptfile beside a language is told' contains "$OUTPUT" 'windlass config:set BUILDPACK_URL="apt python"'
app Aptfile
build
check 'an Aptfile alone is enough' contains "$OUTPUT" '-----> Apt app detected'

app main.c
build
check 'nothing detected fails' equal "$STATUS" 1
check 'nothing detected is told' contains "$RESULT" '"reason":"No default language could be detected for this app.\u000a'
check 'a reason of several lines is valid JSON' valid_json "$RESULT"
check 'the outcome is no_buildpack' contains "$RESULT" '"outcome":"no_buildpack"'

pack broken 'detect=printf '\''Odd "name" \\ \t.\n'\''' 'compile=echo sorry; exit 7'
build broken
check 'a failing compile fails' equal "$STATUS" 1
check 'a failing compile is told' contains "$RESULT" '"reason":"The buildpack broken failed in bin/compile with status 7."'
check 'the phase is left behind' equal "$(<"$WORK/out/phase")" $'bin/compile\nbroken'
check 'its status is kept' contains "$RESULT" '"outcome":"compile_failed"'
check 'exit code 7' contains "$RESULT" '"exit_code":7'
check 'odd names are escaped' valid_json "$RESULT"

pack picky 'detect=echo no such luck >&2; exit 1' 'compile=true'
build heroku/picky
check 'a configured buildpack must detect' contains "$OUTPUT" '-----> App not compatible with buildpack: heroku/picky'
check 'what detect said is shown' contains "$OUTPUT" '       no such luck'
check 'the outcome is detect_failed' contains "$RESULT" '"outcome":"detect_failed","buildpack":"picky"'

build missing
check 'an unknown buildpack is told' contains "$RESULT" '"reason":"There is no buildpack named missing.'

pack first 'detect=echo First' 'compile=echo "export FROM_FIRST=\"a b\"" >"${BASH_SOURCE[0]%/*}/../export"'
pack second 'detect=echo Second' 'compile=echo "got <$FROM_FIRST> <${WINDLASS_BUILDPACKS-unset}>"' 'release=exit 3'
chmod a-w "$PACKS/first"
build first second
check 'buildpacks are listed' contains "$OUTPUT" $'-----> Using buildpacks:\n       1. first\n       2. second'
check 'exports are handed on, ours are not' contains "$OUTPUT" 'got <a b> <unset>'
check 'a failing release fails' contains "$RESULT" '"outcome":"release_failed","buildpack":"second","name":"Second","buildpacks":["first","second"],"exit_code":3'

# Its output goes where the build's does, which nobody may wait to see closed.
pack lingering 'detect=sleep 30 & echo $! >"$1/pid"; echo Lingering' 'compile=true'
app x
rm -rf "$WORK/out" && mkdir "$WORK/out"
begin=$EPOCHSECONDS
env -i PATH="$PATH" STACK=debian-12 BUILD_DIR="$APP" CACHE_DIR="$WORK" ENV_DIR="$WORK/env" WINDLASS_PACKS_DIR="$PACKS" \
  WINDLASS_OUT_DIR="$WORK/out" WINDLASS_BUILDPACKS=lingering bash "$BUILDER" >"$WORK/output" 2>&1
check 'a process left behind is no failure' equal $? 0
check 'and holds nothing up' test $((EPOCHSECONDS - begin)) -lt 10
kill "$(<"$APP/pid")"

app 'bin/detect=#!/bin/sh\necho Inline\n' 'bin/compile=#!/bin/sh\necho inline compile >"$1/inline"\n'
build inline
check 'inline runs the scripts of the app' test -f "$APP/inline"

# A buildpack that is a folder of the app, and folders that are not.
app 'tools/pack/bin/detect=#!/bin/sh\necho Folder\n' 'tools/pack/bin/compile=#!/bin/sh\necho >"$1/folder"\n'
build ./tools/pack
check 'a folder of the app is a buildpack' test -f "$APP/folder"
build ./tools/none
check 'one that is not there is named' contains "$RESULT" 'the app has no folder tools/none'
build ./../escape
check 'one outside is refused' contains "$RESULT" 'the app has no folder ../escape'

app x
build http://me:hush@127.0.0.1:1/none.tgz
check 'a buildpack that cannot be fetched is named' contains "$RESULT" 'failed to fetch the buildpack http://127.0.0.1:1/none.tgz'
check 'without its password' equal "${OUTPUT//hush/}${RESULT//hush/}" "$OUTPUT$RESULT"

# A buildpack from a git address, by branch and by commit, and from an archive.
pack remote 'detect=echo Remote' 'compile=echo remote one'
repository="$PACKS/remote"
in_repository() { git -C "$repository" -c user.name=t -c user.email=t@example.com -c init.defaultBranch=trunk "$@" >/dev/null 2>&1; }
in_repository init && in_repository add -A && in_repository commit -m one
commit=$(git -C "$repository" rev-parse HEAD)
tar -czf "$WORK/remote.tgz" -C "$repository" bin
sed -i 's/one/two/' "$repository/bin/compile" && in_repository commit -am two && in_repository branch side
app x
build "file://$repository#side"
check 'a buildpack by git and branch' contains "$OUTPUT" 'remote two'
build "file://$repository#$commit"
check 'a buildpack by git and commit' contains "$OUTPUT" 'remote one'
build "file://$WORK/remote.tgz"
check 'a buildpack from an archive' contains "$OUTPUT" 'remote one'
build "file://$repository#none"
check 'a branch that is not there is told' contains "$OUTPUT" ' !     The repository has no branch, tag or commit none.'
mkdir "$WORK/folder" && cp -r "$repository/bin" "$WORK/folder/" && tar -czf "$WORK/folder.tar.gz" -C "$WORK" folder
build "file://$WORK/folder.tar.gz"
check 'a buildpack in a folder of an archive' contains "$OUTPUT" 'remote two'
build "file://$WORK/none.git"
check 'an address without a buildpack is told' contains "$RESULT" "The build failed to fetch the buildpack file://$WORK/none.git"

pack looks 'detect=echo Looks' 'compile=echo "sees <${BUILD_DIR-}${CACHE_DIR-}${ENV_DIR-}> <$STACK>"'
app x
build looks
check 'the directories are arguments only' contains "$OUTPUT" 'sees <> <debian-12>'

app requirements.txt '.slugignore=# comment\n*.psd\n/docs/\ntest/big*\n!x\n../out\n' a.psd deep/b.psd docs/c test/big1 test/small x
build
check 'slugignore: by name at any depth' test ! -e "$APP/a.psd" -a ! -e "$APP/deep/b.psd"
check 'slugignore: from the root' test ! -e "$APP/docs" -a ! -e "$APP/test/big1"
check 'slugignore: nothing else' test -e "$APP/test/small" -a -e "$APP/x" -a -e "$WORK/out/result.json"
finish
