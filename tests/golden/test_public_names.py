"""What a user may import, set and add keeps its name; there may be more."""

import pytest
from golden import names
from golden.world import feedback, read
from helpers.forks import fork

import trueward as tw

WANTED = read("names.json")

PLUGIN = """
import torch.nn.functional as F
import trueward as tw


class Steady(tw.Method):
    \"\"\"L = mean l(s, y): everything that was not liked is bad.\"\"\"

    factor: float = 1.0
    paper = "none"

    def loss(self, out, b):
        return self.factor * F.binary_cross_entropy_with_logits(out.reward, b.y)
"""
USES = """
import sys
import torch
import trueward as tw
from trueward.cli.app import main

torch.set_num_threads(1)
assert "steady" in tw.methods(), sorted(tw.methods())
assert tw.methods()["steady"].__name__ == "Steady"
x = torch.sin(torch.arange(240.0).reshape(60, 4) ** 2)
y = (x[:, 0] > 0).float()
log = tw.Feedback(x=x, y=y, group=torch.arange(60))
model = tw.fit("steady", *log.split(0.4), epochs=1, hidden=(2,), factor=2.0, precision="fp32")
model.save(sys.argv[1])
again = tw.load(sys.argv[1])
assert again.method == "steady"
assert torch.equal(again.score_features(x).reward, model.score_features(x).reward)
main(["methods", "steady"])
"""


def test_every_public_name_is_still_there():
    assert set(WANTED["names"]) <= set(tw.__all__)
    for name in WANTED["names"]:
        assert getattr(tw, name) is not None


# parameters that have another name since: (callable, then) -> now
RENAMED = {("Feedback", "coverage"): "export_scope"}


@pytest.mark.parametrize("name", WANTED["calls"])
def test_a_public_function_is_called_as_it_was(name):
    found = names.calls()[name]
    for parameter, kind in WANTED["calls"][name].items():
        assert found.get(RENAMED.get((name, parameter), parameter)) == kind, parameter


def test_the_methods_have_their_names():
    assert WANTED["methods"].keys() <= tw.methods().keys()
    assert len(WANTED["methods"]) == 34


def test_the_methods_declare_what_they_did():
    found = names.methods()
    for name, declared in WANTED["methods"].items():
        assert found[name] == declared, name


def test_the_training_has_the_options_it_had():
    assert names.options(tw.Train) == WANTED["training"]


def test_a_method_may_want_other_options_of_the_training():
    def trained(method, **chosen):
        model = tw.fit(method, *feedback(), hidden=(2,), precision="fp32", **chosen)
        return [model.report["training"][k] for k in ("epochs", "patience")]

    assert trained("labelwave") == [40, 2]
    assert trained("labelwave", patience=3, epochs=5) == [5, 3]
    assert trained("naive", epochs=1) == [1, 5]


def test_an_entry_point_of_a_package_is_a_method(tmp_path):
    """A package that is installed beside this one: a module, and the metadata that names it."""
    site = tmp_path / "site"
    about = site / "steady_rewards-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: steady-rewards\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[trueward.methods]\nsteady = steady_rewards:Steady\n")
    (site / "steady_rewards.py").write_text(PLUGIN)
    script = tmp_path / "uses.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(site)!r})\n{USES}")
    code, out, err = fork(script, [tmp_path / "rm"], tmp_path / "output")
    assert code == 0, err
    assert out.startswith("# steady")
