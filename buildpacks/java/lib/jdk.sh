# Which JDK, and where from.
#
# WINDLASS_JAVA_SOURCE chooses one of these; by default they are tried in order
# until one has the version:
#   debian    the stack's own packages
#   adoptium  Eclipse Temurin, every version that is alive (WINDLASS_JAVA_MIRROR:
#             another address with the same interface)

readonly JAVA_SOURCES="${WINDLASS_JAVA_SOURCE:-debian adoptium}"
readonly JAVA_MIRROR="${WINDLASS_JAVA_MIRROR:-https://api.adoptium.net/v3}"
# Where the JDK's packages are while the app runs; JAVA_HOME is below it.
readonly JDK_HOME=/app/.heroku/jdk
# What packages need for their scripts, which are not run here, or are for a Java of their own.
readonly NOT_WANTED='ca-certificates-java java-common default-jre-headless libasound2 libasound2-data util-linux'

# Sets java_requested ("17" or "17.0.9") and java_major from system.properties.
read_requested_version() {
  local line
  java_requested="" java_major=""
  [[ -f system.properties ]] || return 0
  line=$(sed -nE 's/^[[:space:]]*java\.runtime\.version[[:space:]]*[=:][[:space:]]*([^[:space:]]+).*/\1/p' system.properties | tail -n 1)
  [[ -n $line ]] || return 0
  java_requested=${line#openjdk-} java_requested=${java_requested#zulu-} java_requested=${java_requested#heroku-}
  java_requested=${java_requested#1.}
  [[ $java_requested =~ ^[0-9]+(\.[0-9]+)*(_[0-9]+)?$ ]] ||
    abort "system.properties asks for Java \"$line\"; write java.runtime.version=17, or another number."
  java_major=${java_requested%%.*} java_major=${java_major%%_*}
}

# Sets java_version, java_source and java_home (at run time); installs into .heroku/jdk.
install_jdk() {
  local source
  reasons=()
  read_requested_version
  for source in $JAVA_SOURCES; do
    case $source in
      debian | adoptium) ;;
      *) abort "WINDLASS_JAVA_SOURCE names $source; known are debian and adoptium." ;;
    esac
    if "provide_from_$source"; then
      java_source=$source
      say_which_jdk
      return 0
    fi
  done
  abort "Java ${java_requested:-(any version)} could not be had:" "${reasons[@]}" \
    'WINDLASS_JAVA_SOURCE and WINDLASS_JAVA_MIRROR name other places to look in.'
}

# Tools of Debian would bring a Java of their own.
use_java_of_app() {
  local version=17
  if debian_version default-jre-headless; then version=${version#*.}; fi
  assumed="$NOT_WANTED default-jre java-wrappers openjdk-$version-jre openjdk-$version-jre-headless"
}

say_which_jdk() {
  if [[ -z $java_requested ]]; then
    heading "Using OpenJDK $java_version ($java_source), the default; system.properties can ask for another"
  else
    heading "Using OpenJDK $java_version ($java_source), as asked for in system.properties ($java_requested)"
    if [[ $java_version != "$java_requested"* ]]; then info 'It is the newest of that line, which is kept secure.'; fi
  fi
}

provide_from_debian() {
  local major=$java_major version
  assumed=$NOT_WANTED
  if [[ -z $major ]] && debian_version default-jdk-headless; then major=${version#*.}; fi
  if [[ -z $major ]] || ! debian_version "openjdk-$major-jdk-headless"; then
    reasons+=("debian: it has no package openjdk-${major:-17}-jdk-headless; $(debian_reason)")
    return 1
  fi
  java_major=$major java_version=$version
  provide_packages jdk "openjdk-$major-jdk-headless"
  copy_tree jdk
  local homes=("$tree"/usr/lib/jvm/java-"$major"-openjdk-*/)
  java_home="$JDK_HOME/usr/lib/jvm/$(basename "${homes[0]}")"
}

# What is not needed in an app, and what a script of a package would have made.
prepare_jdk() {
  local home
  for home in "$1"/usr/lib/jvm/java-*-openjdk-*/; do
    rm -rf "${home:?}"/{jmods,docs,man,src.zip,lib/src.zip}
    write_truststore "$home/lib/security/cacerts"
  done
}

write_truststore() {
  rm -f "$1"
  /usr/bin/python3 -I -S "$PACK_DIR/lib/truststore.py" /etc/ssl/certs/ca-certificates.crt "$1"
}

download() { curl -fsSL --connect-timeout 3 --retry 1 --speed-time 20 --speed-limit 1000 --max-time 600 "$@"; }

# The newest release of a line is looked up again after a day.
provide_from_adoptium() {
  local major=${java_major:-21} directory="$CACHE_DIR/adoptium" platform=x64 answer lines
  if [[ $HOSTTYPE == aarch64 ]]; then platform=aarch64; fi
  mkdir -p "$directory"
  if ! fresh "$directory/looked-up" || [[ ! -x $directory/$major/bin/java ]]; then
    answer="$JAVA_MIRROR/assets/latest/$major/hotspot?architecture=$platform&image_type=jdk&os=linux&vendor=eclipse"
    if ! download "$answer" 2>"$directory/error" | /usr/bin/python3 -I -S "$PACK_DIR/lib/adoptium.py" >"$directory/new" 2>>"$directory/error"; then
      if [[ ! -x $directory/$major/bin/java ]]; then
        reasons+=("adoptium: $(head -n 1 "$directory/error")")
        return 1
      fi
      warn 'Adoptium could not be asked for a newer release; that of the cache is used.'
    elif ! cmp -s "$directory/new" "$directory/known" || [[ ! -x $directory/$major/bin/java ]]; then
      mapfile -t lines <"$directory/new"
      unpack_adoptium "$directory" "$major" "${lines[@]}" || return 1
      mv "$directory/new" "$directory/known"
    fi
    touch "$directory/looked-up"
  fi
  mapfile -t lines <"$directory/known"
  java_major=$major java_version=${lines[2]} java_home=$JDK_HOME
  tree="$directory/$major" copy_tree jdk
}

# unpack_adoptium DIRECTORY MAJOR ADDRESS SHA256 VERSION
unpack_adoptium() {
  heading "Downloading OpenJDK $5 (adoptium)"
  if ! download -o "$1/part" "$3" 2>"$1/error"; then
    reasons+=("adoptium: $(tail -n 1 "$1/error") ($3)")
    return 1
  fi
  printf '%s  %s\n' "$4" "$1/part" | sha256sum --check --status ||
    abort "The download of OpenJDK $5 is damaged: its SHA-256 is not $4. Push again to retry."
  # One JDK is kept per app.
  rm -rf "${1:?}"/[0-9]*
  mkdir -p "$1/new-tree"
  tar -xzf "$1/part" -C "$1/new-tree" --strip-components=1 || abort 'The JDK could not be unpacked. Push again to retry.'
  rm -rf "$1/part" "${1:?}"/new-tree/{jmods,man,lib/src.zip}
  mv "$1/new-tree" "$1/$2"
}

# Prints the statements by which programs find the JDK.
java_environment() {
  printf 'export JAVA_HOME=%s PATH="%s/bin:$PATH"\n' "$java_home" "$java_home"
  if [[ $java_source == debian ]]; then
    printf 'export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$(library_folders "$JDK_HOME")"
  fi
}

point_to_jdk() {
  mkdir -p .profile.d
  { java_environment && cat "$PACK_DIR/lib/profile.sh"; } >.profile.d/java.sh
  eval "$(java_environment)"
  # For the buildpacks that follow, where this one may be written to.
  if [[ -w $PACK_DIR ]]; then java_environment >"$PACK_DIR/export"; fi
  java -version >/dev/null 2>"$CACHE_DIR/java-error" ||
    abort "OpenJDK $java_version does not start on the $STACK stack:" "$(tail -n 3 "$CACHE_DIR/java-error")"
}
