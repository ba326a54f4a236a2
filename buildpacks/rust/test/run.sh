#!/usr/bin/env bash
# Tests that need neither network nor Rust: detection, versions, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

app Cargo.toml
check 'detects Cargo.toml' equal "$("$PACK/bin/detect" "$APP")" Rust
app main.rs
check 'refuses Rust files alone' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

release() { "$PACK/bin/release" "$APP"; }
app '.heroku/rust/programs=shop\nserver\n'
check 'the only program is started' contains "$(release)" '  web: bin/server'
app '.heroku/rust/programs=shop\nshop\nworker\n' bin/shop
chmod +x "$APP/bin/shop"
check 'of several the one named as the package' contains "$(release)" '  web: bin/shop'
app '.heroku/rust/programs=shop\nserver\n' Procfile
check 'none beside a Procfile' equal "$(release)" ''

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
app 'Cargo.toml=[package'
compile
check 'a broken Cargo.toml is told' contains "$OUTPUT" ' !     Cargo.toml cannot be read'
app 'Cargo.toml=[package]\nname = "shop"\n' Cargo.lock
compile WINDLASS_RUST_SOURCE=rustup WINDLASS_RUST_MIRROR="file://$WORK/nowhere"
check 'a source that is not there is told' contains "$OUTPUT" " !     rustup: rustup could not be downloaded from file://$WORK/nowhere"

# A mirror that is a folder, with a rustup that installs scripts for cargo and rustc.
place="$WORK/mirror/rustup/dist/$HOSTTYPE-unknown-linux-gnu"
mkdir -p "$place"
cat >"$place/rustup-init" <<'END'
#!/usr/bin/env bash
mkdir -p "$CARGO_HOME/bin" "$RUSTUP_HOME"
cat >"$CARGO_HOME/bin/rustup" <<'RUSTUP'
#!/usr/bin/env bash
echo "rustup $*" >>"$RUSTUP_HOME/calls"
RUSTUP
cat >"$CARGO_HOME/bin/rustc" <<'RUSTC'
#!/usr/bin/env bash
echo "rustc 1.99.0 $RUSTUP_TOOLCHAIN"
RUSTC
cat >"$CARGO_HOME/bin/cargo" <<'CARGO'
#!/usr/bin/env bash
echo "cargo $*" >>"$RUSTUP_HOME/calls"
mkdir -p "$CARGO_TARGET_DIR/release"
printf '#!/bin/sh\n' >"$CARGO_TARGET_DIR/release/shop" && chmod +x "$CARGO_TARGET_DIR/release/shop"
echo '   Compiling shop' >&2
echo "{\"executable\": \"$CARGO_TARGET_DIR/release/shop\", \"target\": {\"kind\": [\"bin\"]}}"
CARGO
chmod +x "$CARGO_HOME"/bin/*
END
echo 00 >"$place/rustup-init.sha256"
compile WINDLASS_RUST_MIRROR="file://$WORK/mirror"
check 'a damaged download is told' contains "$OUTPUT" 'The download of rustup is damaged'
# Without a line's end, as the project has it.
printf '%s *rustup-init' "$(sha256sum "$place/rustup-init" | cut -d ' ' -f 1)" >"$place/rustup-init.sha256"
compile WINDLASS_RUST_MIRROR="file://$WORK/mirror"
check 'an app is built' equal "$STATUS" 0
check 'the toolchain is named' contains "$OUTPUT" '-----> Using rustc 1.99.0 stable, from the default (stable)'
check 'the lock is kept to' contains "$OUTPUT" '-----> Running cargo build --release --locked'
check 'what Cargo says is shown' contains "$OUTPUT" '          Compiling shop'
check 'what it says to machines is not' eval '[[ $OUTPUT != *executable* ]]'
check 'the program is there' test -x "$APP/bin/shop" -a -x "$APP/target/release/shop"
check 'and is the default' contains "$(release)" '  web: bin/shop'
: >"$WORK/cache/rustup/calls"
compile WINDLASS_RUST_MIRROR="file://$WORK/nowhere"
check 'the second build needs no source' equal "$STATUS" 0
check 'and no rustup' eval '[[ $(<"$WORK/cache/rustup/calls") != *rustup* ]]'
app 'Cargo.toml=[package]\nname = "shop"\n' 'rust-toolchain.toml=[toolchain]\nchannel = "1.80"\ntargets = ["wasm32-unknown-unknown"]\n'
compile
check 'another toolchain is installed' contains "$(<"$WORK/cache/rustup/calls")" 'toolchain install --profile minimal --no-self-update 1.80 --target wasm32-unknown-unknown'
compile WINDLASS_RUST_SOURCE=debian
check 'Debian has no other targets' contains "$OUTPUT" ' !     debian: has neither components nor other targets'
compile WINDLASS_RUST_SOURCE=elsewhere
check 'an unknown source is told' contains "$OUTPUT" ' !     WINDLASS_RUST_SOURCE names elsewhere; known are rustup and debian.'
compile
check 'a missing lock is told' contains "$OUTPUT" ' !     There is no Cargo.lock'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
