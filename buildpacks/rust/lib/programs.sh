# The build, and what is kept of it.

build_programs() {
  local begin=$EPOCHREALTIME took options=(--release)
  if [[ -f Cargo.lock ]]; then
    options+=(--locked)
  else
    warn 'There is no Cargo.lock: each build may get other versions. Commit one.'
  fi
  if [[ -n ${RUST_CARGO_BUILD_FLAGS:-} ]]; then
    local more
    read -r -a more <<<"$RUST_CARGO_BUILD_FLAGS"
    options+=("${more[@]}")
  fi
  # Cargo compares file times with those of its last build, in the cache. The
  # times of a source say nothing about that: an older release can come after a newer one.
  find . -name .git -prune -o -type f -exec touch -c {} +
  heading "Running cargo build ${options[*]}"
  messages=$(mktemp)
  indented cargo_build "$messages" "${options[@]}" ||
    abort 'cargo build failed; its message is above.' \
      'If Cargo.lock does not fit Cargo.toml, run "cargo update --workspace" and commit Cargo.lock.'
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Built in $((took / 1000000)).$((took / 100000 % 10)) s"
}

# Messages for machines go to a file, those for people are shown.
cargo_build() { cargo build --message-format=json-render-diagnostics "${@:2}" >"$1"; }

# Programs go to bin/, and by way of links to where Cargo would have put them.
keep_programs() {
  local paths path name names=()
  mapfile -t paths < <(tool programs <"$messages" | grep .)
  ((${#paths[@]} > 0)) || abort 'The app has no program: no src/main.rs, src/bin/ or [[bin]] in Cargo.toml.'
  rm -rf target
  mkdir -p bin target/release .heroku/rust
  for path in "${paths[@]}"; do
    name=${path##*/}
    names+=("$name")
    cp "$path" "bin/$name"
    strip --strip-debug "bin/$name" 2>/dev/null || true
    ln -sf "../../bin/$name" "target/release/$name"
  done
  printf '%s\n' "$package_name" "${names[@]}" >.heroku/rust/programs
  info "Programs: ${names[*]/#/bin/}"
}
