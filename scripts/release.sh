#!/usr/bin/env bash
# Builds a release in dist/release: a .deb, a tarball and an npm package for each platform, an SBOM,
# checksums. `scripts/release.sh amd64` builds it for one platform alone.
set -u
. "$(dirname "$0")/setup.sh"

install_packages
need_programs dpkg-deb=dpkg
node_modules/.bin/bun scripts/release.ts "$@" || fail "the release failed: see above"
