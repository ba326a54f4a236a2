#!/usr/bin/env bash
# Tests that need neither network nor privileges: detection, the Aptfile, and
# unpacking of a package made on the spot.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$WORK/apt"
cp -r "$HERE/.." "$PACK"
export STACK=debian-12

app Aptfile
check 'detects an Aptfile' equal "$("$PACK/bin/detect" "$APP")" Apt
app Procfile
check 'refuses anything else' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

# compile [NAME=VALUE...]: with an apt-get that hands out the package made below.
stub="$WORK/stub"
mkdir -p "$stub"
compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env PATH="$stub:$PATH" MADE="$WORK/made.deb" CALLS="$WORK/calls" "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
cat >"$stub/apt-get" <<'END'
#!/usr/bin/env bash
printf '%s\n' "$*" >>"$CALLS"
for word; do [[ $word == Dir::Cache=* ]] && cache=${word#*=}; done
case $* in
  *' update') [[ -z ${BROKEN:-} ]] || { echo 'E: no lists' >&2; exit 100; } ;;
  *--print-uris*) echo "'http://example.com/made.deb' made_1%3a2_all.deb 1 SHA256:00" ;;
  *) cp "$MADE" "$cache/archives/made_1%3a2_all.deb" ;;
esac
END
chmod +x "$stub/apt-get"
tree="$WORK/tree"
mkdir -p "$tree"/{DEBIAN,usr/bin,usr/lib/pkgconfig,etc}
printf 'Package: made\nVersion: 1:2\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: made\n' >"$tree/DEBIAN/control"
printf '#!/bin/sh\n' >"$tree/usr/bin/made" && chmod +x "$tree/usr/bin/made"
printf 'prefix=/usr\n' >"$tree/usr/lib/pkgconfig/made.pc"
ln -s /usr/bin/made "$tree/etc/made"
dpkg-deb --root-owner-group --build "$tree" "$WORK/made.deb" >/dev/null

app 'Aptfile=# what we need\n\n  made  # and why\r\n'
compile
check 'an Aptfile is built' equal "$STATUS" 0
check 'packages are named' contains "$OUTPUT" '       made 1:2'
check 'the program is there' test -x "$APP/.apt/usr/bin/made"
check 'pkg-config finds it' equal "$(<"$APP/.apt/usr/lib/pkgconfig/made.pc")" "prefix=$APP/.apt/usr"
check 'links stay inside' equal "$(readlink "$APP/.apt/etc/made")" /app/.apt/usr/bin/made
check 'it is on the PATH at run time' contains "$(<"$APP/.profile.d/000_apt.sh")" 'export PATH="/app/.apt/usr/bin:'
check 'and for the buildpacks that follow' contains "$(<"$PACK/export")" "export PATH=\"$APP/.apt/usr/bin:"
check 'the start-up script is sound' bash -n "$APP/.profile.d/000_apt.sh"
: >"$WORK/calls"
compile
check 'the second build asks nobody' equal "$(<"$WORK/calls")" ''
check 'and says so' contains "$OUTPUT" '-----> Using cached packages (unchanged)'
printf 'other\n' >>"$APP/Aptfile"
compile
check 'another Aptfile asks again' contains "$(<"$WORK/calls")" '--reinstall install made other'
check 'but not for lists' eval '[[ $(<"$WORK/calls") != *update* ]]'
app 'Aptfile=:repo:deb http://example.com/debian stable main\nmade=1.0\n'
compile
check 'repositories are added' equal "$(<"$WORK/cache/apt/sources/app.list")" 'deb http://example.com/debian stable main'
compile BROKEN=1 STACK=debian-13
check 'broken lists end the build' contains "$OUTPUT" " !     apt could not update its package lists; its message is above."
app 'Aptfile=$(id)\n'
compile
check 'odd names are refused' contains "$OUTPUT" ' !     The Aptfile has "$(id)", which is not the name of a package.'
app 'Aptfile=# nothing\n'
compile
check 'an empty Aptfile is no failure' equal "$STATUS" 0

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
