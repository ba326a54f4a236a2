# What composer.lock names, and Composer.

install_packages() {
  local cache="$CACHE_DIR/php-packages" begin=$EPOCHREALTIME
  export COMPOSER_HOME="$CACHE_DIR/composer-home" COMPOSER_CACHE_DIR="$CACHE_DIR/composer" COMPOSER_NO_INTERACTION=1
  export COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_NO_AUDIT=1
  if [[ $has_lock == true ]]; then
    # What is right already is not installed again; Composer says so.
    if [[ -d $cache/vendor && ! -e $vendor_dir ]]; then
      mkdir -p "$(dirname "$vendor_dir")"
      cp -a --reflink=auto "$cache/vendor" "$vendor_dir"
    fi
    heading 'Installing packages with Composer'
    indented composer install --no-dev --prefer-dist --optimize-autoloader --no-progress ||
      abort 'Composer could not install the packages; its message is above.'
    rm -rf "${cache:?}"
    mkdir -p "$cache"
    if [[ -d $vendor_dir ]]; then cp -a --reflink=auto "$vendor_dir" "$cache/vendor"; fi
    info "Packages present after $(seconds_since "$begin")"
  elif [[ $has_autoload == true ]]; then
    heading 'Writing the autoloader with Composer'
    indented composer dump-autoload --no-dev --optimize || abort 'Composer failed; its message is above.'
  fi
  if [[ $has_compile == true ]]; then
    heading 'Running: composer compile'
    indented composer run-script --no-dev compile || abort 'The script "compile" of composer.json failed; its message is above.'
  fi
}

# Heroku's launchers where its apps look for them.
link_launchers() {
  local name
  mkdir -p "$vendor_dir/bin"
  for name in heroku-php-nginx heroku-php-apache2; do
    if [[ ! -e $vendor_dir/bin/$name ]]; then ln -sf "/app/.heroku/php/bin/$name" "$vendor_dir/bin/$name"; fi
  done
}
