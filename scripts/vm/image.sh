# Sourced by vm.sh. Builds the disk images and kernels of the virtual machines in a cache outside the
# repository.

debian_suite=bookworm
debian_mirror=http://deb.debian.org/debian
debian_security=http://deb.debian.org/debian-security
# apt takes a package from backports only when no other suite has it.
debian_backports=trixie-backports
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ffrtmp-vm

# Prints a hash of every file that the images depend on. A new release of a Debian package does not change the
# hash: run `vm.sh build --fresh` to get it.
image_key() {
  {
    cat scripts/vm/image.sh
    find scripts/vm/image -type f -print0 | sort -z | xargs -0 sha256sum
    node_modules/.bin/bun --revision
  } | sha256sum | cut -c 1-16
}

image_directory() { echo "$cache/$(image_key)"; }

# build_image [--fresh]: builds the images unless they exist. A second build at the same time waits for the
# first.
build_image() {
  local target lock start=$SECONDS
  target=$(image_directory) || return 1
  mkdir -p "$cache" || return 1
  exec {lock}>"$cache/build.lock"
  flock "$lock"
  if [ "${1-}" = --fresh ]; then rm -rf "$target"; fi
  if [ ! -f "$target/root.img" ]; then
    can_build || { exec {lock}>&-; return 77; }
    make_image "$target" || { exec {lock}>&-; return 1; }
    echo "built $target in $((SECONDS - start)) s"
  fi
  exec {lock}>&-
}

can_build() {
  if [ "$(id -u)" -ne 0 ]; then
    echo "building the image of a virtual machine needs root, because the image has its own users and devices"
    return 1
  fi
  need_programs mmdebstrap=mmdebstrap mke2fs=e2fsprogs sfdisk=fdisk ssh-keygen=openssh-client
  local program
  for program in mmdebstrap mke2fs sfdisk ssh-keygen; do
    command -v "$program" >/dev/null || { echo "building the image of a virtual machine needs $program"; return 1; }
  done
}

# Builds beside the target and renames, so that the directory of a key is always complete.
make_image() (
  set -e
  target=$1
  work=$(mktemp -d "$cache/making.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  ssh-keygen -q -t ed25519 -N '' -C ffrtmp-vm -f "$work/key"
  make_root "$work" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
  # No journal, because nothing on the disk is kept. The file is sparse and can grow to 6 GiB.
  mke2fs -q -t ext4 -m 0 -O ^has_journal -E lazy_itable_init=1 -d "$work/root" "$work/root.img" 6G
  make_data_disk "$work/data.img"
  for version in "${kernels[@]}"; do
    cp "$work"/root/boot/vmlinuz-"$version".* "$work/vmlinuz-$version"
    cp "$work"/root/boot/initrd.img-"$version".* "$work/initrd-$version"
  done
  rm -rf "$work/root"
  chmod 755 "$work"
  mv -T "$work" "$target"
)

make_root() {
  local work=$1 packages
  packages=$(sed 's/ *#.*//' scripts/vm/image/packages | grep . | paste -s -d ,)
  # shellcheck disable=SC2016 # mmdebstrap expands $1
  mmdebstrap --variant=minbase --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --setup-hook='cp -r scripts/vm/image/root/. "$1"' \
    --customize-hook='cp -r --no-preserve=ownership scripts/vm/image/root/. "$1"' \
    --customize-hook="install -m 755 node_modules/.bin/bun \"\$1/usr/local/bin/bun\"" \
    --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash ffuser' \
    --customize-hook="install_key() { install -d -m 700 -o \$2 -g \$2 \"\$1/.ssh\"; install -m 600 -o \$2 -g \$2 '$work/key.pub' \"\$1/.ssh/authorized_keys\"; }; install_key \"\$1/root\" 0; install_key \"\$1/home/ffuser\" 1000" \
    --customize-hook='mkdir -p "$1/data" "$1/work"' \
    --customize-hook='chroot "$1" systemctl enable systemd-networkd' \
    --customize-hook='chroot "$1" systemctl disable systemd-networkd-wait-online' \
    --customize-hook='chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer' \
    "$debian_suite" "$work/root" "$debian_mirror" \
    "deb $debian_mirror $debian_suite-updates main" "deb $debian_security $debian_suite-security main" \
    "deb $debian_mirror $debian_backports main"
}

# Makes a disk with a file system in a partition. A limit by path has to find the whole disk.
make_data_disk() {
  truncate -s 256M "$1"
  echo '2048,' | sfdisk -q "$1"
  mke2fs -q -t ext4 -m 0 -E offset=$((2048 * 512)),lazy_itable_init=1 "$1" $((255 * 1024 - 64))k
}
