#!/usr/bin/env bash
# Tests that need neither network nor privileges: detection, versions, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

detects() { equal "$("$PACK/bin/detect" "$APP" 2>/dev/null)" Python; }
refuses() { ! "$PACK/bin/detect" "$APP" >/dev/null 2>&1; }

for file in requirements.txt pyproject.toml Pipfile setup.py runtime.txt .python-version; do
  app "$file"
  check "detects $file" detects
done
app app.py Procfile
check 'detects Python files beside a Procfile' detects
app app.py
check 'refuses Python files alone' refuses
app Procfile sub/app.py
check 'refuses a Procfile alone' refuses

# compile [NAME=VALUE...]: sets OUTPUT and STATUS. For apps without dependencies.
compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
  STATUS=$?
}
current=$(/usr/bin/python3 -V)
current=${current#Python }
minor=${current%.*}

app app.py 'Procfile=web: python3 app.py\n'
compile
check 'an app without dependencies' equal "$STATUS" 0
check 'needs no environment' test ! -e "$APP/.heroku"
check 'has a start-up script' test -f "$APP/.profile.d/python.sh"
app Procfile ".python-version=# ours\n\n$minor\n"
compile
check 'a minor version that the stack has' contains "$OUTPUT" "Using Python $current, as asked for in .python-version ($minor)"
app Procfile "runtime.txt=python-$minor.99\n"
compile
check 'a patch version that the stack has not' contains "$OUTPUT" "Using Python $current for $minor.99, as asked for in runtime.txt"
app Procfile 'runtime.txt=python-two\n'
compile
check 'nonsense is refused' contains "$OUTPUT" 'runtime.txt asks for "two", which is not a Python version.'

# A mirror in a folder, by way of file: addresses.
mirror="$WORK/mirror"
mkdir -p "$mirror/latest/download" "$mirror/download/20260101" "$WORK/interpreter/python/bin"
printf '#!/bin/sh\necho fake\n' >"$WORK/interpreter/python/bin/python3"
chmod +x "$WORK/interpreter/python/bin/python3"
archive="cpython-3.99.7+20260101-$HOSTTYPE-unknown-linux-gnu-install_only.tar.gz"
tar -czf "$mirror/download/20260101/$archive" -C "$WORK/interpreter" python
{
  (cd "$mirror/download/20260101" && sha256sum "$archive")
  echo "00  cpython-3.98.1+20260101-$HOSTTYPE-unknown-linux-gnu-install_only.tar.gz"
  echo "00  cpython-3.99.8+20260101-other-unknown-linux-gnu-install_only.tar.gz"
} >"$mirror/latest/download/SHA256SUMS"

# Runs the search for an interpreter by itself: compile would install it into /app.
find_in_mirror() {
  mkdir -p "$WORK/cache"
  OUTPUT=$(BUILD_DIR=$APP CACHE_DIR=$WORK/cache WINDLASS_PYTHON_SOURCE=$1 bash -c '
    set -euo pipefail; shopt -s nullglob; cd "$BUILD_DIR"
    source "$1/lib/output.sh"; source "$1/lib/version.sh"
    choose_python; echo "version=$python_version archive=$standalone"' _ "$PACK" 2>&1)
}
app '.python-version=3.99\n'
find_in_mirror "file://$mirror"
check 'another version comes from the mirror' contains "$OUTPUT" "version=3.99.7 archive=$archive"
check 'and stays in the cache' test -f "$WORK/cache/python-standalone/$archive"
app '.python-version=3.99.7\n'
find_in_mirror "file://$WORK/nowhere"
check 'an exact version in the cache needs no mirror' contains "$OUTPUT" 'version=3.99.7'
app '.python-version=3.97\n'
find_in_mirror "file://$mirror"
check 'a version nobody has is named' contains "$OUTPUT" ' !     There is no Python 3.97, as asked for in .python-version.'
check 'with those that are there' contains "$OUTPUT" 'Available there: 3.98.1 3.99.7'
app '.python-version=3.98\n'
find_in_mirror "file://$mirror"
check 'a missing archive is told' contains "$OUTPUT" 'Python 3.98 could not be downloaded'
find_in_mirror "file://$WORK/nowhere"
check 'a mirror that is not there is told' contains "$OUTPUT" "Looked in: file://$WORK/nowhere"

# find: what would be installed for the app in $APP, and by what.
find_it() {
  OUTPUT=$(cd "$APP" && PACK_DIR="$PACK" bash -c '
    set -euo pipefail; source "$PACK_DIR/lib/output.sh"
    source "$PACK_DIR/lib/dependencies.sh"; source "$PACK_DIR/lib/managers.sh"
    find_requirements
    echo "$manager installs=$((${#requirements[@]} > 0)) by-itself=${#unhashed[@]} local=$local_source own=$own_packages keys=${key_files[*]##*/}"' 2>&1)
}
project='pyproject.toml=[project]\nname = "x"\n'
app "$project" 'uv.lock=[[package]]\nname = "x"\nsource = { virtual = "." }\n'
find_it
check 'uv: nothing locked, nothing to do' equal "$OUTPUT" 'uv installs=0 by-itself=0 local=false own=false keys=uv.lock pyproject.toml'
app "$project" 'uv.lock=[[package]]\nsource = { virtual = "." }\n[[package]]\nsource = { registry = "https://example.com" }\n'
find_it
check 'uv: locked packages' contains "$OUTPUT" 'uv installs=1 by-itself=0 local=false own=false'
app "$project" 'uv.lock=[[package]]\nsource = { editable = "." }\n'
find_it
check 'uv: the app is a package' contains "$OUTPUT" 'uv installs=1 by-itself=0 local=false own=true'
app 'uv.lock='
find_it
check 'uv: a lock alone is told' contains "$OUTPUT" 'There is a uv.lock but no pyproject.toml.'
app "$project[build-system]\n" 'poetry.lock=[[package]]\nname = "flask"\n'
find_it
check 'poetry: locked packages, and the app' contains "$OUTPUT" 'poetry installs=1 by-itself=0 local=false own=true'
app "$project" 'poetry.lock=[[package]]\n[package.source]\ntype = "directory"\n'
find_it
check 'poetry: folders of the app' contains "$OUTPUT" 'poetry installs=1 by-itself=0 local=true own=false'
app 'pyproject.toml=[tool.poetry]\nname = "x"\n'
find_it
check 'poetry: a missing lock is told' contains "$OUTPUT" 'there is no poetry.lock'
app Pipfile 'Pipfile.lock={"default": {"a": {"version": "==1", "hashes": ["sha256:00"]}, "b": {"path": "./b"}}}'
find_it
check 'Pipenv: folders go by themselves' contains "$OUTPUT" 'pip installs=1 by-itself=2 local=true'
app 'requirements.txt=flask\n' uv.lock
find_it
check 'two managers are told' contains "$OUTPUT" ' !     There are requirements.txt uv.lock; requirements.txt is used.'
app "Pipfile.lock={\n\"_meta\": {\"requires\": {\n  \"python_version\": \"3.98\"\n}}}"
find_in_mirror "file://$WORK/nowhere"
check 'a Pipfile.lock asks for a version' contains "$OUTPUT" 'Python 3.98, as asked for in Pipfile.lock, could not be had.'
question() { printf "$1" >"$WORK/pyproject.toml" && python3 -I -S "$PACK/lib/pyproject.py" "$WORK/pyproject.toml" "$2"; }
check 'uv: a version' equal "$(question '[tool.uv]\nrequired-version = "0.9.1"\n' uv-version)" '==0.9.1'
check 'uv: any version' equal "$(question '' uv-version)" ''
check 'poetry: a range' equal "$(question '[tool.poetry]\nrequires-poetry = ">=2.1"\n' poetry-version)" '>=2.1'
check 'poetry: no package' equal "$(question '[build-system]\n[tool.poetry]\npackage-mode = false\n' poetry-package)" false

release() { "$PACK/bin/release" "$APP"; }
app .heroku/python/bin/gunicorn 'app.py=app = Flask(__name__)\n'
chmod +x "$APP/.heroku/python/bin/gunicorn"
check 'Flask has a default process' contains "$(release)" '  web: gunicorn app:app --bind 0.0.0.0:$PORT'
touch "$APP/Procfile"
check 'not beside a Procfile' equal "$(release)" ''
app .heroku/python/bin/gunicorn manage.py site/wsgi.py
chmod +x "$APP/.heroku/python/bin/gunicorn"
check 'Django has a default process' contains "$(release)" '  web: gunicorn site.wsgi --bind 0.0.0.0:$PORT'
app app.py
check 'no server, no process' equal "$(release)" ''

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
