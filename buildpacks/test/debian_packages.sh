#!/usr/bin/env bash
# Tests of lib/debian_packages.sh, which several buildpacks have a copy of, with an apt
# and a dpkg-deb that are scripts; and that the copies of shared files are alike.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/check.sh"
PACKS="$HERE/.."

for name in output.sh debian_packages.sh run_packages run_status.py; do
  copies=("$PACKS"/*/lib/"$name")
  for copy in "${copies[@]}"; do
    check "$copy is as the others are" cmp "${copies[0]}" "$copy"
  done
done

stub="$WORK/stub"
mkdir -p "$stub" "$WORK/pack/lib" "$WORK/cache"
cp "$PACKS"/ruby/lib/{output.sh,debian_packages.sh,run_packages,run_status.py} "$WORK/pack/lib/"
cat >"$stub/apt-get" <<'END'
#!/usr/bin/env bash
for option; do if [[ $option == Dir::Cache=* ]]; then cache=${option#*=}; fi; done
[[ ! -f $STUBS/offline ]] || { echo 'E: Could not resolve the mirror' >&2; exit 100; }
case " $* " in
  *' update '*) echo update >>"$STUBS/calls" ;;
  *' --print-uris '*) echo "'http://mirror/tool_$(cat "$STUBS/version")_all.deb' tool_$(cat "$STUBS/version")_all.deb 2500000 SHA256:00" ;;
  *' --download-only '*) echo download >>"$STUBS/calls"; touch "$cache/archives/tool_$(cat "$STUBS/version")_all.deb" ;;
esac
END
cat >"$stub/apt-cache" <<'END'
#!/usr/bin/env bash
printf 'Package: tool\nVersion: 1:%s-2+deb12u1\n' "$(cat "$STUBS/version")"
END
cat >"$stub/dpkg-deb" <<'END'
#!/usr/bin/env bash
mkdir -p "$3/usr/bin" "$3/usr/share/doc/tool" && echo "${2##*/}" >"$3/usr/bin/tool" && ln -sf /usr/bin/tool "$3/usr/bin/t"
END
chmod +x "$stub"/*
echo 1.0 >"$stub/version"

# provide COMMAND: runs it where debian_packages.sh is loaded. Sets OUTPUT and CALLS.
provide() {
  : >"$stub/calls"
  OUTPUT=$(PATH="$stub:$PATH" STUBS="$stub" STACK=debian-12 CACHE_DIR="$WORK/cache" PACK_DIR="$WORK/pack" BUILD_DIR="$WORK/app" bash -c '
    set -euo pipefail; shopt -s nullglob
    source "$PACK_DIR/lib/output.sh"; source "$PACK_DIR/lib/debian_packages.sh"
    prepare_things() { echo "prepared" >"$1/mark"; }
    link_into_app() { mkdir -p "$BUILD_DIR/.heroku"; }
    eval "$1"' _ "$1" 2>&1)
  CALLS=$(<"$stub/calls")
}
old() { touch -d '2 days ago' "$WORK/cache/debian/$1"; }

touch "$stub/offline"
provide 'provide_packages things tool'
check 'what cannot be had is told' contains "$OUTPUT" $' !     The packages tool could not be had from Debian:\n !     E: Could not resolve the mirror'
provide 'debian_version tool || cat "$DEBIAN_CACHE/error"'
check 'nor its version' contains "$OUTPUT" 'E: Could not resolve the mirror'
rm "$stub/offline"
provide 'provide_packages things tool && cat "$tree/usr/bin/t" "$tree/mark" && copy_tree things'
check 'packages are downloaded' contains "$OUTPUT" '-----> Downloading tool from Debian (2 MB)'
check 'unpacked with their links, and prepared' contains "$OUTPUT" $'tool_1.0_all.deb\nprepared'
check 'without documentation' test ! -e "$WORK/app/.heroku/things/usr/share/doc"
check 'and are in the app' test -f "$WORK/app/.heroku/things/usr/bin/tool"
provide 'provide_packages things tool'
check 'the second time they are there' equal "$OUTPUT$CALLS" '       Using cached packages of Debian (unchanged)'
old things/key && old lists-for
provide 'provide_packages things tool'
check 'after a day apt is asked' equal "$OUTPUT$CALLS" '       Using cached packages of Debian (still the newest)update'
old things/key && old lists-for && touch "$stub/offline"
provide 'provide_packages things tool'
check 'without apt those of the cache are used' contains "$OUTPUT" ' !     Debian could not be asked for newer packages; those of the cache are used.'
rm "$stub/offline" && echo 1.1 >"$stub/version"
provide 'provide_packages things tool && cat "$tree/usr/bin/tool"'
check 'newer ones replace them' contains "$OUTPUT" 'tool_1.1_all.deb'
provide 'provide_packages things tool more'
check 'as do others' contains "$OUTPUT" '-----> Downloading tool more from Debian'
provide 'debian_version tool && echo "<$version>"'
check 'a version has no epoch and no revision' equal "$OUTPUT" '<1.1>'
touch "$stub/offline" && old version-of-tool && old lists-for
provide 'debian_version tool && echo "<$version>"'
check 'and is remembered' equal "$OUTPUT" '<1.1>'
finish
