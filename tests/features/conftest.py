"""Model folders for the tests of language models."""

import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of one model per model type."""
    from helpers import tiny

    return {kind: tiny.build(kind, tmp_path_factory.mktemp(kind)) for kind in tiny.KINDS}


@pytest.fixture
def llama(tmp_path):
    """A model folder that a test may damage."""
    from helpers import tiny

    return tiny.build("llama", tmp_path / "llama")


@pytest.fixture
def base(tmp_path):
    """A causal language model that a test may damage or adapt."""
    from helpers import tiny

    return tiny.build("llama", tmp_path / "base", "ForCausalLM")
