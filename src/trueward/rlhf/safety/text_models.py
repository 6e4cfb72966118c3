"""Causal language models of this machine that continue texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import stream_seed
from trueward.features.transformers import loading
from trueward.features.transformers.adapter import merged_model
from trueward.features.transformers.prompt_rendering import render_chats

from .model_memory import require_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.features.transformers.model_folder import ModelFolder

DIGITS = "12345"
LEAST_MASS = (
    0.5  # of the digits among the next tokens; below, the judge wanted to write something else
)
WINDOW = 2048  # tokens of a model whose configuration names no limit


@dataclass(frozen=True)
class Decoding:
    """How texts are generated.

    Attributes
    ----------
    max_tokens : int
        Longest answer.
    temperature : float
        0 takes the likeliest token.
    seed : int
        Seed of the draws of one text.

    """

    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0


class LocalModel:
    """A causal language model of a folder, with its adapter merged.

    Parameters
    ----------
    folder : ModelFolder
        Its files.
    device : str, optional
        ``cpu``, ``cuda:0`` ...; by default the GPU, else the CPU for models that are small enough.

    """

    def __init__(self, folder: ModelFolder, device: str | None = None) -> None:
        require_memory(folder, device)
        self.folder = folder
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = "float32" if place == "cpu" else "bfloat16"
        with loading.quiet_transformers() as transformers, torch.random.fork_rng(devices=[]):
            load = _complete if folder.adapter is None else merged_model
            try:
                self.model = load(transformers, folder, dtype, {}).to(place).eval()
            except TruewardError:
                raise
            except (OSError, RuntimeError, ValueError) as e:
                raise TruewardError(
                    f"{folder.path} could not be loaded ({' '.join(str(e).split())[:160]}): check that its "
                    "files are complete"
                ) from e
        self.tokenizer = loading.load_tokenizer(folder, padding_side="left", truncation_side="left")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        config = self.model.config.get_text_config()
        self.window = int(getattr(config, "max_position_embeddings", None) or WINDOW)

    def chat_text(self, messages: list[dict[str, str]]) -> str:
        """Return messages in the model's chat template, up to its answer.

        Parameters
        ----------
        messages : list of messages
            Roles and texts.

        Returns
        -------
        str
            The text, with the special tokens of the template.

        """
        return render_chats(self.tokenizer, [messages], add_generation_prompt=True)[0]

    def complete(
        self, texts: Sequence[str], how: Sequence[Decoding], *, special: bool = False
    ) -> list[str]:
        """Continue texts; each row's draws depend on its own seed only, not on its neighbours.

        Parameters
        ----------
        texts : sequence of str
            Texts that `fits` holds for, in chat format or raw.
        how : sequence of Decoding
            One for each text.
        special : bool
            Whether the tokenizer adds its special tokens, which a chat template has already.

        Returns
        -------
        list of str
            What the model writes after each text.

        """
        if not texts:
            return []
        inputs = self._tokens(texts, special=special)
        room = [self.window - int(n) for n in inputs["attention_mask"].sum(1)]
        limits = [min(d.max_tokens, left) for d, left in zip(how, room, strict=True)]
        noise = _Gumbel(how) if any(d.temperature > 0 for d in how) else None
        with torch.inference_mode():
            made = self.model.generate(
                **inputs,
                max_new_tokens=max(limits),
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self.tokenizer.pad_token_id,
                logits_processor=[] if noise is None else [noise],
            )
        new = made[:, inputs["input_ids"].shape[1] :]
        rows = [row[:limit] for row, limit in zip(new, limits, strict=True)]
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in rows]

    def fits(self, text: str, *, special: bool = False) -> bool:
        """Return whether the model can read a text and write at least one token.

        Parameters
        ----------
        text : str
            Text, in chat format or raw.
        special : bool
            As of `complete`.

        """
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return len(ids) < self.window

    def shortened(self, text: str, tokens: int) -> str:
        """Return a text cut to a number of the model's tokens.

        Parameters
        ----------
        text : str
            The text.
        tokens : int
            Most tokens.

        Returns
        -------
        str
            The text itself where it is short enough.

        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return text if len(ids) <= tokens else str(self.tokenizer.decode(ids[:tokens]))

    def digit_scores(self, texts: Sequence[str]) -> list[str]:
        """Compute E[(digit - 1) / 4] over the digits 1 to 5 as the next token of each text.

        Parameters
        ----------
        texts : sequence of str
            Prompts that end where the digit follows.

        Returns
        -------
        list of str
            Numbers in [0, 1]; ``P(digit) = 0.03`` where less than half of the probability is on digits.

        """
        ids = [self.tokenizer.convert_tokens_to_ids(d) for d in DIGITS]
        if any(i is None or i == self.tokenizer.unk_token_id for i in ids):
            raise TruewardError(
                f"{self.folder.path} has no tokens for the digits 1 to 5, and the fine-tuned judge of "
                "StrongREJECT is read off them: give that judge's own folder"
            )
        with torch.inference_mode():
            inputs = self._tokens(texts, special=True)
            logits = self.model(**inputs).logits[:, -1].float()
        share = logits.softmax(-1)[:, ids].double().cpu()
        return [digit_score(row) for row in share.tolist()]

    def _tokens(self, texts: Sequence[str], *, special: bool) -> Any:
        """Tokens of texts, padded on the left."""
        inputs = self.tokenizer(
            list(texts), return_tensors="pt", padding=True, add_special_tokens=special
        )
        inputs.pop("token_type_ids", None)
        return inputs.to(self.model.device)


class _Gumbel:
    """Sampling as the likeliest token after Gumbel noise, from one generator for each row."""

    def __init__(self, how: Sequence[Decoding]) -> None:
        self.how = how
        self.generators = [torch.Generator().manual_seed(d.seed) for d in how]

    def __call__(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Add the noise."""
        size = scores.shape[-1]
        rows = []
        for row, d, generator in zip(scores, self.how, self.generators, strict=True):
            noise = -torch.empty(size).exponential_(generator=generator).log()
            rows.append(row / d.temperature + noise.to(row) if d.temperature > 0 else row)
        return torch.stack(rows)


def digit_score(share: Sequence[float]) -> str:
    """Return E[(digit - 1) / 4] of the probabilities of the digits 1 to 5 as the next token.

    Parameters
    ----------
    share : sequence of 5 floats
        P(digit) among all tokens.

    Returns
    -------
    str
        A number in [0, 1]; ``P(digit) = 0.03`` where less than half of the probability is on digits.

    Examples
    --------
    >>> digit_score([0.4, 0, 0, 0, 0.4]), digit_score([0.03, 0, 0, 0, 0])
    ('0.500000', 'P(digit) = 0.030')

    """
    mass = sum(share)
    if mass < LEAST_MASS:
        return f"P(digit) = {mass:.3f}"
    return f"{sum(k / 4 * p for k, p in enumerate(share)) / mass:.6f}"


def row_seed(seed: int, *parts: str | int) -> int:
    """Return the seed of one text, from the seed of the run and what names the text.

    Parameters
    ----------
    seed : int
        Seed of the run.
    *parts : str or int
        Such as the prompt and the number of the sample.

    Returns
    -------
    int
        In [0, 2^31).

    """
    return stream_seed(seed, *parts) % (1 << 31)


def device_name(device: str | None) -> str | None:
    """Return a device that exists; refuse another.

    Parameters
    ----------
    device : str or None
        As the user gives it.

    """
    if device is None:
        return None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        raise UsageError(
            f"--device {device} is not on this machine: choose cpu, or cuda:0 of a GPU"
        ) from e
    return device


def _complete(transformers: Any, folder: ModelFolder, dtype: str, _placement: object) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder.path, dtype=getattr(torch, dtype), trust_remote_code=False
    )
