# Sourced before every process of the app. No forks here: this is start-up time.
# The heap gets most of the memory limit, and what does not fit ends the process,
# so that it is started again.
if [[ -z ${JAVA_TOOL_OPTIONS:-} ]]; then
  JAVA_TOOL_OPTIONS='-Dfile.encoding=UTF-8 -XX:+ExitOnOutOfMemoryError'
  for windlass_limit_file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [[ -r $windlass_limit_file ]] || continue
    read -r windlass_limit <"$windlass_limit_file"
    # No limit reads "max" (cgroup v2) or a number near 2^63 (v1).
    if [[ $windlass_limit =~ ^[0-9]{1,15}$ ]]; then
      JAVA_TOOL_OPTIONS+=" -Xmx$((windlass_limit / 1048576 * 60 / 100))m -Xss512k"
    fi
    break
  done
  unset windlass_limit_file windlass_limit
  export JAVA_TOOL_OPTIONS
fi
