"""A damaged export breaks a rule; whatever a library raises on its files is not an error of trueward."""

import json
import shutil

import pytest
from golden.world import DATA
from helpers.commands import run

pytest.importorskip("transformers", reason="needs the extra `text`")


def tree(name, *keys, to):
    """Change a value of a JSON file."""

    def change(folder):
        content = inside = json.loads((folder / name).read_text())
        for key in keys[:-1]:
            inside = inside[key]
        inside[keys[-1]] = to
        (folder / name).write_text(json.dumps(content))

    return change


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("encoder", tree("2_Dense/config.json", "out_features", to=1)),
        ("encoder", text("2_Dense/config.json", "{}")),
        ("encoder", tree("modules.json", 2, "type", to=5)),
        ("stock", text("chat_template.jinja", "{% for m of messages %}")),
        ("scorer", tree("reward_card.json", "head", to=[])),
    ],
)
def test_a_damaged_file_breaks_a_rule(tmp_path, capsys, kind, damage):
    folder = shutil.copytree(DATA / "exports" / kind, tmp_path / "out")
    damage(folder)
    code, out, err = run(["verify-export", str(folder)], capsys)
    assert code == 1
    assert "FAIL" in out
    assert "error: " not in err
