"""Judges that can be asked: a kind, its model, its pinned prompt, and its answers on the disk."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion
from trueward.data.digests import text_id
from trueward.evaluation.judge.journal import Answer, Journal
from trueward.features.transformers.locate import find_model

from .judge_kinds import KINDS
from .model_memory import require_memory
from .served_model import ServedModel
from .templates import find_template
from .text_models import Decoding, LocalModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .judge_kinds import JudgeKind
    from .parsing import Verdict
    from .prompts import SafetyPrompt
    from .templates import Template

Pair = tuple["SafetyPrompt", str]  # what was asked, and the response

INSPECT = "inspect:"  # a model of any of Inspect's own providers
BATCH = 8  # prompts that a local judge reads at once
TOO_LONG = "(the text is longer than the context of the judge)"
PARALLEL = 8  # requests to a server at a time


@dataclass
class Judge:
    """A judge with its model and templates; the weights are loaded at the first question.

    Attributes
    ----------
    kind : JudgeKind
        What it judges and how.
    model : str
        Folder, hub name, ``http://HOST/v1,model=NAME``, ``inspect:PROVIDER/NAME``, or empty.
    templates : tuple of Template
        Its prompts, in the order of the kind's.
    identity : str
        Digest of the weights, or the name of what answers.
    device : str or None
        Where local weights are put.

    """

    kind: JudgeKind
    model: str
    templates: tuple[Template, ...]
    identity: str
    device: str | None = None
    _open: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.name

    @property
    def word(self) -> str:
        """The judge as ``KIND`` or ``KIND=MODEL``."""
        return f"{self.name}={self.model}" if self.model else self.name

    def question(self, prompt: SafetyPrompt, response: str) -> str:
        """Return what the judge is sent of one response, byte by byte.

        Parameters
        ----------
        prompt : SafetyPrompt
            What the policy was asked.
        response : str
            What it has answered.

        Returns
        -------
        str
            The filled template; of judges without one the response.

        """
        if not self.templates:
            return response
        chosen = 1 if prompt.context and len(self.templates) > 1 else 0
        whole = prompt.text if len(self.templates) > 1 else prompt.sent
        texts = {"prompt": whole, "context": prompt.context, "response": response}
        fields = self.kind.prompts[chosen].fields
        return self.templates[chosen].filled({name: texts[part] for name, part in fields.items()})

    def key(self, prompt: SafetyPrompt, response: str) -> str:
        """Return the id of an answer in the journal: of the judge, its prompts and the texts."""
        parts = (self.name, self.identity, *(t.digest for t in self.templates))
        return text_id("\0".join((*parts, prompt.context, prompt.text, response)), 32)

    def verdict(self, said: str) -> Verdict:
        """Read an answer."""
        return self.kind.parse(said)

    def answer(self, pairs: Sequence[Pair]) -> list[str]:
        """Ask about some responses at once.

        Parameters
        ----------
        pairs : sequence of (SafetyPrompt, str)
            Prompts and responses.

        Returns
        -------
        list of str
            What the judge writes; a number as text where it computes one.

        """
        if self.kind.interface == "none":
            return [response for _, response in pairs]
        if self.kind.interface == "builtin":
            found = self._opened().score([p.sent for p, _ in pairs], [r for _, r in pairs])
            return [f"{'abstains ' if away else ''}{p:.4f}" for p, away in found]
        model = self._opened()
        if isinstance(model, ServedModel):
            with ThreadPoolExecutor(PARALLEL) as pool:
                return list(pool.map(self._served, pairs))
        cut = self.kind.cut
        texts = [self.question(p, r if cut is None else model.shortened(r, cut)) for p, r in pairs]
        special = self.kind.interface != "chat"
        if not special:
            texts = [model.chat_text([{"role": "user", "content": t}]) for t in texts]
        short = [text for text in texts if model.fits(text, special=special)]
        if self.kind.interface == "digits":
            said = iter(model.digit_scores(short) if short else [])
        else:
            how = [Decoding(self.kind.max_tokens)] * len(short)
            said = iter(model.complete(short, how, special=special))
        return [str(next(said)) if model.fits(t, special=special) else TOO_LONG for t in texts]

    def fill(
        self,
        pairs: Sequence[Pair],
        journal: Journal,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Ask about all responses that have no answer yet; every answer is stored when it is there.

        Parameters
        ----------
        pairs : sequence of (SafetyPrompt, str)
            Prompts and responses.
        journal : Journal
            Answers of earlier runs; new ones are added.
        progress : callable
            Called as ``progress(done, total)``.

        """
        if self.model.startswith(INSPECT):  # asked by its scorer, which Inspect runs and retries
            return
        left = {self.key(*pair): pair for pair in pairs if self.key(*pair) not in journal.answers}
        names = sorted(left, key=lambda name: len(left[name][1]))
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            for name, said in zip(batch, self.answer([left[n] for n in batch]), strict=True):
                journal.add(name, Answer(said, 0, 0))
            progress(min(start + BATCH, len(names)), len(names))

    def close(self) -> None:
        """Free the memory of the weights."""
        self._open = None

    def to_json(self) -> dict[str, Any]:
        """Return what a result says of its judge."""
        return {
            "kind": self.name,
            "model": self.model,
            "identity": self.identity,
            "templates": [
                {"name": p.name, "sha256": t.digest, "version": t.version}
                for p, t in zip(self.kind.prompts, self.templates, strict=True)
            ],
            "max_tokens": self.kind.max_tokens,
            "response_tokens": None if self.model.startswith(("http", INSPECT)) else self.kind.cut,
        }

    def _served(self, pair: Pair) -> str:
        served, text = self._opened(), self.question(*pair)
        if self.kind.interface == "digits":
            return str(served.digit_score(text))
        how = Decoding(self.kind.max_tokens)
        if self.kind.interface == "chat":
            return str(served.chat([{"role": "user", "content": text}], how))
        return str(served.complete(text, how))

    def _opened(self) -> Any:
        """Return the model, loaded once."""
        if self._open is None:
            if self.kind.interface == "builtin":
                self._open = _builtin()
            elif self.model.startswith("http"):
                self._open = ServedModel.of(self.model)
            else:
                self._open = LocalModel(find_model(self.model), self.device)
        return self._open


def open_judge(
    word: str, data: str | Path, accept: Sequence[str] = (), device: str | None = None
) -> Judge:
    """Find a judge and its prompts, before anything is evaluated.

    Parameters
    ----------
    word : str
        ``KIND`` or ``KIND=MODEL``; without a model the published weights.
    data : str or Path
        Folder with the templates.
    accept : sequence of str
        Hashes of other templates that may be used.
    device : str, optional
        Where local weights are put.

    Returns
    -------
    Judge
        Without its weights in memory.

    Raises
    ------
    UsageError
        If there is no such kind, it needs a model, or its template is missing.
    TruewardError
        If the weights are missing, or need more memory than there is.

    """
    name, _, model = word.partition("=")
    if name not in KINDS:
        raise UsageError(f"there is no judge {name!r}: {suggestion(name, KINDS)}")
    kind = KINDS[name]
    if kind.interface in ("none", "builtin"):
        if model:
            raise UsageError(f"the judge {name} takes no model: give --judge {name}")
        if kind.interface == "builtin":
            _builtin()
        return Judge(kind, "", (), name)
    model = model or kind.model or ""
    if not model:
        raise UsageError(
            f"the judge {name} asks a chat model: give --judge {name}=FOLDER, "
            f"{name}=http://HOST/v1,model=NAME or {name}=inspect:openai/NAME"
        )
    if model.startswith(INSPECT) and kind.interface != "chat":
        raise UsageError(
            f"the judge {name} is asked without a chat template, which Inspect's providers do not offer: "
            f"give its folder, or serve it and give {name}=http://HOST/v1,model=NAME"
        )
    identity = model
    if model.startswith("http"):
        ServedModel.of(model)
    elif not model.startswith(INSPECT):
        identity = _local(name, model, device)
    found = [find_template(p.name, tuple(p.fields), p.pins, data, accept) for p in kind.prompts]
    return Judge(kind, model, tuple(found), identity, device)


def _local(name: str, model: str, device: str | None) -> str:
    """Return the digest of a judge's weights."""
    try:
        folder = find_model(model)
    except UsageError as e:
        raise UsageError(
            f"there is no judge {model!r}: give --judge {name}=FOLDER with its weights, or serve it and give "
            f"{name}=http://HOST/v1,model=NAME"
        ) from e
    require_memory(folder, device)
    return folder.digest


def _builtin() -> Any:
    """Load our own judge."""
    try:
        module = importlib.import_module("trueward.rlhf.safety.builtin_judge")
    except ModuleNotFoundError as e:
        raise TruewardError(
            "this version of trueward has no built-in judge: give --judge KIND=MODEL, such as "
            "wildguard=allenai/wildguard"
        ) from e
    return module.load_builtin_judge()
