# Installs what package.json asks for. node_modules, as it is after installing
# and before pruning, is kept in the cache under a key of everything that
# determines it: unchanged dependencies cost one copy.

# Lifecycle scripts of the app itself, which npm runs as part of an install.
readonly LIFECYCLE=(preinstall install postinstall prepublish preprepare prepare postprepare)
readonly -A lock_names=([npm]=package-lock.json [yarn]=yarn.lock [pnpm]=pnpm-lock.yaml)

node_modules_key() {
  local sum lock=()
  for file in package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml .npmrc .yarnrc .yarnrc.yml pnpm-workspace.yaml; do [[ -f $file ]] && lock+=("$file"); done
  sum=$({
    printf '%s\n' "$STACK" "$HOSTTYPE" "$node_version" "$npm_range" "$manager" "$manager_version" "$dependencies_digest" "$(omit_dev && echo omit)"
    cat -- "${lock[@]}" /dev/null
  } | sha256sum)
  printf '%s' "${sum%% *}"
}

# Whether devDependencies are left out from the start.
omit_dev() { [[ ${NPM_CONFIG_PRODUCTION:-} == true ]]; }

run_lifecycle() {
  local script
  for script in "${LIFECYCLE[@]}"; do run_script "$script"; done
}

install_dependencies() {
  local key cache="$CACHE_DIR/node_modules" begin=$EPOCHREALTIME took install
  if [[ -d node_modules ]]; then
    warn 'node_modules is checked into the repository; it is replaced. Add it to .gitignore.'
    rm -rf node_modules
  fi
  if [[ $has_dependencies == false ]]; then
    info 'No dependencies to install'
    run_lifecycle
    return 0
  fi
  key=$(node_modules_key)
  if [[ -f $cache/key && $(<"$cache/key") == "$key" && -d $cache/node_modules ]]; then
    cp -a --reflink=auto "$cache/node_modules" node_modules
    info 'Using cached dependencies (unchanged)'
    run_lifecycle
    return 0
  fi
  install_command
  heading "Installing dependencies with ${install[*]:0:2}"
  has_lock || warn "There is no ${lock_names[$manager]}: each build may get other versions. Commit one."
  indented "${install[@]}" || install_failed "${install[*]:0:2}"
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Dependencies installed in $((took / 1000000)).$((took / 100000 % 10)) s"
  # Packages of a workspace have folders of their own besides.
  [[ -d node_modules && $has_workspaces == false ]] || return 0
  # The key is written last, so that an interrupted copy is never used.
  rm -rf "$cache"
  mkdir -p "$cache"
  cp -a --reflink=auto node_modules "$cache/node_modules"
  printf '%s' "$key" >"$cache/key"
}

install_failed() {
  abort "$1 failed; its message is above." \
    "If package.json and ${lock_names[$manager]} differ, run \"$manager install\" and commit ${lock_names[$manager]}."
}

prune_dependencies() {
  [[ $dev_dependencies == true && -d node_modules ]] || return 0
  omit_dev && return 0
  if [[ ${NPM_CONFIG_PRODUCTION:-} == false ]]; then
    info 'Keeping devDependencies, because NPM_CONFIG_PRODUCTION is false'
    return 0
  fi
  heading 'Removing devDependencies'
  local prune
  prune_command
  indented "${prune[@]}" || abort "${prune[*]:0:2} failed; its message is above."
}
