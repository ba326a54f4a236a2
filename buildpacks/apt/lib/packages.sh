# Downloads packages with apt in directories of our own, so that it needs no
# privileges and leaves the build's system alone.

# Lists and the choice of packages are renewed after this time, to get security fixes.
readonly RENEW_SECONDS=86400
readonly APT_CACHE="$CACHE_DIR/apt"

# Sets `packages` (names), `addresses` (of .deb files) and `repositories`.
read_aptfile() {
  local line
  packages=() addresses=() repositories=()
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%%#*}
    line=${line%$'\r'}
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    case $line in
      '') ;;
      :repo:*) repositories+=("${line#:repo:}") ;;
      http://*.deb | https://*.deb) addresses+=("$line") ;;
      *)
        local names name
        read -r -a names <<<"$line"
        for name in "${names[@]}"; do
          [[ $name =~ ^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+|/[a-z0-9.-]+)?$ ]] ||
            abort "The Aptfile has \"$name\", which is not the name of a package." \
              'Write one a line: a name, the address of a .deb file, or ":repo:deb URL SUITE COMPONENT".'
          packages+=("$name")
        done
        ;;
    esac
  done <Aptfile
}

apt_options() {
  local directory="$APT_CACHE"
  options=(-o "Dir::Cache=$directory/cache" -o "Dir::State=$directory/state" -o "Dir::State::status=$directory/status"
    -o Debug::NoLocking=true -o APT::Sandbox::User=root -o APT::Install-Recommends=false
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
    -o Dpkg::Use-Pty=false -o Dir::Log=/dev/null -qq)
  if ((${#repositories[@]} > 0)); then
    # The stack's own sources stay: parts are read from a copy beside ours.
    mkdir -p "$directory/sources"
    rm -rf "$directory/sources"/*
    cp /etc/apt/sources.list.d/*.{list,sources} "$directory/sources/" 2>/dev/null || true
    if [[ -f /etc/apt/sources.list ]]; then cp /etc/apt/sources.list "$directory/sources/stack.list"; fi
    printf '%s\n' "${repositories[@]}" >"$directory/sources/app.list"
    options+=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$directory/sources")
  fi
}

# The key of the downloaded set: the Aptfile, the stack and this buildpack's way of choosing.
aptfile_key() {
  local sum
  sum=$({
    printf '%s\n' "$STACK" "$HOSTTYPE" "${packages[@]}" "${addresses[@]}" "${repositories[@]}"
    cat "$PACK_DIR/lib"/{packages.sh,run_packages,run_status.py}
  } | sha256sum)
  printf '%s' "${sum%% *}"
}

fresh() { [[ -f $1 ]] && (($(stat -c %Y "$1") > EPOCHSECONDS - RENEW_SECONDS)); }

# Fills $APT_CACHE/set with the .deb files, and $APT_CACHE/tree with what is in them.
obtain_packages() {
  local key begin=$EPOCHREALTIME took
  key=$(aptfile_key)
  if fresh "$APT_CACHE/key" && [[ $(<"$APT_CACHE/key") == "$key" ]]; then
    heading 'Using cached packages (unchanged)'
    return 0
  fi
  mkdir -p "$APT_CACHE"/{cache/archives/partial,state/lists/partial}
  rm -f "$APT_CACHE/key"
  apt_options
  # What the stack of the running app lacks has to be part of the app, even if the build's stack has it.
  /usr/bin/python3 -I -S "$PACK_DIR/lib/run_status.py" "$PACK_DIR/lib/run_packages" </var/lib/dpkg/status >"$APT_CACHE/status"
  renew_lists "$key"
  rm -rf "$APT_CACHE/set"
  mkdir -p "$APT_CACHE/set"
  if ((${#packages[@]} > 0)); then download_packages; fi
  if ((${#addresses[@]} > 0)); then download_addresses; fi
  unpack_packages
  printf '%s' "$key" >"$APT_CACHE/key"
  took=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
  info "Packages downloaded and unpacked in $((took / 1000000)).$((took / 100000 % 10)) s"
}

# apt's lists, unless those there are young and for the same sources.
renew_lists() {
  local mark="$APT_CACHE/lists-for" sources="${repositories[*]-}"
  if fresh "$mark" && [[ $(<"$mark") == "$STACK $sources" ]]; then return 0; fi
  rm -f "$mark"
  heading "Updating apt's package lists"
  indented apt-get "${options[@]}" -o APT::Update::Error-Mode=any update ||
    abort "apt could not update its package lists; its message is above."
  printf '%s' "$STACK $sources" >"$mark"
}

# apt decides which packages are needed and where they are; those that the cache
# holds are not fetched again.
download_packages() {
  local archive uri file name
  heading "Downloading ${packages[*]}"
  indented apt-get "${options[@]}" --assume-yes --allow-downgrades --download-only --reinstall install "${packages[@]}" ||
    abort 'apt could not get the packages of the Aptfile; its message is above.' \
      'Check their names: they must exist in the release of Debian that the stack is made from.'
  # Only what this Aptfile needs is kept.
  local wanted=()
  while read -r uri file _; do
    if [[ $uri == \'* ]]; then wanted+=("$file"); fi
  done < <(apt-get "${options[@]}" -o "Dir::Cache::archives=$APT_CACHE/none" --assume-yes --allow-downgrades --print-uris --reinstall install "${packages[@]}")
  for name in "${wanted[@]}"; do
    ln "$APT_CACHE/cache/archives/$name" "$APT_CACHE/set/$name" || abort "apt did not download $name."
  done
  for archive in "$APT_CACHE"/cache/archives/*.deb; do
    if [[ ! -e $APT_CACHE/set/${archive##*/} ]]; then rm -f "$archive"; fi
  done
}

download_addresses() {
  local address
  for address in "${addresses[@]}"; do
    heading "Downloading ${address##*/}"
    curl -fsSL --connect-timeout 10 --retry 1 --speed-time 20 --speed-limit 1000 --max-time 600 \
      -o "$APT_CACHE/set/${address##*/}" "$address" 2>"$APT_CACHE/error" ||
      abort "$address could not be downloaded: $(tail -n 1 "$APT_CACHE/error")"
  done
}

# Into the cache: unpacking takes longer than copying what was unpacked.
unpack_packages() {
  local archive
  rm -rf "$APT_CACHE/tree"
  mkdir -p "$APT_CACHE/tree"
  for archive in "$APT_CACHE"/set/*.deb; do
    dpkg-deb --extract "$archive" "$APT_CACHE/tree" || abort "${archive##*/} could not be unpacked. Push again to retry."
  done
}

copy_packages() {
  local archive name names=()
  for archive in "$APT_CACHE"/set/*.deb; do
    name=${archive##*/}
    name=${name%_*}
    names+=("${name/_/ }")
  done
  rm -rf .apt
  cp -a --reflink=auto "$APT_CACHE/tree" .apt
  heading "Packages in .apt: ${#names[@]}"
  printf '       %s\n' "${names[@]//%3a/:}"
}
