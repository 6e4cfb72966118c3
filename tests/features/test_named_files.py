"""A backbone folder names files in itself only, and its digest covers every file that is read."""

import json
import re
from pathlib import Path

import pytest

from trueward.core.errors import TruewardError
from trueward.features.backbones import backbone
from trueward.features.transformers.model_folder import complete_model
from trueward.features.transformers.sentence_transformers_layout import load_dense, read_modules


@pytest.fixture
def folder(tmp_path):
    """The files of a model, of which only names and contents matter here."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def modules(folder, *paths):
    """Write modules.json with a linear layer in each of these folders."""
    entries = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    entries += [{"type": "sentence_transformers.models.Dense", "path": path} for path in paths]
    (folder / "modules.json").write_text(json.dumps(entries))


def digest(folder):
    return complete_model(folder, "model").digest


@pytest.mark.parametrize(
    "path", ["..", "../other", "/etc", "a/b", "a\\b", ".", ".hidden", 7, None, ["a"]]
)
def test_a_module_outside_of_the_folder_is_refused(folder, path):
    modules(folder, path)
    with pytest.raises(TruewardError, match=r"should name folders beside it, and names"):
        complete_model(folder, "model")


@pytest.mark.parametrize("content", ["[7]", '["a"]', "[" * 5000, "{", "[null]"])
def test_a_damaged_list_of_modules_is_one_sentence(folder, content):
    (folder / "modules.json").write_text(content)
    with pytest.raises(TruewardError, match=r"modules\.json"):
        complete_model(folder, "model")


@pytest.mark.parametrize("name", ["2_Dense", "dense", "projection-1"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin", "config.json"])
def test_the_digest_covers_the_files_of_a_module_by_any_name(folder, name, file):
    modules(folder, name)
    (folder / name).mkdir()
    (folder / name / file).write_bytes(b"one")
    before = digest(folder)
    (folder / name / file).write_bytes(b"two")
    assert digest(folder) != before


def test_the_digest_leaves_out_what_is_not_read(folder):
    before = digest(folder)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"no module of modules.json")
    (folder / "README.md").write_text("words")
    (folder / "pytorch_model.bin").write_bytes(b"not read beside model.safetensors")
    assert digest(folder) == before


def test_weights_of_torch_are_read_and_covered_beside_safetensors_of_another_name(folder):
    (folder / "model.safetensors").rename(folder / "model-extra.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"one")
    before = digest(folder)
    (folder / "pytorch_model.bin").write_bytes(b"two")
    assert digest(folder) != before


def test_the_digest_of_a_local_folder_does_not_believe_the_name_of_a_file(folder):
    (folder / "blobs").mkdir()
    blob = folder / "blobs" / ("a" * 64)
    blob.write_bytes(b"one")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(blob)
    before = digest(folder)
    blob.write_bytes(b"other")
    assert digest(folder) != before


def test_the_digest_covers_all_files_that_a_tokenizer_can_have(folder):
    root = Path(pytest.importorskip("transformers").__file__).parent
    sources = [*root.glob("models/*/tokenization_*.py"), *root.glob("tokenization*.py")]
    found = {"additional_chat_templates/tool.jinja", "tokenizer.4.0.0.json"}
    for source in sources:
        for names in re.findall(r"VOCAB_FILES_NAMES\s*=\s*\{([^}]*)\}", source.read_text("utf-8")):
            found |= set(re.findall(r':\s*"([\w./-]+)"', names))
    assert len(found) > 15
    (folder / "additional_chat_templates").mkdir()
    for name in found:
        before = digest(folder)
        (folder / name).write_text('{"changed": true}')
        assert digest(folder) != before, name


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"transformers_weights": "other.safetensors"}),
        ("config.json", {"attn_implementation": "someone/kernels"}),
        ("config.json", {"text_config": {"_attn_implementation": "someone/kernels@main"}}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["../tokenizer.4.json"]}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["/tmp/tokenizer.4.json"]}),
    ],
)
def test_other_files_and_code_of_the_hub_are_not_followed(folder, file, content):
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(TruewardError, match=r"which is not (followed|read)"):
        complete_model(folder, "model")


@pytest.mark.parametrize("listed", [["../x.safetensors"], [{}], [7], [None]])
def test_shards_outside_of_the_folder_are_missing(folder, listed):
    index = {"weight_map": dict(enumerate(listed))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TruewardError, match="has no weights"):
        complete_model(folder, "model")


def test_a_layer_that_only_a_saved_model_names_is_not_read(folder, tmp_path):
    modules(folder, "2_Dense")
    model = complete_model(folder, "model")
    assert read_modules(model).dense == ("2_Dense",)
    (tmp_path / "other").mkdir()
    for path in ("../other", str(tmp_path / "other"), "3_Dense"):
        with pytest.raises(TruewardError, match=r"has no module .* in its modules\.json"):
            load_dense(model, path)


def test_weights_of_a_layer_that_cannot_be_read_are_one_sentence(folder):
    modules(folder, "2_Dense")
    (folder / "2_Dense").mkdir()
    for name in (None, "model.safetensors", "pytorch_model.bin"):
        for file in (folder / "2_Dense").iterdir():
            file.unlink()
        if name:
            (folder / "2_Dense" / name).write_bytes(b"\x80\x04damaged")
        with pytest.raises(TruewardError, match="should hold the weights of a linear layer"):
            load_dense(complete_model(folder, "model"), "2_Dense")


SPEC = {"name": "transformers", "version": 2, "model": "none", "revision": None, "digest": "0"}
READING = {"template": "chat", "max_length": 64, "layer": 2, "pooling": "last", "dtype": "float32"}
READING |= {"normalize": False, "dense": []}


WRONG = (
    *({"layer": 1e300}, {"layer": -1}, {"max_length": 10**12}, {"max_length": True}),
    *({"pooling": "x"}, {"template": ["chat"]}, {"dtype": "load"}, {"normalize": "yes"}),
    {"dense": [7]},
)


@pytest.mark.parametrize("change", WRONG)
def test_a_description_with_other_values_is_one_sentence(change):
    from trueward.features.transformers.transformer import VERSION

    spec = {**SPEC, "version": VERSION, **READING, **change}
    with pytest.raises(TruewardError, match=f"no valid {next(iter(change))}"):
        backbone(json.dumps(spec))
