"""The command line has the commands, options and exit codes it had; it may have more."""

import subprocess
import sys

import pytest
from golden import shells
from golden.world import command, read

COMMANDS = read("commands.json")


def test_every_command_is_there():
    assert COMMANDS.keys() <= shells.structure().keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_same_arguments_and_options(name):
    found, wanted = shells.structure()[name], COMMANDS[name]
    assert found["arguments"] == wanted["arguments"]
    for flags, about in wanted["options"].items():
        assert flags in found["options"], f"{name} has lost {flags}"
        assert found["options"][flags] == about, f"{name} {flags}"


def test_a_case_ends_in_the_same_exit_code(tmp_path):
    """In their order, because some read what another wrote."""
    shells.inputs(tmp_path)
    wanted = read("exit_codes.json")
    assert list(wanted) == shells.COMMANDS
    found = {c: command(*shells.words_of(c, tmp_path))[0] for c in wanted}
    assert found == wanted


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "trueward", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
