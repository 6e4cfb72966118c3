"""Specs of language models: recreated from moved folders and pinned hub commits."""

import json
import shutil

import pytest
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.features import backbone, identity

transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")

LONG = "rain falls on the tin roof " * 40


# --- specs and moved folders ------------------------------------------------------------------


def test_a_spec_recreates_the_backbone(models):
    model = tiny.exact(models["gemma3"], ",layer=-2,pooling=mean,max_length=64,normalize=true")
    recreated = backbone(model.spec())
    assert recreated.spec() == model.spec()
    assert torch.equal(recreated.encode(["a"], ["b"]), model.encode(["a"], ["b"]))


def test_a_moved_folder_is_found_through_the_environment_variable_by_digest(
    llama, tmp_path, monkeypatch
):
    spec = tiny.exact(llama).spec()
    moved = tmp_path / "moved"
    shutil.move(llama, moved)
    with pytest.raises(TruewardError, match="set TRUEWARD_BACKBONE to its folder"):
        backbone(spec)
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(moved))
    assert backbone(spec).spec() == spec
    monkeypatch.setenv("TRUEWARD_BACKBONE", str(tiny.build("llama", tmp_path / "b", seed=1)))
    with pytest.raises(TruewardError, match="computed with files of digest"):
        backbone(spec)


def test_a_changed_folder_is_an_error(llama):
    spec = tiny.exact(llama).spec()
    tiny.build("llama", llama, seed=1)
    with pytest.raises(TruewardError, match="computed with files of digest"):
        backbone(spec)


def test_the_identity_does_not_depend_on_the_path(llama, tmp_path):
    copy = shutil.copytree(llama, tmp_path / "copy")
    a, b = tiny.exact(llama).spec(), tiny.exact(copy).spec()
    assert a != b
    assert identity(a) == identity(b)
    assert identity(a) != identity(tiny.exact(llama, ",layer=1").spec())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "installed one is 1"),
        ({"layer": None}, "description of a backbone is incomplete"),
    ],
)
def test_a_spec_of_another_version_is_an_error(models, change, message):
    spec = {**json.loads(tiny.exact(models["llama"]).spec()), **change}
    spec = {k: v for k, v in spec.items() if v is not None or k == "revision"}
    with pytest.raises(TruewardError, match=message):
        backbone(json.dumps(spec))


# --- models of the hub ------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one model: the recorded requests, and the errors that it raises."""
    place = tiny.build("bert", tmp_path / "models--me--bert" / "snapshots" / COMMIT)
    requests, raises = [], []

    def fetch(name, revision=None, local_files_only=False, **_):
        requests.append((name, revision, local_files_only))
        if raises:
            raise raises[0]
        return str(place)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    return requests, raises


def test_a_hub_model_is_pinned_to_its_commit_and_recreated_without_a_request(hub):
    requests, _ = hub
    spec = backbone("me/bert,dtype=float32").spec()
    fields = json.loads(spec)
    assert (fields["model"], fields["revision"]) == ("me/bert", COMMIT)
    assert requests.pop() == ("me/bert", None, False)
    assert backbone(spec).spec() == spec
    assert requests == [("me/bert", COMMIT, True)]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("GatedRepoError", TruewardError, "me/bert is gated: request access"),
        ("RepositoryNotFoundError", UsageError, "the hub has no such model"),
        ("HFValidationError", UsageError, "not a valid hub name"),
        ("LocalEntryNotFoundError", TruewardError, "HF_HUB_OFFLINE forbids"),
        ("ConnectionResetError", TruewardError, "run the same command again"),
    ],
)
def test_an_error_of_the_hub_says_what_to_do(hub, name, kind, message):
    from huggingface_hub import errors

    error = getattr(errors, name, ConnectionResetError)
    hub[1].append(error.__new__(error))
    with pytest.raises(kind, match=message) as e:
        backbone("me/bert")
    assert e.value.exit_code == kind.exit_code
