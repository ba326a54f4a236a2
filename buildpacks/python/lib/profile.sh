# Sourced before every process of the app. No forks here: this is start-up time.
if [[ -d /app/.heroku/python ]]; then export PATH="/app/.heroku/python/bin:$PATH"; fi
export PYTHONUNBUFFERED="${PYTHONUNBUFFERED:-1}"
export LANG="${LANG:-C.UTF-8}"

# gunicorn and others take their number of workers from WEB_CONCURRENCY: one per
# 256 MB of the memory limit, from 1 to 8; 2 where there is no limit.
if [[ -z ${WEB_CONCURRENCY:-} ]]; then
  WEB_CONCURRENCY=2
  for windlass_limit_file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [[ -r $windlass_limit_file ]] || continue
    read -r windlass_limit <"$windlass_limit_file"
    # No limit reads "max" (cgroup v2) or a number near 2^63 (v1).
    if [[ $windlass_limit =~ ^[0-9]{1,15}$ ]]; then
      WEB_CONCURRENCY=$((windlass_limit / 268435456))
      ((WEB_CONCURRENCY >= 1)) || WEB_CONCURRENCY=1
      ((WEB_CONCURRENCY <= 8)) || WEB_CONCURRENCY=8
    fi
    break
  done
  unset windlass_limit_file windlass_limit
fi
export WEB_CONCURRENCY
