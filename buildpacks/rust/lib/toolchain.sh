# Which Rust: what rust-toolchain.toml or rust-toolchain names, else stable.
#
# WINDLASS_RUST_SOURCE chooses one of these; by default they are tried in order
# until one has what is wanted:
#   rustup  the project's own server (WINDLASS_RUST_MIRROR: another address with
#           the same layout)
#   debian  the packages of the stack's Debian, by way of apt
# apt knows its mirror itself.

readonly RUST_SOURCES="${WINDLASS_RUST_SOURCE:-rustup debian}"
# A channel is looked up again after this time, to get security fixes.
readonly RENEW_SECONDS=86400

tool() { /usr/bin/python3 -I -S "$PACK_DIR/lib/$1.py" "${@:2}"; }

# Sets package_name, channel, channel_origin, components and targets.
read_manifest() {
  local facts
  facts=$(tool manifest .) || abort 'The app cannot be built (see above).'
  eval "$facts"
}

# Puts the toolchain on the PATH. A source has two functions: obtain_SOURCE,
# which fills the cache or sets `reason` and returns 1, and use_SOURCE, which
# sets `toolchain_path`.
install_toolchain() {
  local mark="$CACHE_DIR/rust-toolchain" request="$RUST_SOURCES $channel $components $targets" lines=() source
  if [[ -f $mark ]]; then mapfile -t lines <"$mark"; fi
  if [[ ${lines[0]-} == "$request" ]] && (($(stat -c %Y "$mark") > EPOCHSECONDS - RENEW_SECONDS)); then
    source=${lines[1]}
  else
    rm -f "$mark"
    obtain_toolchain
    printf '%s\n%s\n' "$request" "$source" >"$mark"
  fi
  "use_$source"
  export PATH="$toolchain_path:$PATH"
  heading "Using $(rustc --version), from $channel_origin ($channel)"
}

# Tries the sources in turn; sets source to the one that had it.
obtain_toolchain() {
  local reason reasons=()
  for source in $RUST_SOURCES; do
    [[ $source == rustup || $source == debian ]] ||
      abort "WINDLASS_RUST_SOURCE names $source; known are rustup and debian."
    if "obtain_$source"; then return 0; fi
    reasons+=("$source: $reason")
  done
  abort "Rust $channel, from $channel_origin, could not be had:" "${reasons[@]}" \
    'WINDLASS_RUST_SOURCE and WINDLASS_RUST_MIRROR name other places to look in.'
}
