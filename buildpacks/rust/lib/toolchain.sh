# Which Rust: what rust-toolchain.toml or rust-toolchain names, else stable. It
# is installed by rustup, which comes from the project's own server
# (WINDLASS_RUST_MIRROR: another address with the same layout).

readonly RUST_MIRROR="${WINDLASS_RUST_MIRROR:-https://static.rust-lang.org}"
# A channel is looked up again after this time, to get security fixes.
readonly RENEW_SECONDS=86400

tool() { /usr/bin/python3 -I -S "$PACK_DIR/lib/$1.py" "${@:2}"; }

# Sets package_name, channel, channel_origin, components and targets.
read_manifest() {
  local facts
  facts=$(tool manifest .) || abort 'The app cannot be built (see above).'
  eval "$facts"
}

download() { curl -fsSL --connect-timeout 5 --speed-time 20 --speed-limit 1000 --max-time 600 "$@"; }

# rustup itself, checked against the checksum that lies beside it.
install_rustup() {
  local work sum address="$RUST_MIRROR/rustup/dist/$HOSTTYPE-unknown-linux-gnu/rustup-init"
  [[ ! -x $CARGO_HOME/bin/rustup ]] || return 0
  work=$(mktemp -d)
  heading 'Downloading rustup'
  { download -o "$work/rustup-init" "$address" && download -o "$work/sum" "$address.sha256"; } 2>"$work/error" ||
    abort "rustup could not be downloaded from $RUST_MIRROR: $(tail -n 1 "$work/error")" \
      'WINDLASS_RUST_MIRROR names another place to look in.'
  read -r sum _ <"$work/sum" || true
  printf '%s  %s\n' "$sum" "$work/rustup-init" | sha256sum --check --status ||
    abort "The download of rustup is damaged: its SHA-256 is not $sum. Push again to retry."
  chmod +x "$work/rustup-init"
  "$work/rustup-init" -q -y --no-modify-path --profile minimal --default-toolchain none >"$work/log" 2>&1 ||
    abort 'rustup could not be installed:' "$(tail -n 3 "$work/log")"
  rm -rf "$work"
}

install_toolchain() {
  local mark="$CACHE_DIR/rustup/.windlass" request="$channel $components $targets" list
  if [[ ! -f $mark || $(<"$mark") != "$request" ]] || (($(stat -c %Y "$mark") < EPOCHSECONDS - RENEW_SECONDS)); then
    export RUSTUP_DIST_SERVER="$RUST_MIRROR"
    install_rustup
    # One toolchain is kept per app.
    for list in "$RUSTUP_HOME"/toolchains/*; do
      if [[ ${list##*/} != "$channel"-* ]]; then rm -rf "$list" "$RUSTUP_HOME/update-hashes/${list##*/}"; fi
    done
    heading "Installing Rust $channel"
    local arguments=()
    for list in $components; do arguments+=(--component "$list"); done
    for list in $targets; do arguments+=(--target "$list"); done
    rustup -q toolchain install --profile minimal --no-self-update "$channel" "${arguments[@]}" >"$CACHE_DIR/rustup.log" 2>&1 ||
      abort "Rust $channel, from $channel_origin, could not be had:" "$(tail -n 3 "$CACHE_DIR/rustup.log")"
    printf '%s' "$request" >"$mark"
  fi
  export RUSTUP_TOOLCHAIN=$channel
  heading "Using $(rustc --version), from $channel_origin ($channel)"
}
