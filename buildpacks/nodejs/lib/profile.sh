# Sourced before every process of the app. No forks here: this is start-up time.
export PATH="/app/.heroku/node/bin:/app/.heroku/yarn/bin:/app/.heroku/pnpm/bin:/app/node_modules/.bin:$PATH"
export NODE_HOME="${NODE_HOME:-/app/.heroku/node}"
export NODE_ENV="${NODE_ENV:-production}"
if [[ -z ${NODE_EXTRA_CA_CERTS:-} && -r /etc/ssl/certs/ca-certificates.crt ]]; then
  export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
fi

# For apps that run several workers: how many of WEB_MEMORY megabytes each fit
# into the memory limit, at most 8; 1 where there is no limit.
export WEB_MEMORY="${WEB_MEMORY:-512}"
if [[ -z ${WEB_CONCURRENCY:-} ]]; then
  WEB_CONCURRENCY=1
  for windlass_limit_file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [[ -r $windlass_limit_file ]] || continue
    read -r windlass_limit <"$windlass_limit_file"
    # No limit reads "max" (cgroup v2) or a number near 2^63 (v1).
    if [[ $windlass_limit =~ ^[0-9]{1,15}$ && $WEB_MEMORY =~ ^[1-9][0-9]*$ ]]; then
      export MEMORY_AVAILABLE=$((windlass_limit / 1048576))
      WEB_CONCURRENCY=$((MEMORY_AVAILABLE / WEB_MEMORY))
      ((WEB_CONCURRENCY >= 1)) || WEB_CONCURRENCY=1
      ((WEB_CONCURRENCY <= 8)) || WEB_CONCURRENCY=8
    fi
    break
  done
  unset windlass_limit_file windlass_limit
fi
export WEB_CONCURRENCY
