#!/usr/bin/env bash
# Tests that need neither network nor Ruby: detection, versions, sources, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

app Gemfile
check 'detects a Gemfile' equal "$("$PACK/bin/detect" "$APP")" Ruby
app config.ru
check 'refuses Ruby files alone' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

lock() { printf 'GEM\\n  specs:\\n    %s (1.0)\\n' "$@"; }
release() { "$PACK/bin/release" "$APP"; }
app Gemfile "Gemfile.lock=$(lock railties rake)\n"
check 'Rails has a default process' contains "$(release)" '  web: "bin/rails server -b 0.0.0.0 -p ${PORT:-5000} -e $RAILS_ENV"'
check 'and a console' contains "$(release)" '  console: bin/rails console'
check 'and a secret' eval '[[ $(release) =~ SECRET_KEY_BASE:\ \"[0-9a-f]{128}\" ]]'
check 'and rake' contains "$(release)" '  rake: bundle exec rake'
app Gemfile config.ru "Gemfile.lock=$(lock puma)\n"
check 'puma serves other Rack apps' contains "$(release)" '  web: "bundle exec puma -b tcp://0.0.0.0:${PORT:-5000} config.ru"'
check 'which need no secret' eval '[[ $(release) != *SECRET* ]]'
app Gemfile config.ru "Gemfile.lock=$(lock rackup)\n"
check 'or rackup' contains "$(release)" '  web: "bundle exec rackup -o 0.0.0.0 -p ${PORT:-5000} config.ru"'
app Gemfile "Gemfile.lock=$(lock puma)\n"
check 'without config.ru there is none' eval '[[ $(release) != *web:* ]]'

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
app Gemfile
compile
check 'a missing lock is told' contains "$OUTPUT" ' !     There is a Gemfile but no Gemfile.lock.'
app Gemfile Gemfile.lock '.ruby-version=two\n'
compile
check 'nonsense is refused' contains "$OUTPUT" '.ruby-version asks for "two", which is not a version of Ruby'
app Gemfile Gemfile.lock
compile WINDLASS_RUBY_SOURCE=nowhere
check 'an unknown source is told' contains "$OUTPUT" 'WINDLASS_RUBY_SOURCE names nowhere; known are debian and heroku.'

# choose: which Ruby would be used, where Debian has 3.1.2 and another source is a folder.
mirror="$WORK/mirror"
mkdir -p "$mirror" "$WORK/archive/bin"
tar -czf "$mirror/ruby-3.3.6.tgz" -C "$WORK/archive" bin
choose() {
  mkdir -p "$WORK/cache" "$APP/.heroku/ruby"
  OUTPUT=$(cd "$APP" && env BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" PACK_DIR="$PACK" WINDLASS_RUBY_MIRROR="file://$mirror" "$@" bash -c '
    set -euo pipefail; shopt -s nullglob
    source "$PACK_DIR/lib/output.sh"; source "$PACK_DIR/lib/debian_packages.sh"; source "$PACK_DIR/lib/ruby.sh"
    debian_version() { version=3.1; [[ $1 == ruby ]] || version=3.1.2; }
    provide_packages() { :; }; copy_tree() { :; }; point_to_ruby() { echo "from $ruby_source"; }
    install_ruby' 2>&1)
}
app Gemfile
choose
check 'the stack has a default' contains "$OUTPUT" $'-----> Using Ruby 3.1.2, the default of the debian-12 stack\nfrom debian'
app 'Gemfile=ruby "~> 3.1"\n'
choose
check 'a Gemfile asks for a version' contains "$OUTPUT" 'Using Ruby 3.1.2, as asked for in Gemfile (~> 3.1)'
app Gemfile '.ruby-version=3.1.4\n'
choose
check 'another patch release will do for .ruby-version' contains "$OUTPUT" 'Using Ruby 3.1.2 for 3.1.4, as asked for in .ruby-version'
app 'Gemfile=ruby "3.3.6"\n'
choose
check 'what Debian has not is downloaded' contains "$OUTPUT" $'-----> Downloading Ruby 3.3.6 (heroku)\n-----> Using Ruby 3.3.6, as asked for in Gemfile (3.3.6)\nfrom heroku'
choose
check 'and once' eval '[[ $OUTPUT != *Downloading* && $OUTPUT == *"Using Ruby 3.3.6"* ]]'
choose WINDLASS_RUBY_SOURCE=debian
check 'a source can be chosen' contains "$OUTPUT" $' !     Ruby 3.3.6, as asked for in Gemfile, could not be had:\n !     debian: it has 3.1.2'
app 'Gemfile=ruby "3.3.5"\n'
choose
check 'what nobody has is told' contains "$OUTPUT" 'WINDLASS_RUBY_SOURCE and WINDLASS_RUBY_MIRROR name other places to look in.'

# The steps that Bundler does, with one that is a script.
stub="$WORK/stub"
mkdir -p "$stub"
cat >"$stub/bundle" <<'END'
#!/usr/bin/env bash
echo "$* in $RAILS_ENV with $DATABASE_URL" >>"$CALLS"
case $* in
  --version) echo 'Bundler version 2.3.15' ;;
  install*) mkdir -p vendor/bundle/ruby/3.1.0/bin && printf '#!/app/.heroku/ruby/usr/bin/ruby3.1\n' >vendor/bundle/ruby/3.1.0/bin/tool ;;
  'exec rake -P') printf 'rake assets:precompile\n    environment\n' ;;
  *precompile) ls tmp/cache/assets 2>/dev/null; mkdir -p public/assets tmp/cache/assets && touch tmp/cache/assets/mark ;;
esac
END
chmod +x "$stub/bundle"
# with_bundler SCRIPT [NAME=VALUE...]: sets OUTPUT and CALLS.
with_bundler() {
  : >"$WORK/calls"
  OUTPUT=$(cd "$APP" && env BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" PACK_DIR="$PACK" CALLS="$WORK/calls" RAILS_ENV=production \
    PATH="$stub:$PATH" "${@:2}" bash -c 'set -euo pipefail; shopt -s nullglob
    for name in output debian_packages gems rails; do source "$PACK_DIR/lib/$name.sh"; done
    ruby_version=3.1.2 ruby_source=debian
    eval "$1"' _ "$1" 2>&1)
  CALLS=$(<"$WORK/calls")
}
gems="Gemfile.lock=$(lock railties pg rake)\n"
app Gemfile "$gems" vendor/cache/pg-1.0.gem
with_bundler install_gems
check 'gems are installed' contains "$OUTPUT" '-----> Installing gems with Bundler 2.3.15'
check 'from vendor/cache alone' contains "$CALLS" 'install --local'
check 'and start wherever Ruby is' contains "$(<"$APP/vendor/bundle/ruby/3.1.0/bin/tool")" '#!/usr/bin/env ruby'
app Gemfile "$gems"
with_bundler install_gems
check 'the second time from the cache' equal "$OUTPUT$CALLS" '-----> Using cached gems (Gemfile.lock is unchanged)'
check 'where they are whole' test -f "$APP/vendor/bundle/ruby/3.1.0/bin/tool"
with_bundler install_gems BUNDLE_WITHOUT=test
check 'other groups are another matter' contains "$CALLS" 'install in'
app Gemfile "$gems" Rakefile
with_bundler precompile_assets DATABASE_URL=
check 'assets are precompiled' contains "$OUTPUT" '-----> Running: rake assets:precompile'
check 'without a database' contains "$CALLS" 'exec rake assets:precompile in production with postgresql://user:password@127.0.0.1/none'
app Gemfile "$gems" Rakefile
with_bundler precompile_assets
check 'what they were made from is kept' contains "$OUTPUT" '       mark'
app Gemfile "$gems" Rakefile public/assets/.manifest.json
with_bundler precompile_assets
check 'unless they are there' equal "$OUTPUT$CALLS" '-----> Assets are there already: public/assets has a manifest'

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
