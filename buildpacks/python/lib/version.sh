# Which Python: sets `requested`, `origin`, `python_version`, and `standalone`
# (the archive's file name, or empty for the stack's own interpreter).

# Public releases of python-build-standalone. A mirror must offer
#   BASE/latest/download/SHA256SUMS        lines "<sha256>  <file>"
#   BASE/download/<tag>/<file>
# with files named cpython-<version>+<tag>-<target>-install_only.tar.gz. What
# the latest release lists is what can be had.
readonly DEFAULT_PYTHON_SOURCE=https://github.com/astral-sh/python-build-standalone/releases

# First line of a file that is neither empty nor a comment, without blanks.
first_entry() {
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%%#*}
    line=${line//[[:space:]]/}
    if [[ -n $line ]]; then
      printf '%s' "$line"
      return 0
    fi
  done <"$1"
}

read_requested_version() {
  requested="" origin=""
  if [[ -f .python-version ]]; then
    requested=$(first_entry .python-version) origin=.python-version
  elif [[ -f runtime.txt ]]; then
    requested=$(first_entry runtime.txt) origin=runtime.txt
  elif [[ -f Pipfile.lock && ! -f requirements.txt ]]; then
    requested=$(sed -nE 's/^ *"python_(full_)?version": "(3[0-9.]*)".*/\2/p' Pipfile.lock | sort -V | tail -n 1) origin=Pipfile.lock
  fi
  requested=${requested#python-}
  [[ -n $requested ]] || return 0
  [[ $requested =~ ^3(\.[0-9]+){0,2}$ ]] || abort "$origin asks for \"$requested\", which is not a Python version." \
    'Write a line such as 3.11 or 3.11.9 (in runtime.txt: python-3.11.9).'
}

choose_python() {
  local stack_version
  stack_version=$(/usr/bin/python3 -V)
  stack_version=${stack_version#Python }
  read_requested_version
  standalone=""
  python_version=$stack_version
  if [[ -z $requested ]]; then
    heading "Using Python $stack_version, the default of the $STACK stack"
  elif [[ "$stack_version." == "$requested."* ]]; then
    heading "Using Python $stack_version, as asked for in $origin ($requested)"
  elif [[ $requested == *.*.* && ${requested%.*} == "${stack_version%.*}" ]]; then
    heading "Using Python $stack_version for $requested, as asked for in $origin"
    info "The $STACK stack provides this patch release of ${stack_version%.*} and keeps it secure."
  else
    find_standalone "$stack_version"
    heading "Using Python $python_version, as asked for in $origin ($requested)"
  fi
}

# Where pip and the app find their interpreter.
python_command() {
  if [[ -d $BUILD_DIR/.heroku/python ]]; then echo "$PYTHON_HOME/bin/python"; else echo /usr/bin/python3; fi
}

python_source() { printf '%s' "${WINDLASS_PYTHON_SOURCE:-$DEFAULT_PYTHON_SOURCE}"; }

# download URL FILE: short patience for connecting, none for a stalled transfer.
download() {
  curl -fsSL --connect-timeout 5 --retry 1 --speed-time 20 --speed-limit 1000 --max-time 600 -o "$2" "$1"
}

# Looks the requested version up in the latest release, and fetches its archive
# into the cache unless it is there.
find_standalone() {
  local stack_version=$1 dir="$CACHE_DIR/python-standalone" target="$HOSTTYPE-unknown-linux-gnu" index sum file best
  index="$dir/SHA256SUMS"
  mkdir -p "$dir"
  # A version that the cache holds whole needs no network.
  local held=("$dir/cpython-$requested"[.+]*"-$target-install_only.tar.gz")
  if ((${#held[@]} > 0)) && [[ $requested == *.*.* ]]; then
    use_archive "${held[0]##*/}"
    return 0
  fi
  if ! download "$(python_source)/latest/download/SHA256SUMS" "$index.new" 2>"$dir/error"; then
    abort "Python $requested, as asked for in $origin, could not be had." \
      "Looked in: $(python_source) ($(tail -n 1 "$dir/error"))" \
      "Without it this stack offers: Python $stack_version." \
      "Write \"${stack_version%.*}\" into $origin, or set WINDLASS_PYTHON_SOURCE to a mirror that can be reached."
  fi
  mv "$index.new" "$index"
  best=$(sed -n "s/^[0-9a-f]* [ *]\(cpython-[0-9.]*+[0-9]*-$target-install_only\.tar\.gz\)$/\1/p" "$index" |
    grep -E "^cpython-${requested//./\\.}[.+]" | sort -V | tail -n 1) || true
  if [[ -z $best ]]; then
    abort "There is no Python $requested, as asked for in $origin." \
      "Looked in: $(python_source)" \
      "Available there: $(sed -n "s/.*[ *]cpython-\([0-9.]*\)+[0-9]*-$target-install_only\.tar\.gz$/\1/p" "$index" | sort -V | paste -sd ' ')" \
      "Available from the $STACK stack: $stack_version"
  fi
  if [[ ! -f $dir/$best ]]; then
    file="${best#*+}"
    heading "Downloading Python ${best%%+*}"
    download "$(python_source)/download/${file%%-*}/$best" "$dir/part" 2>"$dir/error" ||
      abort "Python $requested could not be downloaded: $(tail -n 1 "$dir/error")"
    sum=$(grep -F "$best" "$index" | head -n 1 | cut -d ' ' -f 1)
    printf '%s  %s\n' "$sum" "$dir/part" | sha256sum --check --status ||
      abort "The download of $best is damaged: its SHA-256 is not $sum. Push again to retry."
    # Only one interpreter is kept per app.
    rm -f "$dir"/cpython-*
    mv "$dir/part" "$dir/$best"
  fi
  use_archive "$best"
}

use_archive() {
  standalone=$1
  python_version=${standalone#cpython-}
  python_version=${python_version%%+*}
}
