"""What is installed and what is published: the wheel and the source archive hold what they should."""

import re
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "trueward"
KINDS = {".py", ".typed", ".yaml", ".json", ".html", ".css", ".ts", ".js"}
JUDGE = {".safetensors", ".md"}  # the judge for smoke tests, and the attributions of its data
JUNK = re.compile(
    r"__pycache__|\.pyc$|\.egg-info|~$|\.(orig|rej|swp|log|tmp|bak)$|/\.|\.venv|\.hypothesis"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source archive, built from this checkout without a network."""
    from hatchling import build

    place = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return place / build.build_wheel(str(place)), place / build.build_sdist(str(place))


def package_files():
    return {
        p.relative_to(PACKAGE.parent).as_posix()
        for p in PACKAGE.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }


def test_the_wheel_is_the_package_its_metadata_and_its_licence(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        about = next(n.partition("/")[0] for n in names if ".dist-info/" in n)
        metadata = wheel.read(f"{about}/METADATA").decode()
        licence = wheel.read(f"{about}/licenses/LICENSE")
        entries = wheel.read(f"{about}/entry_points.txt").decode()
    rest = {
        f"{about}/{n}"
        for n in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert names == package_files() | rest
    assert {PurePosixPath(n).suffix for n in names - rest} == KINDS | JUDGE
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in metadata
    assert "trueward = trueward.cli.start:main" in entries


def test_the_wheel_has_types_configs_pages_and_the_code_of_exports(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    assert "trueward/py.typed" in names
    assert "trueward/reporting/page.html" in names
    assert {f"trueward/benchmark/configs/{n}.yaml" for n in ("quick", "real", "beyond")} <= names
    shipped = {p.name for p in (PACKAGE / "exporting" / "shipped").iterdir() if p.is_file()}
    assert {f"trueward/exporting/shipped/{n}" for n in shipped} <= names
    assert {"modeling_trueward.py", "scorer.py", "released.json"} <= shipped


def test_the_source_archive_builds_and_tests_the_package_and_holds_no_junk(built):
    with tarfile.open(built[1]) as archive:
        assert all(m.isfile() or m.isdir() for m in archive.getmembers())
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    top = {n.partition("/")[0] for n in names}
    assert top - {".gitignore"} == {
        "src", "tests", "docs", "benchmarks", "examples", "deploy", ".ci", ".github", "README.md",
        "SECURITY.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "RELEASING.md",
        "CITATION.cff", "LICENSE", "Makefile", "constraints.txt", "pyproject.toml", "PKG-INFO",
    }  # fmt: skip
    assert {f"src/{n}" for n in package_files()} == {n for n in names if n.startswith("src/")}
    assert "tests/fuzz/test_fuzz.py" in names
    assert not [n for n in names if JUNK.search(n) and n != ".gitignore"]
