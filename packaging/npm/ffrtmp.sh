#!/bin/sh
# Replaces itself with the ffrtmp of the package for this machine. No Node process stays in between, so
# signals, standard streams and the exit code are those of ffrtmp.
here=$(dirname "$(readlink -f "$0")")
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
# npm installs the package next to this one or inside it.
for package in "$here/../../ffrtmp-linux-$arch" "$here/../node_modules/ffrtmp-linux-$arch"; do
  [ -x "$package/bin/ffrtmp" ] && exec "$package/bin/ffrtmp" "$@"
done
echo "ffrtmp: the package ffrtmp-linux-$arch is not installed" >&2
echo "  try: npm install ffrtmp, without --omit=optional, on Linux with glibc, x64 or arm64" >&2
exit 125
