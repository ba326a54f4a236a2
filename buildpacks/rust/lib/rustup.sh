# Rust by rustup, from the project's own server or a mirror of it.

readonly RUST_MIRROR="${WINDLASS_RUST_MIRROR:-https://static.rust-lang.org}"

download() { curl -fsSL --connect-timeout 5 --speed-time 20 --speed-limit 1000 --max-time 600 "$@"; }

obtain_rustup() {
  local name arguments=()
  export RUSTUP_DIST_SERVER="$RUST_MIRROR"
  install_rustup || return 1
  # One toolchain is kept per app.
  for name in "$RUSTUP_HOME"/toolchains/*; do
    if [[ ${name##*/} != "$channel"-* ]]; then rm -rf "$name" "$RUSTUP_HOME/update-hashes/${name##*/}"; fi
  done
  heading "Installing Rust $channel (rustup)"
  for name in $components; do arguments+=(--component "$name"); done
  for name in $targets; do arguments+=(--target "$name"); done
  rustup -q toolchain install --profile minimal --no-self-update "$channel" "${arguments[@]}" >"$CACHE_DIR/rustup.log" 2>&1 && return 0
  reason=$(tail -n 3 "$CACHE_DIR/rustup.log")
  return 1
}

use_rustup() {
  toolchain_path="$CARGO_HOME/bin"
  export RUSTUP_TOOLCHAIN=$channel
}

# rustup itself, checked against the checksum that lies beside it.
install_rustup() {
  local work sum address="$RUST_MIRROR/rustup/dist/$HOSTTYPE-unknown-linux-gnu/rustup-init"
  [[ ! -x $CARGO_HOME/bin/rustup ]] || return 0
  work=$(mktemp -d)
  heading 'Downloading rustup'
  if ! { download -o "$work/rustup-init" "$address" && download -o "$work/sum" "$address.sha256"; } 2>"$work/error"; then
    reason="rustup could not be downloaded from $RUST_MIRROR: $(tail -n 1 "$work/error")"
    return 1
  fi
  read -r sum _ <"$work/sum" || true
  printf '%s  %s\n' "$sum" "$work/rustup-init" | sha256sum --check --status ||
    abort "The download of rustup is damaged: its SHA-256 is not $sum. Push again to retry."
  chmod +x "$work/rustup-init"
  if ! "$work/rustup-init" -q -y --no-modify-path --profile minimal --default-toolchain none >"$work/log" 2>&1; then
    reason="rustup could not be installed: $(tail -n 3 "$work/log")"
    return 1
  fi
  rm -rf "$work"
}
