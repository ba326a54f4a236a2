# Which Ruby, and where from.
#
# WINDLASS_RUBY_SOURCE chooses one of these; by default they are tried in order
# until one has a version that fits:
#   debian  the stack's own packages, unpacked into the app
#   heroku  archives as Heroku's buildpack uses them, by exact version
#           (WINDLASS_RUBY_MIRROR: another address with files ruby-VERSION.tgz)

readonly RUBY_SOURCES="${WINDLASS_RUBY_SOURCE:-debian heroku}"
# Built on a system whose libraries are those of Debian 12 or older.
readonly RUBY_MIRROR="${WINDLASS_RUBY_MIRROR:-https://heroku-buildpack-ruby.s3.us-east-1.amazonaws.com/heroku-22}"
# Where Ruby is while the app runs.
readonly RUBY_HOME=/app/.heroku/ruby

requested() { /usr/bin/python3 -I -S "$PACK_DIR/lib/requested.py" "$@"; }

# Sets ruby_requested, ruby_binding ("exact" or "near") and ruby_origin.
read_requested_version() {
  local facts lines
  facts=$(requested .) || exit 1
  mapfile -t lines <<<"$facts"
  ruby_requested=${lines[0]} ruby_binding=${lines[1]:-near} ruby_origin=${lines[2]:-}
}

# Sets ruby_version and ruby_source, installs it into .heroku/ruby, and puts it on the PATH.
install_ruby() {
  local source
  reasons=()
  read_requested_version
  for source in $RUBY_SOURCES; do
    case $source in
      debian | heroku) ;;
      *) abort "WINDLASS_RUBY_SOURCE names $source; known are debian and heroku." ;;
    esac
    if "provide_from_$source"; then
      ruby_source=$source
      say_which_ruby
      point_to_ruby
      return 0
    fi
  done
  abort "Ruby ${ruby_requested:-(any version)}${ruby_origin:+, as asked for in $ruby_origin,} could not be had:" "${reasons[@]}" \
    'WINDLASS_RUBY_SOURCE and WINDLASS_RUBY_MIRROR name other places to look in.'
}

say_which_ruby() {
  if [[ -z $ruby_requested ]]; then
    heading "Using Ruby $ruby_version, the default of the $STACK stack"
  elif requested . satisfies "$ruby_requested" "$ruby_version"; then
    heading "Using Ruby $ruby_version, as asked for in $ruby_origin ($ruby_requested)"
  else
    heading "Using Ruby $ruby_version for $ruby_requested, as asked for in $ruby_origin"
    info "The $STACK stack provides this patch release and keeps it secure."
  fi
}

# Whether a version will do: with "near" ones another patch release will.
will_do() {
  [[ -z $ruby_requested ]] && return 0
  requested . satisfies "$ruby_requested" "$1" && return 0
  [[ $ruby_binding == near && $ruby_requested =~ ^[0-9]+\.[0-9]+\. && ${ruby_requested%.*} == "${1%.*}" ]]
}

# Sets ruby_version to the one that Debian has.
debian_ruby() {
  local version
  debian_version ruby && debian_version "ruby$version" && ruby_version=$version
}

provide_from_debian() {
  if ! debian_ruby; then
    reasons+=("debian: $(debian_reason)")
    return 1
  fi
  if ! will_do "$ruby_version"; then
    reasons+=("debian: it has $ruby_version")
    return 1
  fi
  provide_packages ruby ruby ruby-dev bundler
  copy_tree ruby
}

# Debian's Ruby looks below /usr. RUBYLIB, set later, makes it look here; RubyGems
# is told by its own file of defaults, which also puts the standard library
# behind the gems again: what RUBYLIB names would come before them.
prepare_ruby() {
  local defaults="$1/usr/lib/ruby/vendor_ruby/rubygems/defaults/operating_system.rb"
  sed -i -E "s#([\"'])/usr/(lib|share)/#\1$RUBY_HOME/usr/\2/#g" "$defaults"
  cat >>"$defaults" <<'RUBY'

windlass_libraries = ENV.fetch("RUBYLIB", "").split(":").select { |path| path.start_with?("/app/.heroku/ruby/") }
$LOAD_PATH.push(*windlass_libraries.filter_map { |path| $LOAD_PATH.delete(path) })
RUBY
  correct_shebangs "$1"/usr/bin/*
}

provide_from_heroku() {
  local directory="$CACHE_DIR/ruby-archives" version=$ruby_requested archive
  version=${version#= }
  if [[ ! $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
    reasons+=('heroku: it can only be asked for an exact version, such as 3.3.6')
    return 1
  fi
  archive="$directory/ruby-$version.tgz"
  if [[ ! -f $archive ]]; then
    heading "Downloading Ruby $version (heroku)"
    mkdir -p "$directory"
    if ! curl -fsSL --connect-timeout 3 --retry 1 --speed-time 20 --speed-limit 1000 --max-time 600 \
      -o "$directory/part" "$RUBY_MIRROR/ruby-$version.tgz" 2>"$directory/error"; then
      reasons+=("heroku: $(tail -n 1 "$directory/error") ($RUBY_MIRROR/ruby-$version.tgz)")
      return 1
    fi
    # One version is kept per app; the move makes it appear whole.
    rm -f "$directory"/ruby-*
    mv "$directory/part" "$archive"
  fi
  # The libraries that it needs and the stack of a running app lacks.
  provide_packages ruby_libraries libyaml-0-2 libffi8 libgmp10 libreadline8
  copy_tree ruby
  tar -xzf "$archive" -C .heroku/ruby || abort "$archive could not be unpacked." 'Purge the build cache and push again.'
  ruby_version=$version
}

# Prints the statements by which programs find Ruby.
ruby_environment() {
  local root="$RUBY_HOME/usr" arch api
  if [[ $ruby_source == heroku ]]; then
    printf 'export PATH="%s/bin:$PATH"\n' "$RUBY_HOME"
  else
    api="${ruby_version%.*}.0" arch=$(multiarch)
    printf 'export PATH="%s/bin:$PATH"\n' "$root"
    printf 'export RUBYLIB="${RUBYLIB:+$RUBYLIB:}%s"\n' \
      "$root/lib/ruby/vendor_ruby/$api:$root/lib/$arch/ruby/vendor_ruby/$api:$root/lib/ruby/vendor_ruby:$root/lib/ruby/$api:$root/lib/$arch/ruby/$api"
  fi
  printf 'export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$(library_folders "$RUBY_HOME")"
}

point_to_ruby() {
  mkdir -p .profile.d
  { ruby_environment && cat "$PACK_DIR/lib/profile.sh"; } >.profile.d/ruby.sh
  eval "$(ruby_environment)"
  # For the buildpacks that follow, where this one may be written to.
  if [[ -w $PACK_DIR ]]; then ruby_environment >"$PACK_DIR/export"; fi
  ruby -e 'exit' || abort "Ruby $ruby_version does not start on the $STACK stack; its message is above."
}
