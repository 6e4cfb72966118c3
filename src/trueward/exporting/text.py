"""The tokenizer of an export: one text for a dialogue, one token to pad with, one end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.features.transformers.rendering import CLOCK, DATE, chat_template

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD = "<|trueward_pad|>"
PROBES = ("Yes.", "  Two lines,\nthe second one.  ", "<think>\nhm\n</think>\n\nNo.")
TODAY = f'{{%- set date_string = "{DATE}" -%}}\n'


@dataclass(frozen=True)
class Text:
    """How prompts and responses become tokens; the same for whoever loads the folder."""

    tokenizer: Any
    suffix: str  # what the template puts after a response
    bos: str  # none, or once: what the canonical text begins with
    grown: bool  # a token to pad with was added

    def canonical(self, prompt: str, response: str) -> str:
        """The dialogue as the template has it."""
        return str(self.tokenizer.apply_chat_template(chat(prompt, response), tokenize=False))

    def ids(self, text: str) -> list[int]:
        """Tokens of a canonical text."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def rollout(self, text: str) -> str:
        """A text as a policy left it, made canonical: the suffix is put back, whatever of it is there."""
        for cut in range(len(self.suffix), 0, -1):
            if text.endswith(self.suffix[:cut]):
                return text[: len(text) - cut] + self.suffix
        return text + self.suffix


def chat(prompt: str, response: str) -> list[dict[str, str]]:
    """One user message and one answer."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def text_of(tokenizer: Any) -> Text:
    """Pin the template, pad on the right with a token of its own, cut on the left."""
    source = chat_template(tokenizer)
    if not source:
        raise TruewardError(
            "the tokenizer has no chat template, and an export is scored on dialogues: put one into the "
            "backbone's folder (chat_template.jinja) and fit again"
        )
    if "strftime_now" in source and not source.startswith(CLOCK):
        source = CLOCK + source
    if "date_string" in source and not source.startswith(TODAY):
        source = TODAY + source
    tokenizer.chat_template = source
    tokenizer.padding_side, tokenizer.truncation_side = "right", "left"
    suffix = _suffix(tokenizer)
    grown = _padded(tokenizer)
    made = Text(tokenizer, suffix, "none", grown)
    ids = made.ids(made.canonical("Name a colour.", "Blue."))
    bos = tokenizer.bos_token_id
    begins = "once" if bos is not None and bos in ids[:1] else "none"
    return Text(tokenizer, suffix, begins, grown)


def _suffix(tokenizer: Any) -> str:
    """What follows a response; an error where that depends on the response."""

    def after(response: str) -> str:
        said = chat("Name a colour.", response)
        text = str(tokenizer.apply_chat_template(said, tokenize=False))
        place = text.rfind(response)
        if place < 0:
            raise TruewardError(
                f"the chat template rewrites the response {response!r}, so its end is not known: repair it"
            )
        return text[place + len(response) :]

    one, two = after("Blue"), after("Dark green")
    if one != two:
        raise TruewardError(
            f"what the chat template puts after a response depends on it ({one!r}, {two!r}): repair it"
        )
    return one


def _padded(tokenizer: Any) -> bool:
    """Have a pad token that no canonical text ends in; whether one had to be added."""
    text = tokenizer.apply_chat_template(chat("a", "b"), tokenize=False)
    last = tokenizer(text, add_special_tokens=False)["input_ids"][-1]
    known = tokenizer.pad_token_id
    if known is not None and known not in (tokenizer.eos_token_id, last):
        return False
    spare = _spare(tokenizer.get_vocab(), (tokenizer.eos_token_id, tokenizer.bos_token_id, last))
    if spare is not None:
        tokenizer.pad_token = spare
        return False
    tokenizer.add_special_tokens({"pad_token": PAD})
    return True


def _spare(vocabulary: dict[str, int], taken: Sequence[int | None]) -> str | None:
    """A token made for padding, or kept in reserve, that nothing else uses."""
    for name in ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|endoftext|>"):
        if name in vocabulary and vocabulary[name] not in taken:
            return name
    return min((t for t in vocabulary if "reserved_special" in t), default=None)


def rewrites(text: Text) -> list[str]:
    """Responses that the template does not keep as they are."""
    return [p for p in PROBES if p not in text.canonical("Is it?", p)]
