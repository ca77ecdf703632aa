#!/bin/sh
# Becomes the executable of this machine's package. No Node process stays between the caller and it: signals, standard
# streams and exit code are its own.
here=$(dirname "$(readlink -f "$0")")
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
# Beside this package, or inside it where npm has nested it.
for package in "$here/../../ffrtmp-linux-$arch" "$here/../node_modules/ffrtmp-linux-$arch"; do
  [ -x "$package/bin/ffrtmp" ] && exec "$package/bin/ffrtmp" "$@"
done
echo "ffrtmp: the package ffrtmp-linux-$arch is not installed" >&2
echo "  try: npm install ffrtmp, without --omit=optional, on Linux with glibc, x64 or arm64" >&2
exit 125
