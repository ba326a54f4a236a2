# Makes what was unpacked usable where it is.

# Directories below .apt, most important first. The machine's own libraries, in
# multiarch folders, must be named too: nobody runs ldconfig for us.
multiarch() { printf '%s-linux-gnu' "$HOSTTYPE"; }

# Prints the statements that point the usual variables at a root: environment_of ROOT
environment_of() {
  local root=$1 arch folder libraries="" includes="" perl=""
  arch=$(multiarch)
  # Some keep libraries one level deeper, where alternatives or the linker's configuration would find them.
  for folder in "usr/lib/$arch" "lib/$arch" usr/lib lib; do libraries+="$root/$folder:"; done
  for folder in ".apt/usr/lib/$arch"/{openblas-*,blas,lapack,pulseaudio,mysql}; do
    if [[ -d $folder ]]; then libraries+="$root/${folder#.apt/}:"; fi
  done
  for folder in "usr/include/$arch" usr/include; do includes+="$root/$folder:"; done
  for folder in .apt/usr/share/perl5 .apt/usr/share/perl/5.* ".apt/usr/lib/$arch"/perl5/5.* ".apt/usr/lib/$arch"/perl/5.*; do
    perl+="$root/${folder#.apt/}:"
  done
  printf 'export PATH="%s/usr/bin:%s/usr/sbin:%s/bin:$PATH"\n' "$root" "$root" "$root"
  printf 'export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:-}"\n' "$libraries"
  printf 'export LIBRARY_PATH="%s${LIBRARY_PATH:-}"\n' "$libraries"
  printf 'export CPATH="%s${CPATH:-}"\n' "$includes"
  printf 'export PKG_CONFIG_PATH="%s/usr/lib/%s/pkgconfig:%s/usr/lib/pkgconfig:%s/usr/share/pkgconfig:${PKG_CONFIG_PATH:-}"\n' "$root" "$arch" "$root" "$root"
  printf 'export XDG_DATA_DIRS="%s/usr/share:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}"\n' "$root"
  if [[ -n $perl ]]; then printf 'export PERL5LIB="%s${PERL5LIB:-}"\n' "$perl"; fi
  if [[ -d .apt/usr/lib/python3/dist-packages ]]; then
    printf 'export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}%s/usr/lib/python3/dist-packages"\n' "$root"
  fi
}

# What names its own place: prefixes of pkg-config, and links out of the root.
correct_paths() {
  local file target
  find .apt -type f -path '*/pkgconfig/*.pc' -exec sed -i -e "s#^prefix=/usr#prefix=$BUILD_DIR/.apt/usr#" {} +
  while IFS= read -r -d '' file; do
    target=$(readlink "$file")
    if [[ -e .apt$target && ! -e $target ]]; then ln -sfn "/app/.apt$target" "$file"; fi
  done < <(find .apt -type l -lname '/*' -print0)
}

write_environment() {
  mkdir -p .profile.d
  # The first of all: the language's own folders come before these on the PATH.
  environment_of /app/.apt >.profile.d/000_apt.sh
  # For the buildpacks that follow, where this one may be written to.
  if [[ -w $PACK_DIR ]]; then environment_of "$BUILD_DIR/.apt" >"$PACK_DIR/export"; fi
}
