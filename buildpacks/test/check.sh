# Small helpers for the shell tests: source this, call `check`, end with `finish`.

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
passed=0
failed=0

# check TEXT COMMAND...: the command must succeed.
check() {
  local text=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n        %s\n' "$text" "$*"
  fi
}

equal() {
  [[ $1 == "$2" ]] && return 0
  printf 'got:  %q\nwant: %q\n' "$1" "$2"
  return 1
}

contains() {
  [[ $1 == *"$2"* ]] && return 0
  printf 'not found: %s\nin:\n%s\n' "$2" "$1"
  return 1
}

# app FILE...: a fresh source tree with these files, each "name" or "name=content". Sets APP.
app() {
  local file
  APP=$(mktemp -d "$WORK/app.XXXXXX")
  for file in "$@"; do
    mkdir -p "$APP/$(dirname "${file%%=*}")"
    if [[ $file == *=* ]]; then printf '%b' "${file#*=}" >"$APP/${file%%=*}"; else : >"$APP/$file"; fi
  done
}

finish() {
  echo "$passed passed, $failed failed"
  ((failed == 0))
}
