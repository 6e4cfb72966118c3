"""The command line starts fast: no command imports what it does not run."""

import os
import subprocess
import sys

import pytest

from trueward.cli import choices
from trueward.cli.app import app
from trueward.importers import sources
from trueward.refutation import CHECKS
from trueward.reporting import ROWS
from trueward.rlhf import KINDS
from trueward.simulation import MECHANISMS


def modules_after(*arguments):
    """Names of the modules that a command has imported when it ends."""
    code = (
        "import sys\n"
        "from trueward.cli.app import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    print('MODULES', *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["fit", "--help"]])
def test_help_and_version_load_neither_torch_nor_tables(arguments):
    heavy = {"torch", "numpy", "polars", "pyarrow", "scipy", "sklearn", "wordllama", "yaml"}
    assert not modules_after(*arguments) & heavy


def test_inspect_does_without_torch(tmp_path):
    answers = [f"question {i // 3},answer {i},{['1', '0', ''][i % 3]}" for i in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["prompt,response,feedback", *answers]))
    assert "torch._C" not in modules_after("inspect", str(tmp_path / "log.csv"))


def test_importing_the_library_loads_nothing_heavy():
    code = "import sys, trueward; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "numpy", "polars", "typer", "scipy"}


def test_names_in_help_texts_are_those_of_the_library():
    assert tuple(name.replace("_", "-") for name in MECHANISMS) == choices.MECHANISMS
    assert tuple(CHECKS) == choices.CHECKS
    assert tuple(KINDS) == choices.TRAINING_DATA
    assert choices.products() == sorted(sources())
    assert choices.REPORT_ROWS == ROWS


def test_the_shell_completes_the_name_of_a_command():
    environment = os.environ | {
        "_TRUEWARD_COMPLETE": "complete_bash",
        "COMP_WORDS": "trueward ins",
        "COMP_CWORD": "1",
    }
    code = "from trueward.cli.app import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.split() == ["inspect"]


def test_every_command_has_a_line_of_help():
    for command in app.registered_commands:
        assert (command.callback.__doc__ or "").strip()
