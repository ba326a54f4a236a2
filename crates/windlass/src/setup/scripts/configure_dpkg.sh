#!/bin/bash
# Called by mmdebstrap when the essential packages are unpacked and not yet configured: leaves
# manuals and translations out of all that is installed from now on, in images built on top as well.
set -euo pipefail
root=$1
mkdir -p "$root/etc/dpkg/dpkg.cfg.d" "$root/etc/apt/apt.conf.d"
cat >"$root/etc/dpkg/dpkg.cfg.d/windlass" <<'CONFIG'
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
path-exclude=/usr/share/lintian/*
force-unsafe-io
CONFIG
cat >"$root/etc/apt/apt.conf.d/80windlass" <<'CONFIG'
Acquire::Languages "none";
APT::Install-Recommends "false";
CONFIG
# dpkg.cfg.d does not apply to what was unpacked before.
rm -rf "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/lintian
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 ! -name locale.alias -exec rm -rf {} +
find "$root/usr/share/doc" -mindepth 2 -maxdepth 2 ! -name copyright -exec rm -rf {} +
