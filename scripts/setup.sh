# Sourced by the other scripts: brings a fresh Debian or Ubuntu machine with git, Node and npm to where ffrtmp can be
# built, and builds it. `need_programs NAME...` installs further programs by apt when root, and says what is missing
# otherwise.

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
    # Not "npm ci": it insists on packages for every other platform, which not every registry has. Versions are pinned.
    npm install --no-save --no-audit --no-fund --loglevel=error || fail "npm install failed: see above"
  fi
  # Some npm configurations do not run install scripts; this one puts the runtime's executable in place.
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
    echo "missing: ${missing[*]} (install them with: apt-get install ${missing[*]}); what needs them is skipped"
    return 0
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get install -y -qq --no-install-recommends "${missing[@]}" || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; }; } >/dev/null 2>&1 ||
    echo "apt-get could not install ${missing[*]}; what needs them is skipped"
}
