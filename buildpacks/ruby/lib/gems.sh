# What Gemfile.lock says, and Bundler.

# Whether the lock has a gem: four blanks, its name, its version.
has_gem() { [[ -f Gemfile.lock ]] && grep -qE "^    $1 \(" Gemfile.lock; }

gem_version() { sed -nE "s/^    $1 \(([0-9][^)-]*).*/\1/p" Gemfile.lock | head -n 1; }

check_lock() {
  [[ -f Gemfile.lock ]] || abort 'There is a Gemfile but no Gemfile.lock.' \
    'Run "bundle lock" and commit Gemfile.lock, so that every build has the same gems.'
}

# Bundler's settings, for the build and, by way of profile.sh, for the app.
set_bundler() {
  export BUNDLE_GEMFILE="$BUILD_DIR/Gemfile" BUNDLE_PATH=vendor/bundle BUNDLE_BIN=vendor/bundle/bin
  export BUNDLE_DEPLOYMENT=1 BUNDLE_JOBS=4 BUNDLE_RETRY=2 BUNDLE_SILENCE_ROOT_WARNING=1
  export BUNDLE_WITHOUT="${BUNDLE_WITHOUT-development:test}" BUNDLE_APP_CONFIG="$BUILD_DIR/.bundle"
  # What stands for the machine of a developer would change what is installed here.
  rm -rf .bundle/config
}

# The gems are those of this key: they are taken from the cache as they are.
gems_key() {
  local sum
  sum=$({
    printf '%s\n' "$STACK" "$HOSTTYPE" "$ruby_version" "$ruby_source" "$BUNDLE_WITHOUT" "${BUNDLE_WITH:-}"
    cat Gemfile Gemfile.lock
    for name in "${!BUNDLE_BUILD__@}"; do printf '%s=%s\n' "$name" "${!name}"; done
  } | sha256sum)
  printf '%s' "${sum%% *}"
}

install_gems() {
  local cache="$CACHE_DIR/ruby-gems" key begin=$EPOCHREALTIME arguments=(install) vendored=(vendor/cache/*.gem)
  set_bundler
  key=$(gems_key)
  rm -rf vendor/bundle
  if [[ -f $cache/ruby && $(<"$cache/ruby") == "$STACK $ruby_source $ruby_version" ]]; then
    mkdir -p vendor
    cp -a --reflink=auto "$cache/bundle" vendor/bundle
  fi
  if [[ -f $cache/key && $(<"$cache/key") == "$key" && -d vendor/bundle ]]; then
    heading 'Using cached gems (Gemfile.lock is unchanged)'
    return 0
  fi
  if ((${#vendored[@]} > 0)); then
    arguments+=(--local)
    info "Gems are taken from vendor/cache (${#vendored[@]} there)"
  fi
  heading "Installing gems with Bundler $(bundle --version | sed 's/.* //')"
  rm -f "$cache/key"
  indented bundle "${arguments[@]}" || abort 'Bundler could not install the gems; its message is above.'
  indented bundle clean
  mkdir -p vendor/bundle
  correct_shebangs vendor/bundle/ruby/*/bin/*
  store_gems "$cache" "$key"
  info "Gems present after $(seconds_since "$begin")"
}

# RubyGems writes the interpreter's place in the build, which the running app does not have.
correct_shebangs() {
  local file
  for file; do
    if [[ -f $file ]]; then sed -i '1s|^#!.*ruby.*|#!/usr/bin/env ruby|' "$file"; fi
  done
}

store_gems() {
  mkdir -p "$1"
  rm -rf "$1/bundle" vendor/bundle/ruby/*/cache
  cp -a --reflink=auto vendor/bundle "$1/bundle"
  printf '%s' "$STACK $ruby_source $ruby_version" >"$1/ruby"
  printf '%s' "$2" >"$1/key"
}
