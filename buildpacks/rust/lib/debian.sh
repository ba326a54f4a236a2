# Rust from the stack's Debian: one version, without rustup. Nothing is
# installed: the packages are unpacked into the cache.

readonly DEBIAN_CACHE="$CACHE_DIR/rust-debian"
# The first is what Debian keeps current to build browsers with, where there is one.
readonly DEBIAN_PACKAGES=('rustc-web cargo-web' 'rustc cargo')

obtain_debian() {
  local names log="$DEBIAN_CACHE/log" version
  if [[ -n $components$targets ]]; then
    reason="has neither components nor other targets ($components $targets)"
    return 1
  fi
  if [[ $channel != stable && ! $channel =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]]; then
    reason="has no channel $channel"
    return 1
  fi
  rm -rf "$DEBIAN_CACHE"
  mkdir -p "$DEBIAN_CACHE"/{cache/archives/partial,state/lists/partial,root,bin}
  if ! debian_apt update >"$log" 2>&1; then
    reason=$(tail -n 1 "$log")
    return 1
  fi
  for names in "${DEBIAN_PACKAGES[@]}"; do
    # shellcheck disable=SC2086
    version=$(debian_apt --print-uris install $names 2>"$log" | sed -nE "s/^'[^']*' (rustc|rustc-web)_([0-9.]+).*/\2/p") && break
  done
  if [[ -z $version || ($channel != stable && "$version." != "$channel."*) ]]; then
    reason="has Rust ${version:-in no version}"
    return 1
  fi
  heading "Downloading Rust $version (debian)"
  # shellcheck disable=SC2086
  if ! debian_apt --download-only install $names >"$log" 2>&1 || ! unpack_debian >"$log" 2>&1; then
    reason=$(tail -n 1 "$log")
    return 1
  fi
}

# In directories of our own, so that it needs no privileges.
debian_apt() {
  apt-get -o "Dir::Cache=$DEBIAN_CACHE/cache" -o "Dir::State=$DEBIAN_CACHE/state" \
    -o Dir::State::status=/var/lib/dpkg/status -o Debug::NoLocking=true -o APT::Sandbox::User=root \
    -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Retries=2 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o APT::Update::Error-Mode=any \
    -o Dpkg::Use-Pty=false -o Dir::Log=/dev/null -qq --assume-yes "$@"
}

unpack_debian() {
  local archive name
  for archive in "$DEBIAN_CACHE"/cache/archives/*.deb; do
    dpkg-deb --extract "$archive" "$DEBIAN_CACHE/root" || return 1
  done
  rm -rf "$DEBIAN_CACHE"/{cache,state}
  for name in rustc rustdoc cargo; do
    cat >"$DEBIAN_CACHE/bin/$name" <<'END'
#!/bin/sh
# Debian's compiler expects its libraries in /usr.
root=${0%/*}/../root
LD_LIBRARY_PATH="$root/usr/lib/$(uname -m)-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
END
    if [[ $name == cargo ]]; then
      printf 'exec "$root/usr/bin/cargo" "$@"\n'
    else
      printf 'exec "$root/usr/bin/%s" --sysroot "$root/usr" "$@"\n' "$name"
    fi >>"$DEBIAN_CACHE/bin/$name"
    chmod +x "$DEBIAN_CACHE/bin/$name"
  done
}

use_debian() { toolchain_path="$DEBIAN_CACHE/bin"; }
