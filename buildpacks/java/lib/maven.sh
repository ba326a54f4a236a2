# Maven: the app's wrapper, else Debian's. Its local repository is kept in the cache.
#
# WINDLASS_MAVEN_REPOSITORY chooses where plugins and libraries come from:
#   central  what the pom says, Maven Central by default
#   debian   the Maven repository that Debian's packages make up, and nothing
#            else: for builds without network, as far as it goes

readonly MAVEN_REPOSITORY="${WINDLASS_MAVEN_REPOSITORY:-central}"
# Packages of a build of .jar and .war files.
readonly DEBIAN_PLUGINS=(clean resources compiler jar war install dependency assembly shade)

# Sets `maven` to the command, with its arguments.
choose_maven() {
  local packages=(maven) name
  case $MAVEN_REPOSITORY in
    central | debian) ;;
    *) abort "WINDLASS_MAVEN_REPOSITORY is $MAVEN_REPOSITORY; known are central and debian." ;;
  esac
  if [[ -f mvnw && -f .mvn/wrapper/maven-wrapper.properties && $MAVEN_REPOSITORY == central ]]; then
    chmod +x mvnw
    # The wrapper keeps the Maven that it downloads there.
    export MAVEN_USER_HOME="$CACHE_DIR/m2"
    maven=(./mvnw)
    heading 'Using Maven by the wrapper of the app'
  else
    use_java_of_app
    if [[ $MAVEN_REPOSITORY == debian ]]; then
      for name in "${DEBIAN_PLUGINS[@]}"; do packages+=("libmaven-$name-plugin-java"); done
      packages+=(libsurefire-java)
    fi
    provide_packages maven "${packages[@]}"
    maven=("$tree/usr/share/maven/bin/mvn")
    heading "Using Maven $("${maven[@]}" -version 2>/dev/null | sed -nE '1s/.*Maven ([0-9.]+).*/\1/p') (debian)"
  fi
  maven+=(--batch-mode "-Dmaven.repo.local=$CACHE_DIR/m2/repository")
  use_settings
}

# Maven gives a plexus-utils 1.1 to plugins that name none; Debian has only newer ones.
prepare_maven() {
  local folder="$1/usr/share/maven-repo/org/codehaus/plexus/plexus-utils"
  [[ -f $folder/2.x/plexus-utils-2.x.jar && ! -e $folder/1.1 ]] || return 0
  mkdir "$folder/1.1"
  ln -s ../2.x/plexus-utils-2.x.jar "$folder/1.1/plexus-utils-1.1.jar"
  printf '<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId><version>1.1</version></project>\n' \
    org.codehaus.plexus plexus-utils >"$folder/1.1/plexus-utils-1.1.pom"
}

use_settings() {
  if [[ $MAVEN_REPOSITORY == debian ]]; then
    mkdir -p "$CACHE_DIR/m2"
    sed "s#@repository@#file://$tree/usr/share/maven-repo#" "$PACK_DIR/lib/debian_settings.xml" >"$CACHE_DIR/m2/debian.xml"
    maven+=(--settings "$CACHE_DIR/m2/debian.xml")
  elif [[ -n ${MAVEN_SETTINGS_PATH:-} ]]; then
    maven+=(--settings "$MAVEN_SETTINGS_PATH")
  elif [[ -n ${MAVEN_SETTINGS_URL:-} ]]; then
    download -o "$CACHE_DIR/settings.xml" "$MAVEN_SETTINGS_URL" || abort 'MAVEN_SETTINGS_URL could not be downloaded.'
    maven+=(--settings "$CACHE_DIR/settings.xml")
  elif [[ -f settings.xml ]]; then
    maven+=(--settings settings.xml)
  fi
}

build_with_maven() {
  local begin options goals
  choose_maven
  read -r -a options <<<"${MAVEN_CUSTOM_OPTS--DskipTests}"
  read -r -a goals <<<"${MAVEN_CUSTOM_GOALS:-clean install}"
  export MAVEN_OPTS="${MAVEN_JAVA_OPTS:--Xmx1024m}"
  heading "Running: mvn ${options[*]} ${goals[*]}"
  begin=$EPOCHREALTIME
  quiet_downloads "${maven[@]}" "${options[@]}" "${goals[@]}" || abort 'Maven could not build the app; its message is above.'
  info "Built in $(seconds_since "$begin")"
}

# Runs Maven; of its downloads only how many there were is shown.
quiet_downloads() {
  local line status count=0
  "$@" 2>&1 | {
    while IFS= read -r line || [[ -n $line ]]; do
      # What resets colours comes even where none are wanted.
      line=${line//$'\e[0m'/}
      case $line in
        *Downloading\ from*) ;;
        *Downloaded\ from*) count=$((count + 1)) ;;
        '[INFO] ') ;;
        *) printf '%s\n' "${line:+       $line}" ;;
      esac
    done
    if ((count > 0)); then info "$count files downloaded for Maven"; fi
  }
  status=${PIPESTATUS[0]}
  return "$status"
}
