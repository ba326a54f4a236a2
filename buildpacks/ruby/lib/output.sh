# Output in the form that Heroku's buildpacks use, and config vars for the build.

heading() { printf -- '-----> %s\n' "$1"; }
info() { printf '       %s\n' "$1"; }
warn() { printf ' !     %s\n' "$@"; }

# abort LINE...: prints why the build cannot go on, and ends it.
abort() {
  printf '\n'
  warn "$@"
  exit 1
}

# Runs a command; its output is indented, its exit status kept.
indented() {
  local line status
  "$@" 2>&1 | while IFS= read -r line || [[ -n $line ]]; do printf '%s\n' "${line:+       $line}"; done
  status=${PIPESTATUS[0]}
  return "$status"
}

# Exports the config vars in ENV_DIR, but for those that would break the build.
export_env_dir() {
  local dir=$1 file name
  for file in "$dir"/*; do
    [[ -f $file ]] || continue
    name=${file##*/}
    case $name in
      PATH | GIT_DIR | CPATH | CPPATH | LD_PRELOAD | LD_LIBRARY_PATH | LIBRARY_PATH | PYTHONHOME | PYTHONPATH | \
        HOME | PWD | SHLVL | IFS | BASH_ENV | ENV | BUILD_DIR | CACHE_DIR | ENV_DIR | STACK | PORT) continue ;;
    esac
    if [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then export "$name=$(<"$file")"; fi
  done
}

# Links a directory to the place where it will be at run time, so that absolute
# paths written during the build stay right. link_into_app NAME: /app/.heroku/NAME -> BUILD_DIR/.heroku/NAME
link_into_app() {
  mkdir -p "$BUILD_DIR/.heroku"
  [[ $BUILD_DIR -ef /app ]] && return 0
  mkdir -p /app/.heroku
  ln -sfn "$BUILD_DIR/.heroku/$1" "/app/.heroku/$1"
}
