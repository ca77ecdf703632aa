#!/usr/bin/env bash
# Runs every check that needs no running workload. Each failure prints what to do.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

check() {
  local hint=$1
  shift
  if "$@"; then
    echo "ok: $*"
  else
    failed=1
    printf 'FAILED: %s\n  try: %s\n' "$*" "$hint" >&2
  fi
}

check "npm run format, then change what biome still names above; break each import cycle by hand" \
  node_modules/.bin/biome ci --colors=off .
check "correct the lines that tsc names above" node_modules/.bin/tsc -p .
check "correct the lines that tsc names above" node_modules/.bin/tsc -p src/web/page
check "remove the unused code, or add it to knip.json with the reason" node_modules/.bin/knip --no-progress
check "delete the code that only tests call, or move it to test/" \
  node_modules/.bin/knip --no-progress --production --config knip.production.jsonc
check "move the code, or import from a folder further down" node_modules/.bin/bun scripts/checkImports.ts
check "node_modules/.bin/bun scripts/policySchema.ts" node_modules/.bin/bun scripts/policySchema.ts --check
check "node_modules/.bin/bun scripts/openApi.ts" node_modules/.bin/bun scripts/openApi.ts --check
check "node_modules/.bin/bun scripts/dashboard.ts" node_modules/.bin/bun scripts/dashboard.ts --check
check "node_modules/.bin/bun scripts/jsonPage.ts" node_modules/.bin/bun scripts/jsonPage.ts --check
check "correct the record named above, or run node_modules/.bin/bun scripts/adrIndex.ts" \
  node_modules/.bin/bun scripts/adrIndex.ts --check
check "correct the link, or the name of the function or test" node_modules/.bin/bun scripts/docLinks.ts
check "in the lines above, name the actor and use a common verb" node_modules/.bin/bun scripts/prose.ts
exit "$failed"
