# Yarn and pnpm: which one, which version, and how each installs and prunes.
# They come from the npm registry, by way of npm, into the cache, and are part
# of the app, so that "yarn start" works in a Procfile.

readonly DEFAULT_YARN_CLASSIC=1.x DEFAULT_YARN=4.x DEFAULT_PNPM=10.x

# Sets `manager` (npm, yarn or pnpm), `berry` (whether Yarn is 2 or later),
# `manager_range` and `manager_origin`; `manager_version` is known once it is there.
choose_manager() {
  local lock found=()
  for lock in bun.lockb bun.lock; do
    [[ ! -f $lock || -f package-lock.json ]] ||
      abort "The app has a $lock, but Bun is not supported." 'Use npm, Yarn or pnpm and commit its lock file.'
  done
  if [[ -f package-lock.json || -f npm-shrinkwrap.json ]]; then found+=(npm); fi
  if [[ -f yarn.lock ]]; then found+=(yarn); fi
  if [[ -f pnpm-lock.yaml ]]; then found+=(pnpm); fi
  manager=${package_manager:-${found[0]:-npm}}
  [[ $manager =~ ^(npm|yarn|pnpm)$ ]] ||
    abort "\"packageManager\" in package.json asks for $manager, which is not supported." 'Known are npm, yarn and pnpm.'
  ((${#found[@]} < 2)) || warn "There are lock files of ${found[*]}; $manager is used. Remove those that are not meant."
  berry=false manager_version="" manager_range=$package_manager_version manager_origin='"packageManager" in package.json'
  case $manager in
    yarn) choose_yarn ;;
    pnpm)
      choose_pnpm
      if [[ -f pnpm-workspace.yaml ]] && grep -q '^packages:' pnpm-workspace.yaml; then has_workspaces=true; fi
      ;;
  esac
}

choose_yarn() {
  if [[ -f .yarnrc.yml ]] || { [[ -f yarn.lock ]] && grep -q '^__metadata:' yarn.lock; }; then berry=true; fi
  if [[ -n $manager_range ]]; then
    if [[ $manager_range =~ ^[v=^~]*[2-9] ]]; then berry=true; else berry=false; fi
  elif [[ -n $yarn_range ]]; then
    manager_range=$yarn_range manager_origin=engines.yarn
  else
    manager_origin='the form of yarn.lock'
    if [[ $berry == true ]]; then manager_range=$DEFAULT_YARN; else manager_range=$DEFAULT_YARN_CLASSIC; fi
  fi
}

# A lock file can be read by the versions that wrote it.
choose_pnpm() {
  local version=""
  [[ -z $manager_range ]] || return 0
  if [[ -n $pnpm_range ]]; then
    manager_range=$pnpm_range manager_origin=engines.pnpm
    return 0
  fi
  if [[ -f pnpm-lock.yaml ]]; then
    version=$(sed -nE "s/^lockfileVersion: *'?([0-9.]+)'?.*/\1/p;T;q" pnpm-lock.yaml)
  fi
  manager_origin='the form of pnpm-lock.yaml'
  case $version in
    5.*) manager_range=7.x ;;
    6.*) manager_range=8.x ;;
    *) manager_range=$DEFAULT_PNPM ;;
  esac
}

# Puts Yarn or pnpm into BUILD_DIR/.heroku/NAME and onto the PATH.
install_manager() {
  local cache="$CACHE_DIR/node-$manager" package=$manager release
  [[ $manager != npm ]] || return 0
  release=$(yarn_release)
  if [[ -n $release ]]; then
    heading "Using Yarn from $release"
    mkdir -p .heroku/yarn/bin
    printf '#!/bin/sh\nexec node "/app/%s" "$@"\n' "$release" >.heroku/yarn/bin/yarn
    chmod +x .heroku/yarn/bin/yarn
    use_release "$release"
    return 0
  fi
  if [[ $berry == true ]]; then package=@yarnpkg/cli-dist; fi
  if [[ ! -f $cache/request || $(<"$cache/request") != "$package@$manager_range $node_version" ]]; then
    rm -rf "$cache"
    mkdir -p "$cache"
    indented npm install --global --silent --prefix "$cache/tool" "$package@$manager_range" ||
      abort "$manager $manager_range, from $manager_origin, could not be had; npm's message is above."
    printf '%s' "$package@$manager_range $node_version" >"$cache/request"
  fi
  link_into_app "$manager"
  rm -rf ".heroku/$manager"
  cp -a --reflink=auto "$cache/tool" ".heroku/$manager"
  export PATH="/app/.heroku/$manager/bin:$PATH"
  manager_version=$(sed -nE 's/^ *"version": "(.*)",?$/\1/p' ".heroku/$manager/lib/node_modules/$package/package.json" | head -n 1)
  heading "Using $manager $manager_version, from $manager_origin ($manager_range)"
}

# The release that the app itself brings, as Yarn's own "set version" does.
yarn_release() {
  local release
  [[ $manager == yarn && -f .yarnrc.yml ]] || return 0
  release=$(sed -nE 's/^yarnPath: *"?([^"]+)"?.*/\1/p' .yarnrc.yml)
  if [[ -n $release && -f $release ]]; then printf '%s' "$release"; fi
}

# The script that starts it names its place at run time: for the build it is made in another folder.
use_release() {
  local folder
  folder=$(mktemp -d)
  printf '#!/bin/sh\nexec node "%s/%s" "$@"\n' "$BUILD_DIR" "$1" >"$folder/yarn"
  chmod +x "$folder/yarn"
  export PATH="$folder:$PATH"
  manager_version=$(yarn --version 2>&1) || abort "Yarn could not be started: $manager_version"
}

# Settings of the managers for a build, over those of the app.
manager_environment() {
  export COREPACK_ENABLE_STRICT=0
  # Yarn 2 and later: real folders, which every program understands; no reports; the archives in the cache.
  export YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_GLOBAL_CACHE=true
  export YARN_GLOBAL_FOLDER="$CACHE_DIR/yarn-berry" YARN_CACHE_FOLDER="$CACHE_DIR/yarn-${manager_version%%.*}"
  # The version has been chosen; scripts are run on what has been installed.
  export npm_config_manage_package_manager_versions=false npm_config_verify_deps_before_run=false
  export npm_config_store_dir="$CACHE_DIR/pnpm-store" npm_config_package_import_method=copy
}

# Whether the lock file of the chosen manager is there.
has_lock() {
  case $manager in
    npm) [[ -f package-lock.json || -f npm-shrinkwrap.json ]] ;;
    yarn) [[ -f yarn.lock ]] ;;
    pnpm) [[ -f pnpm-lock.yaml ]] ;;
  esac
}

# Sets `install`: the command that installs what the lock file says, or the ranges where there is none.
install_command() {
  case $manager in
    npm)
      local mode=--include=dev
      if omit_dev; then mode=--omit=dev; fi
      install=(npm install "$mode" --no-package-lock --loglevel=error)
      if has_lock; then install=(npm ci "$mode" --loglevel=error); fi
      ;;
    yarn)
      if [[ $berry == true ]]; then
        install=(yarn install)
        if has_lock; then install+=(--immutable); else install+=(--no-immutable); fi
      else
        install=(yarn install --non-interactive --ignore-engines --no-progress --production=false)
        if omit_dev; then install[-1]=--production=true; fi
        if has_lock; then install+=(--frozen-lockfile); else install+=(--no-lockfile); fi
      fi
      ;;
    pnpm)
      install=(pnpm install --reporter=append-only --prod=false)
      if omit_dev; then install[-1]=--prod; fi
      if has_lock; then install+=(--frozen-lockfile); else install+=(--no-frozen-lockfile); fi
      ;;
  esac
}

# Sets `prune`: the command that removes devDependencies.
prune_command() {
  case $manager in
    npm) prune=(npm prune --omit=dev --loglevel=error) ;;
    pnpm) prune=(pnpm prune --prod --ignore-scripts) ;;
    yarn)
      if [[ $berry == true ]]; then
        prune=(yarn workspaces focus --all --production)
      else
        prune=(yarn install --production --non-interactive --ignore-engines --ignore-scripts --prefer-offline --no-progress)
        if has_lock; then prune+=(--frozen-lockfile); else prune+=(--no-lockfile); fi
      fi
      ;;
  esac
}
