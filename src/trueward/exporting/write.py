"""Export a reward model as a folder that other libraries load, in the form that backbone and head allow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.numpy import save_file

from trueward.core.arguments import PATH, TEXT, require_kinds
from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.features.backbones import backbone as backbone_of
from trueward.features.builtin.wordllama import WordLlama
from trueward.features.encoding import cached_in, features
from trueward.features.transformers import loading
from trueward.features.transformers.transformer import Transformer
from trueward.model.reward_model import fitted

from .card import NO_REMOTE_CODE, probability_sentence, reward_card, write_cards
from .linear_heads import exact_linear
from .request import ExportRequest, reference_texts
from .shipped_code import PACKAGE, REQUIREMENTS, scorer_sources
from .to_networks import require_networks
from .write_classifier import reads_as_stock, write_stock, write_with_code
from .write_encoder import no_classifier, write_encoder
from .write_sentence import write_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

MAX_REFERENCE = 5_000  # responses on which means and quantiles are measured
FORMS = ("classifier", "sentence-transformers")


@dataclass(frozen=True)
class Export:
    """The result of `export`.

    Attributes
    ----------
    folder : Path
        The folder that was written.
    card : dict
        Its reward card.
    notes : list of str
        Notes for the user.

    """

    folder: Path
    card: dict[str, Any]
    notes: list[str]


def export(
    model: RewardModel | str | Path,
    folder: str | Path,
    prompts: Log | Sequence[str],
    responses: Sequence[str] | None = None,
    *,
    distil: bool = False,
    allow_remote_code: bool = False,
    dtype: str | None = None,
    normalize: bool = False,
    form: str | None = None,
) -> Export:
    """Write a reward model as a folder that TRL, OpenRLHF, veRL, vLLM or sentence-transformers load.

    The backbone decides the folder. A decoder becomes a stock classifier of transformers with one linear
    head, r = w . h(last token) + c; so does an encoder that reads the first token. Any other encoder becomes
    a sentence-transformers folder. The built-in features become a scorer on numpy, which is code.
    ``reward_card.json`` in the folder says what the numbers mean.

    Parameters
    ----------
    model : RewardModel, str or Path
        The model, or its folder. It must read text: its features come from a backbone.
    folder : str or Path
        The folder to write. An existing export is replaced as a whole; other files are never overwritten.
    prompts : Log or sequence of str
        Prompts of typical responses, or a log, which also has the responses. Means, quantiles and the cost of
        folding the head are measured on the first 5,000.
    responses : sequence of str, optional
        One response for each prompt; None with a log.
    distil : bool, default=False
        Fit a linear head to a reward that is not linear. Its rank correlation with the model is measured.
    allow_remote_code : bool, default=False
        Let the folder carry code that computes a reward which is not linear.
    dtype : {"float32", "bfloat16"}, optional
        Precision of the weights; by default that of the features.
    normalize : bool, default=False
        Give (reward - mean) / sd of the reference responses, of a stock classifier.
    form : {"classifier", "sentence-transformers"}, optional
        The form of the folder; by default the classifier where backbone and head allow it.

    Returns
    -------
    Export
        The folder, its reward card and notes.

    Raises
    ------
    TruewardError
        If no folder can carry the reward or the features in this form.
    UsageError
        If options exclude each other.

    See Also
    --------
    verify_export : Check the folder.

    Examples
    --------
    >>> export("rm", "rm-hf", ["a prompt"], ["a response"], distil=True, allow_remote_code=True)
    Traceback (most recent call last):
    ...
    trueward.core.errors.UsageError: choose distil or allow_remote_code, not both

    """
    require_kinds(
        "export", folder=(folder, PATH), dtype=(dtype, TEXT.or_none), form=(form, TEXT.or_none)
    )
    if distil and allow_remote_code:
        raise UsageError("choose distil or allow_remote_code, not both")
    if form not in (None, *FORMS):
        raise UsageError(f"form: expected {' or '.join(FORMS)}, found {form!r}")
    target = Path(folder)
    own = target.is_dir() and (not any(target.iterdir()) or (target / "reward_card.json").exists())
    if target.exists() and not own:
        raise TruewardError(
            f"{target} exists and is not an export, so it is not overwritten: give another folder"
        )
    model = fitted(model, "export")
    if model.backbone is None:
        raise TruewardError(
            "an exported folder reads text, and this model was fitted on features from outside: fit it with "
            "--backbone NAME_OR_PATH"
        )
    backbone = backbone_of(model.backbone)
    questions, answers = (t[:MAX_REFERENCE] for t in reference_texts(prompts, responses))
    if len(questions) < 2:
        raise TruewardError(
            f"expected 2 reference responses or more, found {len(questions)}: give a larger --reference"
        )
    write = _writer(backbone, form)
    reference = features(backbone, questions, answers, cached_in()).float()
    number: dict[str, int] = {}
    group = torch.tensor([number.setdefault(q, len(number)) for q in questions])
    request = ExportRequest(
        model, backbone, reference, group, distil, allow_remote_code, dtype, normalize
    )
    with replacing(target) as path:
        path.mkdir()
        notes = write(request, path)
        card = json.loads((path / "reward_card.json").read_text("utf-8"))
    return Export(target, card, notes)


def _writer(backbone: Any, form: str | None) -> Callable[[ExportRequest, Path], list[str]]:
    """The function that writes a folder of this form for models on this backbone."""
    if isinstance(backbone, Transformer):
        chat = backbone.reading.template == "chat"
        if chat and form == FORMS[1]:
            raise TruewardError(
                "this model scores chats, which a sentence-transformers folder does not render: leave --form "
                "out"
            )
        if chat:
            return _write_decoder
        if form == FORMS[0] and (reason := no_classifier(backbone)):
            raise TruewardError(f"{reason}, or leave --form out for a sentence-transformers folder")
        return {None: _write_text, FORMS[0]: write_encoder, FORMS[1]: write_sentence}[form]
    if isinstance(backbone, WordLlama):
        if form:
            raise TruewardError(
                f"the default features are computed by code, which no folder of the form {form} has: leave "
                "--form out, or fit with --backbone NAME_OR_PATH"
            )
        return _write_scorer
    raise TruewardError(
        "the features of this model are vectors of a server, which no folder holds: fit it with --backbone "
        "NAME_OR_PATH of the model that the server runs"
    )


def _write_text(request: ExportRequest, path: Path) -> list[str]:
    """Write a stock classifier where features and head allow it; else a sentence-transformers folder."""
    reason = no_classifier(request.backbone)
    if not reason:
        if request.distil or exact_linear(request.model, request.features):
            return write_encoder(request, path)
        reason = (
            "a stock classifier has one linear head, and this one is not linear: fit with -o hidden=, or add "
            "--distil, for such a folder"
        )
    return [reason, *write_sentence(request, path)]


def _write_decoder(request: ExportRequest, path: Path) -> list[str]:
    """Write a stock classifier where features and head allow it; else one with code, if allowed."""
    reading, stock = request.backbone.reading, reads_as_stock(request.backbone)
    if request.allow_code and not (stock and exact_linear(request.model, request.features)):
        return write_with_code(request, path)
    if stock:
        return write_stock(request, path)
    if not loading.has_classifier(request.backbone.folder):
        kind = loading.text_config(request.backbone.folder).model_type
        raise TruewardError(
            f"transformers has no sequence-classification class for {kind}, so there is no stock folder: "
            "carry the classifier as code with --allow-remote-code, or fit on another model"
        )
    raise TruewardError(
        "stock loaders score the last token of the last layer of a chat, and this model reads "
        f"pooling={reading.pooling}, layer={reading.layer}: fit it with --backbone NAME,pooling=last, or "
        "carry the pooling as code with --allow-remote-code"
    )


def _write_scorer(request: ExportRequest, path: Path) -> list[str]:
    """Write the networks with the code of the built-in features: needs neither torch nor trueward."""
    request.require_float32()
    request.refuse_normalize()
    if not request.allow_code:
        raise TruewardError(
            "TRL, veRL and vLLM need a language-model backbone, and this model was fitted on the default "
            "features: fit again with --backbone NAME_OR_FOLDER, or write a scorer in numpy that carries "
            "its code, with --allow-remote-code"
        )
    networks = require_networks(request.model, request.features)
    save_file(networks.tensors(), path / "model.safetensors")
    (path / PACKAGE).mkdir()
    for name, text in scorer_sources().items():
        (path / PACKAGE / name).write_text(text, encoding="utf-8")
    (path / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    z = networks(request.features.numpy())
    head = {
        "kind": "mlp",
        "pooling": "none",
        "constant": 0.0,
        "constant_home": "absorbed",
        "dtype": "float32",
    }
    code = sorted((path / PACKAGE).glob("*.py"))
    card = reward_card(request, path, head, {"kind": "texts"}, z, code=code)
    card |= {"features": json.loads(request.backbone.spec()), "networks": networks.to_json()}
    write_cards(request, path, card, "trueward", _scorer_usage(card))
    return [f"the folder has {PACKAGE}, code that needs neither torch nor trueward: read it first"]


def _scorer_usage(card: dict[str, Any]) -> str:
    return f"""\
Scores a prompt and a response; higher is better. The code in this folder makes the features.
Not loadable by transformers, {", ".join(NO_REMOTE_CODE)}.

```
pip install -r requirements.txt
python -m {PACKAGE} < pairs.jsonl > scores.jsonl   # in this folder; lines of prompt and response
```

```python
sys.path.insert(0, "./this-folder")
from {PACKAGE} import Reward

rewards = Reward()(prompts, responses)
```

{probability_sentence(card)}
"""
