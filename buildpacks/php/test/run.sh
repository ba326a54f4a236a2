#!/usr/bin/env bash
# Tests that need neither network nor PHP: detection, versions, extensions, launchers.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

for file in composer.json index.php; do
  app "$file"
  check "detects $file" equal "$("$PACK/bin/detect" "$APP")" PHP
done
app public/index.php
check 'refuses PHP files elsewhere' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

release() { "$PACK/bin/release" "$APP"; }
app index.php public/index.php
check 'Apache serves the app' contains "$(release)" $'\n  web: heroku-php-apache2'
check 'from its own folder' equal "$(release | tail -n 1)" '  web: heroku-php-apache2'
app composer.json public/index.php
check 'or from public/' equal "$(release | tail -n 1)" '  web: heroku-php-apache2 public/'

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
app 'composer.json={"require": {"acme/thing": "^1"}}'
compile
check 'a missing lock is told' contains "$OUTPUT" ' !     There is a composer.json but no composer.lock.'
app 'composer.json={'
compile
check 'what cannot be read is told' contains "$OUTPUT" ' !     composer.json cannot be read:'
app 'composer.json={"config": {"vendor-dir": "../x"}}'
compile
check 'folders outside are refused' contains "$OUTPUT" 'which is not a folder of the app'
app index.php
compile WINDLASS_PHP_SOURCE=nowhere
check 'an unknown source is told' contains "$OUTPUT" 'WINDLASS_PHP_SOURCE names nowhere; known are debian and sury.'

# choose [NAME=VALUE...]: which PHP and packages would be used, where Debian has 8.2.36.
mirror="$WORK/mirror"
mkdir -p "$mirror" && echo key >"$mirror/apt.gpg"
choose() {
  mkdir -p "$WORK/cache"
  OUTPUT=$(cd "$APP" && env BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" PACK_DIR="$PACK" WINDLASS_PHP_MIRROR="file://$mirror" "$@" bash -c '
    set -euo pipefail; shopt -s nullglob
    source "$PACK_DIR/lib/output.sh"; source "$PACK_DIR/lib/debian_packages.sh"; source "$PACK_DIR/lib/php.sh"
    debian_version() {
      case $1 in
        php) version=8.2 ;;
        php8.2-cli) version=8.2.36 ;;
        *-cli) version=${1#php} version=${version%-cli}.1 ;;
        *-nonsense) return 1 ;;
      esac
    }
    provide_packages() { echo "${*:2}"; echo "repository ${repository-}"; }; copy_tree() { :; }
    read_composer; install_php' 2>&1)
}
app index.php
choose
check 'the stack has a default' contains "$OUTPUT" '-----> Using PHP 8.2.36, the default of the debian-12 stack'
check 'with the usual extensions' contains "$OUTPUT" ' php8.2-mbstring php8.2-mysql '
app 'composer.json={"require": {"php": ">=8.1", "ext-GD": "*", "ext-pdo_pgsql": "*", "ext-json": "*", "ext-nonsense": "*"}}'
choose
check 'composer.json asks for a version' contains "$OUTPUT" 'Using PHP 8.2.36, as asked for in composer.json (>=8.1)'
check 'and for extensions' contains "$OUTPUT" ' php8.2-zip php8.2-gd
'
check 'one that nobody has is told' contains "$OUTPUT" ' !     There is no package for the extension ext-nonsense (php8.2-nonsense)'
app composer.json= 'composer.lock={"platform": {"php": "^8.3"}}'
echo '{}' >"$APP/composer.json"
choose
check 'what Debian has not comes from sury' contains "$OUTPUT" 'Using PHP 8.4.1, as asked for in composer.lock (^8.3)'
check 'by its own key' contains "$OUTPUT" "repository deb [signed-by=$WORK/cache/debian/sury.gpg] file://$mirror/ "
choose WINDLASS_PHP_SOURCE=debian
check 'a source can be chosen' contains "$OUTPUT" $' !     PHP ^8.3, as asked for in composer.lock, could not be had:\n !     debian: it has 8.2.36'
rm "$WORK/cache/debian/sury.gpg" "$mirror/apt.gpg"
choose
check 'a source that is not there is told' contains "$OUTPUT" "(file://$mirror/apt.gpg)"

# What the packages of Debian are made into.
tree="$WORK/tree"
put() { mkdir -p "$tree/$(dirname "$1")" && printf '%b' "${2-}" >"$tree/$1"; }
put usr/lib/php/20220829/redis.so
put usr/lib/php/8.2/php.ini-production 'memory_limit = 128M\n'
put usr/share/php8.2-opcache/opcache/opcache.ini '; priority=10\nzend_extension=opcache.so\n'
put usr/share/php8.2-zip/zip/zip.ini 'extension=zip.so\n'
put etc/php/8.2/mods-available/redis.ini '; priority=25\nextension=redis.so\n'
env CACHE_DIR="$WORK/cache" PACK_DIR="$PACK" bash -c 'set -euo pipefail; shopt -s nullglob
  source "$PACK_DIR/lib/output.sh"; source "$PACK_DIR/lib/debian_packages.sh"; source "$PACK_DIR/lib/php.sh"
  php_minor=8.2; prepare_php "$1"' _ "$tree"
check 'extensions are on, in their order' equal "$(cd "$tree/etc/conf.d" && echo *)" '10-opcache.ini 20-zip.ini 25-redis.ini'
check 'and found' contains "$(<"$tree/etc/php.ini")" $'memory_limit = 128M\n\n[windlass]\nextension_dir = "/app/.heroku/php/usr/lib/php/20220829"'
check 'the launchers are on the PATH' test -x "$tree/bin/heroku-php-nginx"

# The launchers, with servers that are scripts.
stub="$WORK/php/stub"
mkdir -p "$stub" "$WORK/php/etc"
cp -r "$PACK/lib/launch" "$WORK/php/launch"
chmod +x "$WORK"/php/launch/heroku-php-*
cat >"$stub/php-fpm" <<'END'
#!/usr/bin/env bash
for last; do :; done
exec python3 -c 'import re, signal, socket, sys
s = socket.socket(socket.AF_UNIX)
signal.signal(signal.SIGQUIT, lambda *_: sys.exit())
s.bind(re.search(r"^listen = (.*)$", open(sys.argv[1]).read(), re.M)[1])
signal.pause()' "$last"
END
for server in nginx apache2; do printf '#!/bin/sh\nfor last; do :; done\ncat "$last"\nexit ${FAKE_STATUS:-0}\n' >"$stub/$server"; done
printf '#!/bin/sh\nprintf 134217728\n' >"$stub/php"
chmod +x "$stub"/*
launch() {
  OUTPUT=$(cd "$APP" && env "${environment[@]}" TMPDIR="$WORK" PATH="$stub:$PATH" timeout 20 "$WORK/php/launch/$1" "${@:2}" 2>&1)
  STATUS=$?
}
app public/index.php site.conf
environment=(PORT=5123)
launch heroku-php-nginx -C site.conf public/
check 'nginx has the port' contains "$OUTPUT" 'listen 5123 default_server;'
check 'the document root' contains "$OUTPUT" "root \"$APP/public\";"
check 'and the configuration of the app' contains "$OUTPUT" "include \"$APP/site.conf\";"
check 'a server that ends by itself is a failure' equal "$STATUS" 1
check 'nothing is left' equal "$(compgen -G "$WORK/php.??????")" ''
launch heroku-php-apache2 -p 5124
check 'Apache has the port' contains "$OUTPUT" $'\nListen 5124\n'
check 'and serves the app' contains "$OUTPUT" "DocumentRoot \"$APP\""
launch heroku-php-nginx nowhere/
check 'a document root that is not there is told' contains "$OUTPUT" 'the document root nowhere/ is not a folder.'
launch heroku-php-nginx -C none.conf
check 'configuration that is not there is told' contains "$OUTPUT" 'none.conf cannot be read.'
environment=(-u PORT)
launch heroku-php-nginx
check 'a port is needed' contains "$OUTPUT" 'no port: set PORT or use -p.'
launch heroku-php-nginx -X
check 'other arguments are refused' equal "$STATUS" 2

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
