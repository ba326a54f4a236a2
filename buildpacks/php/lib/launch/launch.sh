# What both launchers have in common: arguments, PHP-FPM, and the end.

usage() {
  cat >&2 <<END
Usage: $program [-C FILE] [-F FILE] [-i FILE] [-p PORT] [DOCUMENT_ROOT]
  -C FILE  configuration to include in the web server's for this site
  -F FILE  settings to include in the PHP-FPM pool
  -i FILE  a php.ini to use besides the usual one
  -p PORT  the port; \$PORT otherwise
DOCUMENT_ROOT is a folder of the app; the app itself otherwise.
END
  exit "$1"
}

fail() {
  echo "$program: $1" >&2
  exit 1
}

# Sets document_root, server_include, pool_include, ini_files and port.
read_arguments() {
  local option
  server_include="" pool_include="" ini_files=() port=${PORT:-}
  while getopts ':C:F:i:p:hl:c:v' option; do
    case $option in
      C) server_include=$OPTARG ;;
      F) pool_include=$OPTARG ;;
      i) ini_files+=("$OPTARG") ;;
      p) port=$OPTARG ;;
      v) ;;
      h) usage 0 ;;
      l | c) fail "-$option is not supported; use -C to include configuration." ;;
      *) usage 2 ;;
    esac
  done
  shift $((OPTIND - 1))
  (($# <= 1)) || usage 2
  [[ $port =~ ^[0-9]+$ ]] || fail 'no port: set PORT or use -p.'
  document_root=$(readlink -f -- "${1:-.}") && [[ -d $document_root ]] || fail "the document root ${1:-.} is not a folder."
  for option in "$server_include" "$pool_include" "${ini_files[@]}"; do
    [[ -z $option || -r $option ]] || fail "$option cannot be read."
  done
  server_include=${server_include:+$(readlink -f -- "$server_include")}
  pool_include=${pool_include:+$(readlink -f -- "$pool_include")}
}

# PHP processes: as many as PHP's memory_limit lets fit into the memory limit, from 1 to 64;
# 8 where there is no limit. WEB_CONCURRENCY overrides it.
children() {
  local file limit each count=8
  each=$(php -r '$l = ini_get("memory_limit"); echo $l > 0 ? ini_parse_quantity($l) : 134217728;' 2>/dev/null) || each=134217728
  [[ $each =~ ^[1-9][0-9]*$ ]] || each=134217728
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [[ -r $file ]] || continue
    read -r limit <"$file"
    # No limit reads "max" (cgroup v2) or a number near 2^63 (v1).
    if [[ $limit =~ ^[0-9]{1,15}$ ]]; then count=$((limit / each)); fi
    break
  done
  if ((count < 1)); then count=1; fi
  if ((count > 64)); then count=64; fi
  printf '%s' "${WEB_CONCURRENCY:-$count}"
}

write_pool() {
  cat >"$work/fpm.conf" <<END
[global]
daemonize = no
error_log = /dev/stderr
log_level = warning
[www]
listen = $work/fpm.sock
listen.backlog = 1024
pm = ondemand
pm.max_children = $(children)
pm.process_idle_timeout = 60s
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
; Otherwise each message is there twice: from PHP-FPM and from the web server.
php_value[error_log] = /dev/stderr
END
  if [[ -n $pool_include ]]; then printf 'include = %s\n' "$pool_include" >>"$work/fpm.conf"; fi
}

# Starts PHP-FPM and the server given as arguments; ends with the first of them that ends.
run() {
  local signal fpm server file arguments=(--nodaemonize --force-stderr --fpm-config "$work/fpm.conf") status=0
  for file in "${ini_files[@]}"; do
    mkdir -p "$work/ini" && cp -- "$file" "$work/ini/zz-${file##*/}.ini"
    export PHP_INI_SCAN_DIR="${PHP_INI_SCAN_DIR%":$work/ini"}:$work/ini"
  done
  # What the app's output goes to cannot be opened by its name, as PHP-FPM wants to: a pipe of our own can.
  php-fpm "${arguments[@]}" 2> >(exec cat >&2) &
  fpm=$!
  for ((i = 0; i < 100; i++)); do
    [[ ! -S $work/fpm.sock ]] || break
    kill -0 "$fpm" 2>/dev/null || fail 'PHP-FPM did not start; its message is above.'
    sleep 0.05
  done
  "$@" &
  server=$!
  # Both finish the requests that they have.
  trap 'kill -QUIT "$server" 2>/dev/null; ended=true' TERM INT
  [[ $stop_signal == QUIT ]] || trap 'kill "-$stop_signal" "$server" 2>/dev/null; ended=true' TERM INT
  ended=false
  echo "$program: listening on port $port, serving $document_root" >&2
  wait -n "$fpm" "$server" || status=$?
  while [[ $ended == true ]] && kill -0 "$server" 2>/dev/null; do wait "$server" || true; done
  kill -QUIT "$fpm" 2>/dev/null
  kill "$server" 2>/dev/null
  wait
  [[ $ended == true ]] && exit 0
  echo "$program: the web server or PHP-FPM ended by itself with status $status." >&2
  exit 1
}

prepare() {
  read_arguments "$@"
  work=$(mktemp -d "${TMPDIR:-/tmp}/php.XXXXXX")
  trap 'rm -rf "${work:?}"' EXIT
  mkdir -p "$work/logs"
  write_pool
}
