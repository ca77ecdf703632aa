# Sourced by the other scripts. Prepares a fresh Debian or Ubuntu machine that has git, Node.js and npm, and
# builds ffrtmp. `need_programs` installs further programs by apt as root, and otherwise prints what is
# missing.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

install_packages() {
  for program in node npm; do
    command -v "$program" >/dev/null || fail "$program is missing: install Node.js 20 or later with npm, then run this again"
  done
  if [ ! -x node_modules/.bin/bun ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "installing npm packages"
    # Not "npm ci": it requires the packages of all platforms, which some registries lack. Versions are
    # pinned.
    npm install --no-save --no-audit --no-fund --loglevel=error || fail "npm install failed: see above"
  fi
  # Some npm configurations run no install scripts. The script of the bun package installs the executable.
  node_modules/.bin/bun --version >/dev/null 2>&1 || node node_modules/bun/install.js || fail "the bun package has no executable for this machine"
}

build() {
  echo "building dist/ffrtmp"
  node_modules/.bin/bun scripts/build.ts || fail "the build failed: see above"
}

# need_programs PROGRAM=PACKAGE...
need_programs() {
  local missing=() entry
  for entry in "$@"; do
    command -v "${entry%%=*}" >/dev/null || missing+=("${entry##*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (tests that need them are skipped)"
    echo "  try: apt-get install ${missing[*]}"
    return 0
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get install -y -qq --no-install-recommends "${missing[@]}" || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; }; } >/dev/null 2>&1 ||
    echo "apt-get cannot install ${missing[*]}: tests that need them are skipped"
}

# Puts promtool into ~/.cache/ffrtmp. Installing its package would start a Prometheus server too.
need_promtool() {
  local directory=$HOME/.cache/ffrtmp work
  if [ -x "$directory/promtool" ] || command -v promtool >/dev/null; then return 0; fi
  if ! command -v apt-get >/dev/null; then
    echo "missing: promtool (tests that need it are skipped)"
    return 0
  fi
  echo "fetching promtool"
  work=$(mktemp -d)
  # apt downloads as a user of its own.
  chmod 755 "$work"
  if (cd "$work" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1; then
    mkdir -p "$directory" && mv "$work/usr/bin/promtool" "$directory/promtool"
  else
    echo "apt-get cannot download prometheus: tests that need promtool are skipped"
  fi
  rm -rf "$work"
}
