#!/bin/sh
# Executes the ffrtmp of this machine's package in its own place. No Node process stays in between, so
# signals, standard streams and the exit code are those of ffrtmp.
here=$(dirname "$(readlink -f "$0")")
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
# npm installs the package beside this one or inside it.
for package in "$here/../../ffrtmp-linux-$arch" "$here/../node_modules/ffrtmp-linux-$arch"; do
  [ -x "$package/bin/ffrtmp" ] && exec "$package/bin/ffrtmp" "$@"
done
echo "ffrtmp: the package ffrtmp-linux-$arch is not installed" >&2
echo "  try: npm install ffrtmp, without --omit=optional, on Linux with glibc, x64 or arm64" >&2
exit 125
