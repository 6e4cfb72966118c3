"""The files of the project: workflows call what make has, actions are pinned, versions agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted([*ROOT.glob(".github/workflows/*.yaml"), *ROOT.glob("deploy/github/*.yaml")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def steps(workflow):
    for job in yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_every_action_is_pinned_to_a_commit_with_its_tag_beside_it(workflow):
    text = workflow.read_text("utf-8")
    assert sum("uses" in step for step in steps(workflow)) == text.count("uses: ")
    for line in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(workflow):
    read = yaml.safe_load(workflow.read_text("utf-8"))
    assert read["permissions"] == {}
    assert all("permissions" in j and "timeout-minutes" in j for j in read["jobs"].values())


def test_workflows_call_targets_of_make():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text("utf-8"))
    assert set(ci["jobs"]["lint"]["strategy"]["matrix"]["target"]) <= targets
    called = {w for f in WORKFLOWS for s in steps(f) for w in re.findall(r"make ([a-z-]+)", str(s))}
    assert {"test-wheel", "test-dist", "site"} == called <= targets


def test_the_citation_and_the_changelog_have_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(PROJECT['version'])} \(", changes, re.MULTILINE)


def test_every_python_of_the_classifiers_is_in_the_workflow():
    listed = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text("utf-8"))
    assert listed <= set(ci["jobs"]["wheel"]["strategy"]["matrix"]["python"])


def test_pages_of_the_project_lead_somewhere():
    for page in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert "://" in link or (page.parent / link).exists(), (page.name, link)


def test_the_badges_of_the_readme_are_true():
    text = (ROOT / "README.md").read_text("utf-8")
    versions = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert f"[![Python {versions[0]} to {versions[-1]}](" in text
    assert PROJECT["license"] == "Apache-2.0"
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert config["tool"]["mypy"]["strict"] is True
    badges = re.findall(r"\[!\[([^]]+)\]", text)
    assert badges == [f"Python {versions[0]} to {versions[-1]}", "Apache-2.0", "Typed"]
