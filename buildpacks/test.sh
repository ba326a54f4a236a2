#!/usr/bin/env bash
# Runs the tests of the builder script, of what buildpacks share, and of every buildpack. They need no
# network and no privileges, and leave nothing behind. Exit 0 if all passed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
export PYTHONDONTWRITEBYTECODE=1
failed=()
for test in test/builder.sh test/debian_packages.sh */test/run.sh; do
  echo "== $test"
  bash "$test" || failed+=("$test")
done
if ((${#failed[@]} > 0)); then
  echo "buildpacks: failed: ${failed[*]}"
  exit 1
fi
echo 'buildpacks: all passed'
