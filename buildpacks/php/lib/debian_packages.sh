# Debian packages without privileges: chosen by apt, unpacked into the cache,
# nothing installed and no maintainer script run. Every buildpack that needs it
# has a copy of this file, of run_packages and of run_status.py.

# What apt chose is looked up again after this time, to get security fixes.
readonly RENEW_SECONDS=86400
readonly DEBIAN_CACHE="$CACHE_DIR/debian"

fresh() { [[ -f $1 ]] && (($(stat -c %Y "$1") > EPOCHSECONDS - RENEW_SECONDS)); }

# What apt said, in one line.
debian_reason() { grep -m 1 '^E: ' "$DEBIAN_CACHE/error" || tail -n 1 "$DEBIAN_CACHE/error"; }

multiarch() { printf '%s-linux-gnu' "$HOSTTYPE"; }

seconds_since() {
  local took=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
  printf '%d.%d s' $((took / 1000000)) $((took / 100000 % 10))
}

# Sets `options`: apt in directories of our own. `repository`, if set, is a line for
# sources.list that is used besides those of the stack; `assumed` are packages that
# are not wanted, whatever depends on them.
debian_options() {
  local directory=$DEBIAN_CACHE name
  mkdir -p "$directory"/{cache/archives/partial,state/lists/partial}
  # What the stack of the running app lacks has to be part of the app, even if the build's stack has it.
  {
    /usr/bin/python3 -I -S "$PACK_DIR/lib/run_status.py" "$PACK_DIR/lib/run_packages" </var/lib/dpkg/status
    for name in ${assumed:-}; do
      printf '\nPackage: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: allowed\nVersion: 99:1\n' "$name"
    done
  } >"$directory/status"
  options=(-o "Dir::Cache=$directory/cache" -o "Dir::State=$directory/state" -o "Dir::State::status=$directory/status"
    -o Debug::NoLocking=true -o APT::Sandbox::User=root -o APT::Install-Recommends=false
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
    -o Dpkg::Use-Pty=false -o Dir::Log=/dev/null -qq)
  if [[ -n ${repository:-} ]]; then
    # The stack's own sources stay: parts are read from a copy beside ours.
    rm -rf "${directory:?}/sources"
    mkdir -p "$directory/sources"
    cp /etc/apt/sources.list.d/*.{list,sources} "$directory/sources/" 2>/dev/null || true
    if [[ -f /etc/apt/sources.list ]]; then cp /etc/apt/sources.list "$directory/sources/stack.list"; fi
    printf '%s\n' "$repository" >"$directory/sources/more.list"
    options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$directory/sources")
  fi
}

# Makes apt's lists ready, unless those there are young and for the same sources.
# Fails, with apt's words in $DEBIAN_CACHE/error, where they cannot be had.
renew_lists() {
  local mark="$DEBIAN_CACHE/lists-for" sources="$STACK ${repository:-}"
  debian_options
  if fresh "$mark" && [[ $(<"$mark") == "$sources" ]]; then return 0; fi
  rm -f "$mark"
  apt-get "${options[@]}" -o APT::Update::Error-Mode=any update >"$DEBIAN_CACHE/error" 2>&1 || return 1
  printf '%s' "$sources" >"$mark"
}

# Sets `version` to that of a package that apt would choose, without epoch and revision. It is
# asked for once a day; what was known before serves where apt cannot be asked. Fails, with the
# reason in $DEBIAN_CACHE/error, where nothing is known.
debian_version() {
  local known="$DEBIAN_CACHE/version-of-$1" line
  version=""
  mkdir -p "$DEBIAN_CACHE"
  if ! fresh "$known" && renew_lists; then
    while IFS= read -r line; do
      if [[ $line == 'Version: '* ]]; then
        line=${line#Version: } line=${line#*:}
        printf '%s' "${line%%[-+~]*}" >"$known"
        break
      fi
    done < <(apt-cache "${options[@]}" --no-all-versions show "$1" 2>/dev/null)
  fi
  if [[ -f $known ]]; then version=$(<"$known"); fi
  [[ -n $version ]] && return 0
  [[ -s $DEBIAN_CACHE/error ]] || echo "there is no package $1" >"$DEBIAN_CACHE/error"
  return 1
}

# provide_packages NAME PACKAGE...: sets `tree` to a folder of the cache with these packages and
# all they need that the stack of a running app lacks, after the function prepare_NAME has had
# it, if there is one. Ends the build where it cannot.
provide_packages() {
  local name=$1 directory="$DEBIAN_CACHE/$1" key held=false files
  shift
  tree="$directory/tree"
  key="$STACK $HOSTTYPE $* ${repository:-} ${assumed:-} $(cat "$PACK_DIR"/lib/* "$PACK_DIR"/lib/*/* 2>/dev/null | sha256sum || true)"
  if [[ -f $directory/key && $(<"$directory/key") == "$key" ]]; then held=true; fi
  if $held && fresh "$directory/key"; then
    info "Using cached packages of Debian (unchanged)"
    return 0
  fi
  if ! renew_lists || ! choose_packages "$@"; then
    $held || abort "The packages $* could not be had from Debian:" "$(debian_reason)"
    warn "Debian could not be asked for newer packages; those of the cache are used."
    return 0
  fi
  if $held && [[ $(<"$directory/files") == "$files" ]]; then
    touch "$directory/key"
    info "Using cached packages of Debian (still the newest)"
    return 0
  fi
  unpack_packages "$@"
  if declare -F "prepare_$name" >/dev/null; then "prepare_$name" "$tree"; fi
  printf '%s' "$files" >"$directory/files"
  printf '%s' "$key" >"$directory/key"
}

# Sets `files`: the names and sizes of the archives that are needed.
choose_packages() {
  files=$(apt-get "${options[@]}" --assume-yes --print-uris --reinstall install "$@" 2>"$DEBIAN_CACHE/error" |
    sed -n "s/^'[^']*' \([^ ]*\) \([0-9]*\) .*/\1 \2/p") && [[ -n $files ]]
}

unpack_packages() {
  local archive size total=0 begin=$EPOCHREALTIME
  while read -r archive size; do total=$((total + size)); done <<<"$files"
  heading "Downloading ${*:1:3}${4:+ and others} from Debian ($((total / 1000000)) MB)"
  rm -rf "${directory:?}"
  mkdir -p "$tree"
  indented apt-get "${options[@]}" --assume-yes --download-only --reinstall install "$@" ||
    abort 'apt could not download the packages; its message is above.'
  while read -r archive _; do
    archive="$DEBIAN_CACHE/cache/archives/$archive"
    dpkg-deb --extract "$archive" "$tree" || abort "${archive##*/} could not be unpacked. Push again to retry."
    # What is unpacked is kept, not what it came from.
    rm -f "$archive"
  done <<<"$files"
  rm -rf "$tree"/usr/share/{doc,man,lintian,info,locale,bug,doc-base}
  correct_links
  info "Downloaded and unpacked in $(seconds_since "$begin")"
}

# Absolute links would lead out of the tree.
correct_links() {
  local file target
  while IFS= read -r -d '' file; do
    target=$(readlink "$file")
    if [[ -e $tree$target || -L $tree$target ]]; then ln -sfnr "$tree$target" "$file"; fi
  done < <(find "$tree" -type l -lname '/*' -print0)
}

# Puts the tree into the app: copy_tree NAME, to BUILD_DIR/.heroku/NAME, which is
# /app/.heroku/NAME. Files are shared with the cache where that is possible, so that
# nothing may write into them afterwards.
copy_tree() {
  local target="$BUILD_DIR/.heroku/$1"
  link_into_app "$1"
  rm -rf "$target"
  cp -al "$tree" "$target" 2>/dev/null && return 0
  rm -rf "$target"
  cp -a --reflink=auto "$tree" "$target"
}

# The libraries below a root, as LD_LIBRARY_PATH has them.
library_folders() { printf '%s/usr/lib/%s:%s/lib/%s:%s/usr/lib' "$1" "$(multiarch)" "$1" "$(multiarch)" "$1"; }
