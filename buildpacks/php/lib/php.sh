# Which PHP, which extensions, and where from.
#
# WINDLASS_PHP_SOURCE chooses one of these; by default they are tried in order
# until one has a version that fits:
#   debian  the stack's own packages
#   sury    the packages of Debian's maintainer of PHP, in every version that is
#           alive (WINDLASS_PHP_MIRROR: another address with the same layout)

readonly PHP_SOURCES="${WINDLASS_PHP_SOURCE:-debian sury}"
readonly PHP_MIRROR="${WINDLASS_PHP_MIRROR:-https://packages.sury.org/php}"
# Newest first.
readonly SURY_VERSIONS=(8.4 8.3 8.2 8.1 8.0 7.4)
# Where PHP is while the app runs.
readonly PHP_HOME=/app/.heroku/php
# What nearly every app needs, and Composer.
readonly USUAL_EXTENSIONS=(bcmath curl intl mbstring mysql opcache pgsql readline sqlite3 xml zip)
# What packages need for their scripts, which are not run here, or for machines.
readonly NOT_WANTED='systemd systemd-standalone-tmpfiles ucf psmisc iproute2 sensible-utils perl'

composer_facts() { /usr/bin/python3 -I -S "$PACK_DIR/lib/composer.py" "$@"; }

# Sets php_requested, php_origin, extensions, vendor_dir, needs_lock, has_lock, has_autoload and
# has_compile.
read_composer() {
  local facts
  facts=$(composer_facts facts .) || exit 1
  eval "$facts"
  [[ $needs_lock != true ]] || abort 'There is a composer.json but no composer.lock.' \
    'Run "composer update" and commit composer.lock, so that every build has the same packages.'
}

# Sets php_version ("8.2.1"), php_minor ("8.2") and php_source; installs into .heroku/php.
install_php() {
  local source asked="${php_requested:+, as asked for in $php_origin ($php_requested)}"
  reasons=()
  for source in $PHP_SOURCES; do
    case $source in
      debian | sury) ;;
      *) abort "WINDLASS_PHP_SOURCE names $source; known are debian and sury." ;;
    esac
    "choose_from_$source" || continue
    php_source=$source
    php_packages
    provide_packages php "${packages[@]}"
    copy_tree php
    heading "Using PHP $php_version${asked:-, the default of the $STACK stack}"
    return 0
  done
  abort "PHP ${php_requested:-(any version)}${php_origin:+, as asked for in $php_origin,} could not be had:" "${reasons[@]}" \
    'WINDLASS_PHP_SOURCE and WINDLASS_PHP_MIRROR name other places to look in.'
}

# Whether Debian's version, or that of the source before, fits: sets php_version and php_minor.
known_version() {
  local version
  if ! debian_version "$1"; then
    reasons+=("$source: $(debian_reason)")
    return 1
  fi
  php_version=$version
}

choose_from_debian() {
  known_version php || return 1
  php_minor=$php_version
  known_version "php$php_minor-cli" || return 1
  composer_facts choose "${php_requested:-*}" "$php_version" >/dev/null && return 0
  reasons+=("debian: it has $php_version")
  return 1
}

choose_from_sury() {
  local key="$DEBIAN_CACHE/sury.gpg" codename
  if ! php_minor=$(composer_facts choose "${php_requested:-*}" "${SURY_VERSIONS[@]}"); then
    reasons+=("sury: it has ${SURY_VERSIONS[*]}")
    return 1
  fi
  mkdir -p "$DEBIAN_CACHE"
  if [[ ! -s $key ]] && ! curl -fsSL --connect-timeout 3 --max-time 30 -o "$key" "$PHP_MIRROR/apt.gpg" 2>"$DEBIAN_CACHE/error"; then
    reasons+=("sury: $(tail -n 1 "$DEBIAN_CACHE/error") ($PHP_MIRROR/apt.gpg)")
    rm -f "$key"
    return 1
  fi
  codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
  repository="deb [signed-by=$key] $PHP_MIRROR/ $codename main"
  known_version "php$php_minor-cli"
}

# Sets `packages`: PHP, its servers, Composer, the usual extensions and those that are required.
php_packages() {
  local name package
  packages=("php$php_minor-cli" "php$php_minor-fpm" apache2-bin nginx composer unzip)
  for name in "${USUAL_EXTENSIONS[@]}"; do packages+=("php$php_minor-$name"); done
  assumed=$NOT_WANTED
  for name in $extensions; do
    package=$(extension_package "$name")
    if [[ -z $package || " ${packages[*]} " == *" php$php_minor-$package "* ]]; then continue; fi
    if debian_version "php$php_minor-$package"; then
      packages+=("php$php_minor-$package")
    else
      warn "There is no package for the extension ext-$name (php$php_minor-$package); Composer will say whether it is missed."
    fi
  done
}

# The package that an extension is part of; nothing where every PHP has it.
extension_package() {
  case $1 in
    mysqli | mysqlnd | pdo_mysql) echo mysql ;;
    pdo_pgsql) echo pgsql ;;
    pdo_sqlite) echo sqlite3 ;;
    pdo_odbc) echo odbc ;;
    pdo_dblib) echo sybase ;;
    dom | simplexml | xmlreader | xmlwriter | xsl) echo xml ;;
    zend-opcache) echo opcache ;;
    calendar | core | ctype | date | exif | ffi | fileinfo | filter | ftp | gettext | hash | iconv | json | libxml | openssl | \
      pcntl | pcre | pdo | phar | posix | random | reflection | session | shmop | sockets | sodium | spl | standard | \
      sysvmsg | sysvsem | sysvshm | tokenizer | zlib) ;;
    *) echo "$1" ;;
  esac
}

# What Debian's scripts would do: names without versions, settings, and the list of extensions.
prepare_php() {
  local root=$1 file name priority modules
  mkdir -p "$root/bin" "$root/etc/conf.d"
  modules=("$root"/usr/lib/php/20*)
  ln -s "../usr/bin/php$php_minor" "$root/bin/php"
  ln -s "../usr/sbin/php-fpm$php_minor" "$root/bin/php-fpm"
  ln -s ../usr/sbin/nginx "$root/bin/nginx"
  ln -s ../usr/sbin/apache2 "$root/bin/apache2"
  cp -r "$PACK_DIR/lib/launch" "$root/launch"
  for name in heroku-php-nginx heroku-php-apache2; do
    chmod +x "$root/launch/$name"
    ln -s "../launch/$name" "$root/bin/$name"
  done
  cat >"$root/bin/composer" <<END
#!/bin/sh
exec $PHP_HOME/bin/php $PHP_HOME/usr/bin/composer "\$@"
END
  chmod +x "$root/bin/composer"
  # PHP's own packages have them in one place, those of other extensions in the other.
  for file in "$root/usr/share/php$php_minor"-*/*/*.ini "$root/etc/php/$php_minor"/mods-available/*.ini; do
    name=${file##*/}
    priority=$(sed -n 's/^; *priority=//p' "$file")
    cp "$file" "$root/etc/conf.d/${priority:-20}-$name"
  done
  sed -e "s#@extensions@#$PHP_HOME/${modules[0]#"$root/"}#" -e "s#@home@#$PHP_HOME#" "$PACK_DIR/lib/php.ini" >"$root/etc/windlass.ini"
  cat "$root/usr/lib/php/$php_minor/php.ini-production" "$root/etc/windlass.ini" >"$root/etc/php.ini"
  rm "$root/etc/windlass.ini"
}

# Prints the statements by which programs find PHP.
php_environment() {
  printf 'export PATH="%s/bin:$PATH"\n' "$PHP_HOME"
  printf 'export PHPRC=%s/etc PHP_INI_SCAN_DIR=%s/etc/conf.d\n' "$PHP_HOME" "$PHP_HOME"
  printf 'export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$(library_folders "$PHP_HOME")"
}

point_to_php() {
  mkdir -p .profile.d
  {
    echo '# Sourced before every process of the app.'
    php_environment
    printf 'export PATH="/app/%s/bin:$PATH"\n' "$vendor_dir"
  } >.profile.d/php.sh
  eval "$(php_environment)"
  # For the buildpacks that follow, where this one may be written to.
  if [[ -w $PACK_DIR ]]; then php_environment >"$PACK_DIR/export"; fi
  php -v >/dev/null || abort "PHP $php_version does not start on the $STACK stack; its message is above."
}
