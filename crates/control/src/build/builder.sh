#!/usr/bin/env bash
#
# Turns one source tree into an app, inside the build container, by running
# classic buildpacks: detect, compile, export, release.
#
# Run by the platform as `bash /windlass/builder.sh`, as an ordinary user.
#
#   in   BUILD_DIR           the source, changed in place
#        CACHE_DIR           kept between builds of this app; best on the same
#                            mount as BUILD_DIR, so that packs can hard-link
#        ENV_DIR             one file per config var
#        STACK               for example debian-12
#        WINDLASS_BUILDPACKS configured buildpacks, separated by spaces: the
#                            name of a pack below /windlass/buildpacks (with or
#                            without "heroku/"), "inline", "./FOLDER" of the app,
#                            a git URL (with an optional #ref) or a .tgz URL.
#                            Empty: try the default packs and take the first
#                            that detects the app.
#   out  /windlass/out/result.json   what happened and, if not built, why; with
#                                    times in milliseconds
#        /windlass/out/phase         what it is at: two lines, the phase and the
#                                    buildpack
#        /windlass/out/release.yml   output of bin/release of the last pack
#        stdout and stderr           for the person who pushes
#   exit 0 built, 1 not built
#
# The platform, not this script, prints what comes after: why nothing was built
# with the last lines of the buildpack, "Discovering process types",
# "Compressing", "Launching", "Push rejected to APP".
#
# Only bash built-ins are used on the ordinary path: every fork costs a
# millisecond or more, and this is part of every push.

set -uo pipefail
shopt -s nullglob

readonly PACKS_DIR="${WINDLASS_PACKS_DIR:-/windlass/buildpacks}"
readonly OUT_DIR="${WINDLASS_OUT_DIR:-/windlass/out}"
# Heroku's order; those that only serve or fetch what is there come last.
readonly DEFAULT_PACKS=(ruby nodejs python java php go rust static apt procfile)
# Buildpacks that are downloaded or must be writable go here.
readonly WORK_DIR="${BUILD_DIR%/*}/buildpacks"
readonly FETCH_TIMEOUT_SECONDS=90

outcome=""
pack_id=""
pack_name=""
exit_code=0
reason=""
detect_us=0
compile_us=0
release_us=0
used_packs=()

now_us() { printf -v "$1" '%s' "${EPOCHREALTIME/[.,]/}"; }

heading() { printf -- '-----> %s\n' "$1"; }

problem() { printf ' !     %s\n' "$1"; }

# Sets shown to $1 without the user and password of a URL: output is kept and seen by others.
without_credentials() {
  shown=$1
  [[ $1 =~ ^([a-z+]+://)[^/@]*@(.*)$ ]] && shown="${BASH_REMATCH[1]}${BASH_REMATCH[2]}"
  return 0
}

# Says what the build is at, should it be stopped there: enter PHASE.
enter() {
  without_credentials "$pack_id"
  printf '%s\n%s\n' "$1" "$shown" >"$OUT_DIR/phase"
}

# Prints a file, each line indented by seven columns.
print_indented() {
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    printf '       %s\n' "$line"
  done <"$1"
}

# Sets the variable named $1 to $2 as a JSON string, quotes included.
json_string() {
  local text=$2 out="" char code i
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    case $char in
      '"' | \\) out+="\\$char" ;;
      [[:cntrl:]])
        printf -v code '%d' "'$char"
        printf -v char '\\u%04x' "$((code & 0xff))"
        out+=$char
        ;;
      *) out+=$char ;;
    esac
  done
  printf -v "$1" '"%s"' "$out"
}

write_result() {
  local id name list="" item pack why
  without_credentials "$pack_id"
  json_string id "$shown"
  json_string name "$pack_name"
  json_string why "$reason"
  for pack in "${used_packs[@]}"; do
    json_string item "$pack"
    list+="${list:+,}$item"
  done
  printf '{"outcome":"%s","buildpack":%s,"name":%s,"buildpacks":[%s],"exit_code":%d,"reason":%s,"stages":{"detect_ms":%d,"compile_ms":%d,"release_ms":%d}}\n' \
    "$outcome" "$id" "$name" "$list" "$exit_code" "$why" \
    "$((detect_us / 1000))" "$((compile_us / 1000))" "$((release_us / 1000))" \
    >"$OUT_DIR/result.json"
}

# fail OUTCOME EXIT_CODE REASON: ends the build; the platform prints the reason.
fail() {
  outcome=$1 exit_code=$2 reason=$3
  write_result
  printf '\n'
  exit 1
}

# Removes what a top-level .slugignore lists: like .gitignore, without negation.
apply_slugignore() {
  local pattern match
  [[ -f $BUILD_DIR/.slugignore ]] || return 0
  while IFS= read -r pattern || [[ -n $pattern ]]; do
    pattern=${pattern%$'\r'}
    pattern=${pattern%"${pattern##*[![:space:]]}"}
    pattern=${pattern%/}
    [[ -z $pattern || $pattern == '#'* || $pattern == '!'* || $pattern == *..* ]] && continue
    if [[ $pattern == */* ]]; then
      while IFS= read -r match; do rm -rf -- "$match"; done \
        < <(cd "$BUILD_DIR" && compgen -G "./${pattern#/}")
    else
      find "$BUILD_DIR" -mindepth 1 -name "$pattern" -prune -exec rm -rf -- {} +
    fi
  done <"$BUILD_DIR/.slugignore"
}

# Downloads a buildpack: fetch URL INTO. Prints what the tools say.
fetch() {
  local url=$1 into=$2 ref=""
  [[ $url == *'#'* ]] && ref=${url##*#} url=${url%%#*}
  case ${url%%\?*} in
    *.tgz | *.tar.gz) fetch_archive "$url" "$into" ;;
    *) fetch_repository "$url" "$into" "$ref" ;;
  esac
}

# Archives made by others than Heroku have everything in one folder.
fetch_archive() {
  local into=$2 inside
  mkdir -p "$into"
  curl -fsSL --retry 2 --connect-timeout 10 --max-time "$FETCH_TIMEOUT_SECONDS" --output "$into.tgz" "$1" || return 1
  tar -xzf "$into.tgz" -C "$into" || return 1
  rm "$into.tgz"
  inside=("$into"/*/)
  if [[ ! -d $into/bin && ${#inside[@]} == 1 && -d ${inside[0]}bin ]]; then
    mv "${inside[0]}" "$into.inside" && rm -rf "$into" && mv "$into.inside" "$into"
  fi
}

# The newest commit alone where the server can do that: not for a commit by its
# number, and not where the repository is plain files.
fetch_repository() {
  local url=$1 into=$2 ref=$3 commit clone
  clone=(timeout "$FETCH_TIMEOUT_SECONDS" git -c advice.detachedHead=false clone -q)
  export GIT_TERMINAL_PROMPT=0
  "${clone[@]}" --depth 1 --recurse-submodules --shallow-submodules ${ref:+--branch "$ref"} -- "$url" "$into" 2>/dev/null && return 0
  rm -rf "$into"
  "${clone[@]}" -- "$url" "$into" || return 1
  if [[ -n $ref ]]; then
    commit=$(git -C "$into" rev-parse -q --verify "refs/remotes/origin/$ref^{commit}" || git -C "$into" rev-parse -q --verify "$ref^{commit}")
    if [[ -z $commit ]]; then
      problem "The repository has no branch, tag or commit $ref."
      return 1
    fi
    git -C "$into" checkout -q --detach "$commit" || return 1
  fi
  git -C "$into" submodule --quiet update --init --recursive
}

# Sets pack_dir and pack_id for a configured or default buildpack. locate NAME NUMBER
locate() {
  local name=$1 number=$2 short=$1
  case $name in
    *://* | git@*)
      pack_dir="$WORK_DIR/$number"
      mkdir -p "$WORK_DIR"
      rm -rf "$pack_dir"
      enter 'the download'
      if ! fetch "$name" "$pack_dir"; then
        without_credentials "$name"
        fail fetch_failed 1 "The build failed to fetch the buildpack $shown."
      fi
      ;;
    inline | heroku-community/inline) pack_dir=$BUILD_DIR ;;
    ./*)
      pack_dir="$BUILD_DIR/${name#./}"
      if [[ $name/ == */../* || ! -d $pack_dir || -L $pack_dir ]]; then
        fail fetch_failed 1 "There is nothing to build with: the app has no folder ${name#./}, which is set as its buildpack."
      fi
      ;;
    *)
      short=${name##*/}
      pack_id=$short
      pack_dir="$PACKS_DIR/$short"
      if [[ ! -d $pack_dir ]]; then
        local known=("$PACKS_DIR"/*/)
        known=("${known[@]%/}")
        fail fetch_failed 1 "There is no buildpack named $name. Known: ${known[*]##*/}, inline, or a URL."
      fi
      ;;
  esac
  make_runnable "$number"
}

# A pack with neighbours must be able to write its `export` file, and its
# scripts must be executable: where the pack is read-only, use a copy.
make_runnable() {
  local script needs_copy=false
  if ((${#packs[@]} > 1)) && [[ $configured == true && ! -w $pack_dir ]]; then needs_copy=true; fi
  for script in "$pack_dir"/bin/{detect,compile,release,report}; do
    if [[ -f $script && ! -x $script ]]; then
      chmod +x "$script" 2>/dev/null || needs_copy=true
    fi
  done
  if [[ $needs_copy == true ]]; then
    mkdir -p "$WORK_DIR"
    rm -rf "${WORK_DIR:?}/$1"
    cp -r "$pack_dir" "$WORK_DIR/$1"
    pack_dir="$WORK_DIR/$1"
    chmod -R u+w "$pack_dir"
    chmod +x "$pack_dir"/bin/*
  fi
}

# Runs bin/detect of pack_dir; sets pack_name and detect_status. Output goes to a file, not a
# pipe: a process that detect leaves behind must not hold up the build.
detect() {
  local begin end name
  enter bin/detect
  now_us begin
  "$pack_dir/bin/detect" "$BUILD_DIR" >"$OUT_DIR/detect.out" 2>"$OUT_DIR/detect.err" </dev/null
  detect_status=$?
  now_us end
  detect_us=$((detect_us + end - begin))
  ((detect_status == 0)) || return 1
  name=""
  IFS= read -r name <"$OUT_DIR/detect.out"
  without_credentials "$pack_id"
  pack_name=${name:-$shown}
}

compile() {
  local begin end status
  enter bin/compile
  heading "$pack_name app detected"
  without_credentials "$pack_id"
  used_packs+=("$shown")
  now_us begin
  "$pack_dir/bin/compile" "$BUILD_DIR" "$CACHE_DIR" "$ENV_DIR" </dev/null
  status=$?
  now_us end
  compile_us=$((compile_us + end - begin))
  [[ -x $pack_dir/bin/report ]] && "$pack_dir/bin/report" "$BUILD_DIR" "$CACHE_DIR" "$ENV_DIR" >/dev/null 2>&1 </dev/null
  if ((status != 0)); then
    without_credentials "$pack_id"
    fail compile_failed "$status" "The buildpack $shown failed in bin/compile with status $status."
  fi
}

release() {
  local begin end status=0
  : >"$OUT_DIR/release.yml"
  [[ -f $pack_dir/bin/release ]] || return 0
  enter bin/release
  now_us begin
  "$pack_dir/bin/release" "$BUILD_DIR" >"$OUT_DIR/release.yml" </dev/null
  status=$?
  now_us end
  release_us=$((end - begin))
  if ((status != 0)); then
    without_credentials "$pack_id"
    fail release_failed "$status" "The buildpack $shown failed in bin/release with status $status."
  fi
}

detect_default() {
  local name
  heading 'Determining which buildpack to use for this app'
  for name in "${packs[@]}"; do
    [[ -d $PACKS_DIR/$name ]] || continue
    pack_id=$name
    locate "$name" 0
    detect || continue
    if [[ -f $BUILD_DIR/Aptfile && $name != apt ]]; then
      problem "There is an Aptfile, but only the $name buildpack is used. For both:"
      printf '            windlass config:set BUILDPACK_URL="apt %s"\n' "$name"
    fi
    return 0
  done
  pack_id=""
  fail no_buildpack 1 'No default language could be detected for this app.
A package.json (Node.js), a requirements.txt, pyproject.toml or Pipfile (Python), a
Gemfile (Ruby), a pom.xml or gradlew (Java), a composer.json or index.php (PHP), a go.mod
(Go), a Cargo.toml (Rust), an index.html (static site), an Aptfile or a Procfile is needed
at the top of the repository. Otherwise choose a buildpack yourself:
windlass buildpacks:set NAME-OR-URL'
}

detect_configured() {
  detect && return 0
  without_credentials "$1"
  heading "App not compatible with buildpack: $shown"
  print_indented "$OUT_DIR/detect.out"
  print_indented "$OUT_DIR/detect.err"
  fail detect_failed 1 "The buildpack $shown did not take the app: its bin/detect ended with status $detect_status."
}

# Variables that a buildpack exports for the ones after it.
source_export() {
  [[ -f $pack_dir/export ]] || return 0
  set +u
  # shellcheck disable=SC1091
  source "$pack_dir/export"
  set -u
}

announce_configured() {
  local i
  if ((${#packs[@]} == 1)); then
    without_credentials "${packs[0]}"
    heading "Using buildpack: $shown"
  else
    heading 'Using buildpacks:'
    for ((i = 0; i < ${#packs[@]}; i++)); do
      without_credentials "${packs[i]}"
      printf '       %d. %s\n' $((i + 1)) "$shown"
    done
  fi
}

main() {
  local i
  cd "$BUILD_DIR" || exit 1
  read -r -a packs <<<"${WINDLASS_BUILDPACKS:-}"
  if ((${#packs[@]} == 0)) && [[ -s $ENV_DIR/BUILDPACK_URL ]]; then
    read -r -a packs <"$ENV_DIR/BUILDPACK_URL"
  fi
  # Buildpacks see only the documented environment.
  unset WINDLASS_BUILDPACKS WINDLASS_PACKS_DIR WINDLASS_OUT_DIR
  export -n BUILD_DIR CACHE_DIR ENV_DIR

  heading "Building on the ${STACK^} stack"
  apply_slugignore
  if ((${#packs[@]} == 0)); then
    configured=false packs=("${DEFAULT_PACKS[@]}")
    detect_default
    compile
  else
    configured=true
    announce_configured
    for ((i = 0; i < ${#packs[@]}; i++)); do
      ((i > 0)) && source_export
      pack_id=${packs[i]}
      locate "$pack_id" "$i"
      detect_configured "${packs[i]}"
      compile
    done
  fi
  release
  outcome=succeeded
  write_result
}

main
