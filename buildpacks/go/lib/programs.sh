# Which packages are built, and the build.

# Sets `packages`: from the config var, go.mod, or all programs of the module.
choose_packages() {
  local found
  if [[ -f vendor/modules.txt ]]; then
    export GOFLAGS="$GOFLAGS -mod=vendor"
    info 'Using the modules in vendor/'
  fi
  if [[ -n ${GO_INSTALL_PACKAGE_SPEC:-} ]]; then
    read -r -a packages <<<"$GO_INSTALL_PACKAGE_SPEC"
    return 0
  elif [[ -n $package_spec ]]; then
    read -r -a packages <<<"$package_spec"
    return 0
  fi
  fetch_modules
  found=$(go list -buildvcs=false -tags heroku -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./... 2>"$CACHE_DIR/go-list.log") ||
    abort 'The packages of the module could not be listed:' "$(<"$CACHE_DIR/go-list.log")"
  mapfile -t packages < <(grep . <<<"$found")
  ((${#packages[@]} > 0)) || abort 'The module has no program: no package is named "main".' \
    'Add one, or name the packages to build in the config var GO_INSTALL_PACKAGE_SPEC.'
}

# By itself, so that a download is told apart from the compilation.
fetch_modules() {
  [[ ! -f vendor/modules.txt ]] || return 0
  grep -qE '^(require|[[:space:]]*[^[:space:]]+/[^[:space:]]+ v[0-9])' go.mod || return 0
  local begin=$EPOCHREALTIME took
  indented go mod download || abort 'The modules could not be downloaded; the message of go is above.' \
    'Run "go mod tidy" and commit go.mod and go.sum, or commit "go mod vendor".'
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Modules present after $((took / 1000000)).$((took / 100000 % 10)) s"
}

build_programs() {
  local begin=$EPOCHREALTIME took package flags=(-trimpath -buildvcs=false -tags heroku) names=()
  if [[ -n ${GO_LINKER_SYMBOL:-} ]]; then
    flags+=(-ldflags "-X $GO_LINKER_SYMBOL=${GO_LINKER_VALUE:-${SOURCE_VERSION:-}}")
  fi
  heading "Building ${packages[*]}"
  mkdir -p bin .heroku/go
  # -trimpath also makes the cache serve a folder that has another name each time.
  indented go install "${flags[@]}" "${packages[@]}" ||
    abort 'go could not build the app; its message is above.'
  # Patterns such as ./cmd/... are only known to go.
  while IFS= read -r package; do
    if [[ -n $package ]]; then names+=("${package##*/}"); fi
  done < <(go list -buildvcs=false -tags heroku -f '{{if eq .Name "main"}}{{.Target}}{{end}}' "${packages[@]}")
  printf '%s\n' "$module_name" "${names[@]}" >.heroku/go/programs
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Built in $((took / 1000000)).$((took / 100000 % 10)) s: ${names[*]/#/bin/}"
}
