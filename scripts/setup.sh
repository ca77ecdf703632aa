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
  if command -v promtool >/dev/null; then return 0; fi
  need_files promtool prometheus=usr/bin/promtool
}

# Puts nginx with its RTMP module into ~/.cache/ffrtmp. Installing the package would start a web server too.
need_nginx() {
  need_files nginx nginx=usr/sbin/nginx libnginx-mod-rtmp=usr/lib/nginx/modules/ngx_rtmp_module.so
}

# Puts Debian's cron into ~/.cache/ffrtmp. Installing the package would start it.
need_cron() {
  need_files cron cron=usr/sbin/cron
}

# Puts an OpenSSH server into ~/.cache/ffrtmp. Installing the package would start it, and create a user.
need_sshd() {
  if [ -x /usr/sbin/sshd ] || [ -x "$HOME/.cache/ffrtmp/sshd" ]; then return 0; fi
  need_files sshd openssh-server=usr/sbin/sshd "libwrap0=usr/lib/$(uname -m)-linux-gnu/libwrap.so.0.7.6"
  # The name under which sshd loads it.
  ln -sf libwrap.so.0.7.6 "$HOME/.cache/ffrtmp/libwrap.so.0"
}

# Puts a whole Slurm into ~/.cache/ffrtmp/slurm: 14 MB. Installing its packages would start services.
need_slurm() {
  local directory=$HOME/.cache/ffrtmp/slurm work
  if [ -x "$directory/usr/sbin/slurmd-wlm" ]; then return 0; fi
  begin_fetch slurmd || return 0
  mkdir "$work/tree"
  if unpack_packages "$work/tree" slurmctld slurmd slurm-client slurm-wlm-basic-plugins libhwloc15 &&
    rm -rf "$directory" && mv "$work/tree" "$directory"; then
    :
  else
    echo "apt-get cannot download slurmd: tests that need it are skipped"
  fi
  rm -rf "$work"
}

# Puts nats-server 2.11 or later into ~/.cache/ffrtmp, and as nats-server-2.10 the one of Debian 13, which is a hub that hands
# out no jobs. Debian 12 has an older one, and only unstable has 2.11.
need_nats_server() {
  local program found=
  for program in "$HOME/.cache/ffrtmp/nats-server" nats-server /usr/sbin/nats-server; do
    if has_nats_version "$program" 2.11; then found=$program; fi
  done
  if [ -z "$found" ]; then fetch_nats_server nats-server unstable 2.11; fi
  if [ ! -x "$HOME/.cache/ffrtmp/nats-server-2.10" ]; then fetch_nats_server nats-server-2.10 trixie 2.10; fi
}

# fetch_nats_server FILE SUITE OLDEST: takes nats-server out of a suite of Debian, by a configuration of apt that is not the
# system's: no later installation takes a package from there
fetch_nats_server() {
  local file=$HOME/.cache/ffrtmp/$1 suite=$2 oldest=$3 work mirror
  begin_fetch "nats-server $oldest or later" || return 0
  mkdir -p "$work/etc/apt.conf.d" "$work/etc/preferences.d" "$work/state/lists/partial" "$work/cache/archives/partial"
  # The machine's own mirror: the one of the first archive with the component main.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 2>/dev/null |
    grep -v -e security -e ubuntu | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian/} $suite main" \
    >"$work/etc/sources.list"
  local apt=(apt-get -qq -o "Dir::Etc=$work/etc" -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache")
  # dpkg's database stays the system's, which the download does not change.
  if (cd "$work" && "${apt[@]}" update && "${apt[@]}" download nats-server && dpkg-deb -x nats-server_*.deb .) >"$work/log" 2>&1 &&
    has_nats_version "$work/usr/sbin/nats-server" "$oldest"; then
    mv "$work/usr/sbin/nats-server" "$file"
  else
    echo "apt-get cannot download nats-server $oldest or later from Debian $suite: tests that need it are skipped"
    sed 's/^/  /' "$work/log" | tail -n 3
  fi
  rm -rf "$work"
}

# has_nats_version PROGRAM OLDEST: reports whether it is nats-server of this version or a later one
has_nats_version() {
  local version
  version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p')
  [ -n "$version" ] && [ "$(printf '%s\n' "$2" "$version" | sort -V | head -n 1)" = "$2" ]
}

# begin_fetch NAME: makes the directory $work for packages, and the one in ~/.cache; fails where there is no apt
begin_fetch() {
  if ! command -v apt-get >/dev/null; then
    echo "missing: $1 (tests that need it are skipped)"
    return 1
  fi
  echo "fetching $1"
  work=$(mktemp -d)
  # apt downloads as a user of its own.
  chmod 755 "$work"
  mkdir -p "$HOME/.cache/ffrtmp"
}

# unpack_packages DIRECTORY PACKAGE...: downloads packages to $work and unpacks them
unpack_packages() {
  local directory=$1 entry
  shift
  (cd "$work" && apt-get download -qq "$@" && for entry in *.deb; do dpkg-deb -x "$entry" "$directory" || exit; done) >/dev/null 2>&1
}

# need_files PROGRAM PACKAGE=FILE...: takes files out of packages
need_files() {
  local directory=$HOME/.cache/ffrtmp program=$1 entry work
  shift
  if [ -x "$directory/$program" ]; then return 0; fi
  begin_fetch "$program" || return 0
  # The program is the first file and comes last: with it all are there.
  local files=()
  for entry in "$@"; do files=("${entry##*=}" "${files[@]}"); done
  if unpack_packages "$work" "${@%%=*}" && (cd "$work" && mv "${files[@]}" "$directory"); then
    :
  else
    echo "apt-get cannot download ${*%%=*}: tests that need $program are skipped"
  fi
  rm -rf "$work"
}
