"""An exported classifier as transformers loads it, with texts, tokens and scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from trueward.core.errors import TruewardError
from trueward.features.transformers import loading
from trueward.features.transformers.token_pooling import pool_tokens

from .chat_format import ChatFormat
from .folder_files import weight_files
from .networks import Networks
from .token_batches import batch_logits
from .verify_rules import RuleBroken, read_json
from .verify_scores import BFLOAT16, FLOAT32, rounding_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

    from .networks import Array


@dataclass(frozen=True, eq=False)
class LoadedClassifier:
    """An exported classifier in float32, and the texts that it is checked on."""

    #: the exported folder
    folder: Path
    #: its reward card
    card: dict[str, Any]
    #: the classifier, as transformers loads it
    network: Any
    #: its tokenizer
    tokenizer: Any
    #: how the tokenizer makes text and tokens
    chat_format: ChatFormat
    #: n prompts with their responses
    pairs: list[tuple[str, str]]
    #: the n canonical texts
    texts: list[str]
    #: the tokens of the n texts
    ids: list[list[int]]
    #: (n,) float32 logits z, each text scored alone
    scores: Tensor
    #: the reward model that was exported, if given
    model: RewardModel | None
    #: whether the folder carries code, which was allowed to run
    has_code: bool
    #: address of a server of the folder
    url: str | None
    #: root mean square change of scores that bfloat16 may cost, in sd
    rounding: float

    @property
    def sd(self) -> float:
        """Standard deviation of the scores, the unit of tolerances."""
        return max(float(self.scores.std()), 1e-12)

    @cached_property
    def low_scores(self) -> Tensor:
        """Logits (n,) of each text alone in bfloat16."""
        low = load_classifier(self.folder, torch.bfloat16, allow_code=self.has_code).eval()
        return torch.stack([batch_logits(low, [ids])[0] for ids in self.ids])

    @property
    def bfloat16_tolerance(self) -> float:
        """Difference in sd that bfloat16 explains: twice the largest one on these texts."""
        return 2 * float((self.low_scores - self.scores).abs().max()) / self.sd

    @cached_property
    def float32_tolerance(self) -> float:
        """Difference in sd between two ways to compute a score in float32."""
        return FLOAT32 + rounding_error(self.head, self.activations) / self.sd

    @cached_property
    def activations(self) -> Tensor:
        """Pooled activations, (n, d) float32, of each text alone, computed by hand."""
        stock: dict[str, Any] = {"layer": None, "pooling": "last"}
        reading = getattr(self.network.config, "reading", None) or stock
        rows = []
        for ids in self.ids:
            inputs = torch.tensor([ids])
            with torch.inference_mode():
                out = self.network.base_model(input_ids=inputs, output_hidden_states=True)
            layer = reading["layer"]
            hidden = out.last_hidden_state if layer is None else out.hidden_states[layer]
            rows.append(pool_tokens(hidden, torch.ones_like(inputs), reading["pooling"]))
        h = torch.cat(rows)
        return torch.nn.functional.normalize(h) if reading.get("normalize") else h

    def head(self, activations: Tensor) -> Tensor:
        """Compute scores from activations by hand.

        Parameters
        ----------
        activations : Tensor of shape (n, d)
            Pooled activations.

        Returns
        -------
        Tensor of shape (n,), float32
            The scores.

        """
        if not self.has_code:
            weight: Tensor = self.network.score.weight[0].detach().float()
            return activations @ weight
        tensors = {k.removeprefix("score."): v for k, v in _head_tensors(self.folder)}
        networks = Networks.from_json(self.network.config.head, tensors)
        return torch.from_numpy(networks(activations.numpy())).float()

    @staticmethod
    def load(
        folder: Path,
        pairs: list[tuple[str, str]],
        model: RewardModel | None,
        *,
        allow_code: bool = False,
        url: str | None = None,
        rounding: float = BFLOAT16,
    ) -> LoadedClassifier:
        """Load the classifier and score the texts.

        Parameters
        ----------
        folder : Path
            The exported folder.
        pairs : list of (str, str)
            Prompts and responses; those that are too long for the model are left out.
        model : RewardModel or None
            The model that was exported.
        allow_code : bool
            Run the code that the folder carries.
        url : str or None
            Address of a server of the folder.
        rounding : float
            Root mean square change of scores that bfloat16 may cost, in sd.

        Returns
        -------
        LoadedClassifier
            The classifier.

        Raises
        ------
        RuleBroken
            If transformers cannot load it, or a tensor is missing or unknown.

        """
        card = read_json(folder / "reward_card.json")
        network, tokenizer = load_both(folder, allow_code=allow_code)
        template = card["template"]
        chat_format = ChatFormat(tokenizer, template["suffix"], template["bos"], False)
        try:
            texts = [(pair, chat_format.canonical(*pair)) for pair in pairs]
        except TruewardError as e:  # of a damaged template
            raise RuleBroken(str(e)) from e
        rows = [(pair, text, chat_format.ids(text)) for pair, text in texts]
        short = [row for row in rows if len(row[2]) <= template["max_length"]]
        require_two(len(short), template["max_length"])
        scores = torch.stack([batch_logits(network.eval(), [row[2]])[0] for row in short])
        return LoadedClassifier(
            folder=folder,
            card=card,
            network=network,
            tokenizer=tokenizer,
            chat_format=chat_format,
            pairs=[pair for pair, _, _ in short],
            texts=[text for _, text, _ in short],
            ids=[ids for _, _, ids in short],
            scores=scores,
            model=model,
            has_code=allow_code,
            url=url,
            rounding=rounding,
        )


def require_two(n: int, max_length: int) -> None:
    """Require two texts that no loader cuts; loaders cut long texts differently.

    Parameters
    ----------
    n : int
        Number of texts that are short enough.
    max_length : int
        Longest text, in tokens.

    Raises
    ------
    RuleBroken
        If n is below 2.

    """
    if n < 2:
        raise RuleBroken(
            f"expected 2 texts or more of at most {max_length} tokens, found {n}: give shorter --texts"
        )


def load_both(folder: Path, *, allow_code: bool) -> tuple[Any, Any]:
    """Load a classifier and its tokenizer with transformers.

    Parameters
    ----------
    folder : Path
        The exported folder.
    allow_code : bool
        Run the code that the folder carries.

    Returns
    -------
    tuple of two objects
        The classifier in float32, and its tokenizer.

    Raises
    ------
    RuleBroken
        If they do not load, or a tensor is missing or unknown.

    """
    try:
        network, info = load_classifier(
            folder, torch.float32, allow_code=allow_code, num_labels=1, output_loading_info=True
        )
        with loading.quiet_transformers() as transformers:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, trust_remote_code=allow_code
            )
    except TruewardError:
        raise
    except Exception as e:
        raise RuleBroken(f"transformers cannot load it ({' '.join(str(e).split())[:160]})") from e
    missing = sorted(info["missing_keys"])
    unknown = sorted(set(info["unexpected_keys"]) - {"score.bias"})
    if missing or unknown:
        raise RuleBroken(
            f"missing tensors: {missing[:3]}, unknown tensors: {unknown[:3]}; export again"
        )
    return network, tokenizer


def load_classifier(folder: Path, dtype: torch.dtype, *, allow_code: bool, **options: Any) -> Any:
    """Load the classifier of a folder with transformers.

    Parameters
    ----------
    folder : Path
        The folder.
    dtype : torch.dtype
        Precision of the weights.
    allow_code : bool
        Run the code of the folder.
    **options
        More options of ``from_pretrained``.

    Returns
    -------
    model of transformers
        The classifier; a pair with the loading report if ``options`` ask for it.

    """
    with loading.quiet_transformers() as transformers:
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=dtype, trust_remote_code=allow_code, **options
        )


def _head_tensors(folder: Path) -> Iterator[tuple[str, Array]]:
    for file in weight_files(folder):
        with safe_open(file, "numpy") as f:
            for name in f.keys():  # noqa: SIM118 - it is no mapping
                if name.startswith("score."):
                    yield name, f.get_tensor(name)
