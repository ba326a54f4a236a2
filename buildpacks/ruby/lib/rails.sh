# Rails: the assets, which belong into the app and not into each start.

# Whether the app's Rakefile has a task; its words are shown if Rake fails.
has_task() { bundle exec rake -P >"$CACHE_DIR/rake-tasks" 2>&1 && grep -qx "rake $1" "$CACHE_DIR/rake-tasks"; }

precompile_assets() {
  local begin=$EPOCHREALTIME manifests=(public/assets/{.sprockets-manifest,manifest,.manifest}*.json)
  has_gem rake && [[ -f Rakefile ]] || return 0
  if ((${#manifests[@]} > 0)); then
    heading 'Assets are there already: public/assets has a manifest'
    return 0
  fi
  has_gem railties || grep -q assets Rakefile || return 0
  # Nothing of this may need the app's secrets or its database.
  export SECRET_KEY_BASE_DUMMY="${SECRET_KEY_BASE_DUMMY:-1}"
  if has_gem railties && [[ -z ${DATABASE_URL:-} ]]; then export DATABASE_URL=$(dummy_database); fi
  if ! has_task assets:precompile; then
    if [[ -s $CACHE_DIR/rake-tasks ]] && ! grep -q '^rake ' "$CACHE_DIR/rake-tasks"; then
      warn 'The tasks of the Rakefile could not be listed, so assets are not precompiled:' "$(tail -n 5 "$CACHE_DIR/rake-tasks")"
    fi
    return 0
  fi
  if [[ -d $CACHE_DIR/ruby-assets ]]; then
    mkdir -p tmp/cache
    rm -rf tmp/cache/assets
    cp -a --reflink=auto "$CACHE_DIR/ruby-assets" tmp/cache/assets
  fi
  heading 'Running: rake assets:precompile'
  indented bundle exec rake assets:precompile || abort 'Precompiling the assets failed; the message is above.'
  rm -rf "$CACHE_DIR/ruby-assets"
  if [[ -d tmp/cache/assets ]]; then mv tmp/cache/assets "$CACHE_DIR/ruby-assets"; fi
  info "Assets precompiled in $(seconds_since "$begin")"
}

# An address of a database that nobody answers: Rails wants one to start with.
dummy_database() {
  local scheme=postgresql
  if has_gem mysql2; then scheme=mysql2; elif has_gem trilogy; then scheme=trilogy; elif has_gem sqlite3; then scheme=sqlite3; fi
  if [[ $scheme == sqlite3 ]]; then echo 'sqlite3::memory:'; else echo "$scheme://user:password@127.0.0.1/none"; fi
}
