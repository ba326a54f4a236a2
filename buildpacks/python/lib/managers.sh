# Poetry and uv: installed from the package index into the cache, once per app,
# and used for what only they can do: installing exactly what their lock says.

# Whether pyproject.toml has a setting: pyproject EXPRESSION, over `document`.
pyproject() {
  /usr/bin/python3 -I -S "$PACK_DIR/lib/pyproject.py" pyproject.toml "$1"
}

# Puts a tool on hand: provide_tool NAME REQUIREMENT. It stays as it is until
# the requirement changes or the build cache is purged.
provide_tool() {
  local name=$1 requirement=$2 dir="$CACHE_DIR/python-tools/$1" log begin=$EPOCHREALTIME took
  tool="$dir/bin/$name"
  if [[ ! -x $tool || ! -f $dir/requirement || $(<"$dir/requirement") != "$requirement" ]]; then
    log=$(mktemp)
    rm -rf "$dir"
    /usr/bin/python3 -m venv --without-pip "$dir"
    if ! /usr/bin/python3 -m pip --python "$dir/bin/python" install -q --progress-bar off "$requirement" >"$log" 2>&1; then
      rm -rf "$dir"
      abort "The tool $requirement could not be installed:" "$(tail -n 3 "$log")"
    fi
    printf '%s' "$requirement" >"$dir/requirement"
    took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
    heading "Installed $name in $((took / 1000000)).$((took / 100000 % 10)) s"
  fi
}

find_uv() {
  manager=uv key_files=(uv.lock)
  [[ -f pyproject.toml ]] || abort 'There is a uv.lock but no pyproject.toml.'
  key_files+=(pyproject.toml)
  # An app that is no package itself is "virtual" in its lock.
  if grep '^source = ' uv.lock | grep -qv '{ virtual'; then requirements=(uv.lock); fi
  # The app itself, members of a workspace, folders and files of the app.
  if grep -qE '^source = \{ (editable|directory|path) = ' uv.lock; then own_packages=true; fi
}

run_uv() {
  provide_tool uv "uv$(pyproject uv-version)"
  UV_PROJECT_ENVIRONMENT="$PYTHON_HOME" UV_CACHE_DIR="$CACHE_DIR/uv" UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 \
    UV_LINK_MODE=copy UV_PYTHON="$PYTHON_HOME/bin/python3" UV_NO_MANAGED_PYTHON=1 \
    indented "$tool" sync --no-default-groups --no-editable --inexact "$@" ||
    abort 'uv could not install the dependencies; its message is above.' \
      'If uv.lock does not fit pyproject.toml, run "uv lock" and commit the result.'
}

find_poetry() {
  manager=poetry key_files=(poetry.lock)
  [[ -f pyproject.toml ]] || abort 'There is a poetry.lock but no pyproject.toml.'
  key_files+=(pyproject.toml)
  if grep -q '^\[\[package\]\]' poetry.lock; then requirements=(poetry.lock); fi
  if grep -qE '^type = "(directory|file)"' poetry.lock; then local_source=true; fi
  if [[ $(pyproject poetry-package) == true ]]; then own_packages=true; fi
}

run_poetry() {
  provide_tool poetry "poetry$(pyproject poetry-version)"
  VIRTUAL_ENV="$PYTHON_HOME" PATH="$PYTHON_HOME/bin:$PATH" POETRY_CACHE_DIR="$CACHE_DIR/poetry" \
    POETRY_VIRTUALENVS_CREATE=false POETRY_NO_INTERACTION=1 PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring \
    indented "$tool" "$@" --no-ansi ||
    abort 'Poetry could not install the dependencies; its message is above.' \
      'If poetry.lock does not fit pyproject.toml, run "poetry lock" and commit the result.'
}

# Installs what the lock names, but for the app's own code.
install_from_lock() {
  case $manager in
    uv)
      heading 'Installing dependencies with uv sync'
      run_uv --locked --no-install-local
      ;;
    poetry)
      heading 'Installing dependencies with poetry sync'
      run_poetry sync --only main --no-root
      ;;
  esac
}

# Installs the app's own code, where it is a package: after the cache, since it changes with every push.
install_own_packages() {
  [[ $own_packages == true ]] || return 0
  heading "Installing the app's own packages with $manager"
  case $manager in
    uv) run_uv --frozen --quiet ;;
    poetry) run_poetry install --only-root --quiet ;;
  esac
}
