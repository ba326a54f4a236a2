# Installs what the app depends on into $PYTHON_HOME. The whole environment is
# kept in the cache under a key of everything that determines it, so an
# unchanged set of dependencies costs one copy.

# Sets `manager` (pip, poetry or uv), `requirements` (the files to hand to pip;
# empty where there is nothing to install), `unhashed` (those that pip must be
# given by themselves), `key_files` (those that determine the result),
# `local_source` (true where the app's own code is installed with the rest, so
# that a cached environment could be out of date) and `own_packages` (true where
# it is installed afterwards).
find_requirements() {
  manager=pip requirements=() unhashed=() key_files=() local_source=false own_packages=false
  warn_about_several
  if [[ -f requirements.txt ]]; then
    follow_requirements requirements.txt
    has_entries "${key_files[@]}" || return 0
    requirements=(-r requirements.txt)
  elif [[ -f Pipfile || -f Pipfile.lock ]]; then
    [[ -f Pipfile.lock ]] || abort 'There is a Pipfile but no Pipfile.lock. Run "pipenv lock" and commit the result.'
    derive_requirements Pipfile.lock
  elif [[ -f poetry.lock ]]; then
    find_poetry
  elif [[ -f uv.lock ]]; then
    find_uv
  elif [[ -f pyproject.toml ]]; then
    derive_requirements pyproject.toml
  elif [[ -f setup.py ]]; then
    requirements=(.) key_files=(setup.py) local_source=true
  fi
}

# The first of these that exists is used; say so where there are others.
warn_about_several() {
  local file found=()
  for file in requirements.txt Pipfile.lock poetry.lock uv.lock; do
    if [[ -f $file ]]; then found+=("$file"); fi
  done
  ((${#found[@]} < 2)) || warn "There are ${found[*]}; ${found[0]} is used. Remove those that are not meant."
}

# Collects a requirements file and the files it includes.
follow_requirements() {
  local file=$1 line seen
  for seen in "${key_files[@]}"; do [[ $seen == "$file" ]] && return 0; done
  [[ -f $file ]] || abort "$file is included by a requirements file but does not exist."
  key_files+=("$file")
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%$'\r'}
    line=${line#"${line%%[![:space:]]*}"}
    if [[ $line =~ ^(-r|--requirement|-c|--constraint)[[:space:]=]*([^[:space:]#]+) ]]; then
      [[ ${BASH_REMATCH[2]} == *://* ]] && continue
      if [[ $file == */* ]]; then
        follow_requirements "${file%/*}/${BASH_REMATCH[2]}"
      else
        follow_requirements "${BASH_REMATCH[2]}"
      fi
    elif [[ $line =~ ^(-e|--editable)[[:space:]=] || $line == [./]* || $line == *file:* ]]; then
      local_source=true
    fi
  done <"$file"
}

# Whether any of the requirements files names something to install.
has_entries() {
  local file line
  for file in "$@"; do
    while IFS= read -r line || [[ -n $line ]]; do
      line=${line#"${line%%[![:space:]]*}"}
      [[ $line =~ ^([A-Za-z0-9./]|-e|--editable) ]] && return 0
    done <"$file"
  done
  return 1
}

# Turns a Pipfile.lock or pyproject.toml into a requirements file outside the app.
derive_requirements() {
  local list
  list=$(mktemp)
  /usr/bin/python3 -I -S "$PACK_DIR/lib/requirements.py" "$1" "$list.unhashed" >"$list" 2>"$list.err" || abort "$(<"$list.err")"
  [[ ! -s $list.err ]] || warn "$(<"$list.err")"
  [[ -s $list || -s $list.unhashed ]] || return 0
  requirements=(-r "$list") key_files=("$list")
  if [[ -s $list.unhashed ]]; then unhashed=(-r "$list.unhashed") key_files+=("$list.unhashed"); fi
  if grep -qE '^(-e )?\.' "$list.unhashed"; then local_source=true; fi
}

# Whether the app asks for a package: uses_package NAME
uses_package() {
  local file files=("${key_files[@]}" requirements.txt pyproject.toml Pipfile)
  for file in "${files[@]}"; do
    [[ -f $file ]] && grep -qiE "(^|[\"'[:space:]])$1([^a-z0-9_-]|$)" "$file" && return 0
  done
  return 1
}

environment_key() {
  local sum
  sum=$({
    printf '%s\n' "$STACK" "$python_version" "$standalone" "$HOSTTYPE" "${PIP_EXTRA_INDEX_URL:-}" "${PIP_INDEX_URL:-}" \
      "$manager" "${UV_DEFAULT_INDEX:-}" "${UV_INDEX:-}"
    cat -- "${key_files[@]}" /dev/null
  } | sha256sum)
  printf '%s' "${sum%% *}"
}

install_dependencies() {
  local key cache="$CACHE_DIR/python"
  find_requirements
  rm -rf "$BUILD_DIR/.heroku/python"
  if ((${#requirements[@]} == 0)) && [[ -z $standalone && $own_packages == false ]]; then
    info 'No dependencies to install'
    return 0
  fi
  link_into_app python
  key=$(environment_key)
  if [[ $local_source == false && -f $cache/key && $(<"$cache/key") == "$key" && -d $cache/environment ]]; then
    cp -a --reflink=auto "$cache/environment" "$BUILD_DIR/.heroku/python"
    info 'Using cached dependencies (unchanged)'
  else
    build_environment "$cache" "$key"
  fi
  install_own_packages
  if [[ $local_source == true || $own_packages == true ]]; then correct_paths; fi
}

build_environment() {
  local cache=$1 key=$2 begin=$EPOCHREALTIME took
  create_environment
  if ((${#requirements[@]} > 0)); then
    if [[ $manager == pip ]]; then run_pip; else install_from_lock; fi
  fi
  compile_packages
  if [[ $local_source == true ]]; then rm -rf "$cache"; else save_environment "$cache" "$key"; fi
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Dependencies installed in $((took / 1000000)).$((took / 100000 % 10)) s"
}

# Editable installs name the place of this build; the app will be in /app.
correct_paths() {
  grep -rlIF --include='*.pth' --include='*.egg-link' --include='__editable__*' --include=direct_url.json \
    -- "$BUILD_DIR" "$BUILD_DIR/.heroku/python" 2>/dev/null | xargs -r sed -i "s#$BUILD_DIR#/app#g" || true
}

# The key is written last, so that an interrupted copy is never used.
save_environment() {
  rm -rf "$1"
  mkdir -p "$1"
  cp -a --reflink=auto "$BUILD_DIR/.heroku/python" "$1/environment"
  printf '%s' "$2" >"$1/key"
}

create_environment() {
  mkdir -p "$BUILD_DIR/.heroku/python"
  if [[ -n $standalone ]]; then
    tar -xzf "$CACHE_DIR/python-standalone/$standalone" -C "$BUILD_DIR/.heroku/python" --strip-components=1
  else
    # venv does not write through a link; what names its place is changed after.
    /usr/bin/python3 -m venv --without-pip "$BUILD_DIR/.heroku/python"
    sed -i "s#$BUILD_DIR/.heroku/python#$PYTHON_HOME#g" .heroku/python/pyvenv.cfg .heroku/python/bin/[Aa]ctivate*
  fi
}

run_pip() {
  local pip=(/usr/bin/python3 -m pip --python "$PYTHON_HOME/bin/python")
  [[ -z $standalone ]] || pip=("$PYTHON_HOME/bin/python3" -m pip)
  heading 'Installing dependencies with pip'
  local install=(install --no-compile --no-warn-script-location --progress-bar off)
  indented "${pip[@]}" "${install[@]}" "${requirements[@]}" &&
    { ((${#unhashed[@]} == 0)) || indented "${pip[@]}" "${install[@]}" --no-deps "${unhashed[@]}"; } ||
    abort 'pip could not install the dependencies; its message is above.' \
      'Check the names and versions, and that each supports Python '"$python_version."
}

# Compiled here, or every start would do it again. By hash and unchecked, since
# an image's file times need not be the build's. Packages may hold files that
# are no valid Python (templates): not a reason to fail.
compile_packages() {
  "$PYTHON_HOME/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$PYTHON_HOME/lib" >/dev/null 2>&1 || true
}
