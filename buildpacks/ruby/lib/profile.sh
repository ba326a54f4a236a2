# Sourced before every process of the app. No forks here: this is start-up time.
export PATH="/app/bin:/app/vendor/bundle/bin:$PATH"
export BUNDLE_GEMFILE="${BUNDLE_GEMFILE:-/app/Gemfile}" BUNDLE_PATH=vendor/bundle BUNDLE_BIN=vendor/bundle/bin
export BUNDLE_DEPLOYMENT=1 BUNDLE_APP_CONFIG=/app/.bundle
export BUNDLE_WITHOUT="${BUNDLE_WITHOUT-development:test}"
export LANG="${LANG:-C.UTF-8}"
export RACK_ENV="${RACK_ENV:-production}" RAILS_ENV="${RAILS_ENV:-production}"
export RAILS_LOG_TO_STDOUT="${RAILS_LOG_TO_STDOUT:-enabled}" RAILS_SERVE_STATIC_FILES="${RAILS_SERVE_STATIC_FILES:-enabled}"
# glibc's arenas make a threaded Ruby grow for nothing.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}"
