"""The chat format of an export: a tokenizer whose template, padding and special tokens are fixed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.features.transformers.prompt_rendering import CLOCK, DATE, chat_template, render_chats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trueward.features.transformers.transformer import Transformer

PAD = "<|trueward_pad|>"
PROBES = ("Yes.", "  Two lines,\nthe second one.  ", "<think>\nhm\n</think>\n\nNo.")
TODAY = f'{{%- set date_string = "{DATE}" -%}}\n'
# what a policy generates may have the end of its turn and a space before it, which the template adds again
ALIKE = """{{#- a response that has the end of the turn, or the space before it, has it once -#}}
{{%- set turns = namespace(all=[]) -%}}
{{%- for turn in messages -%}}
{{%- if turn['role'] == 'assistant' and turn['content'] is string -%}}
{{%- set text = turn['content'] -%}}
{{%- if {end} and text.endswith({end}) -%}}{{%- set text = text[:-({end} | length)] -%}}{{%- endif -%}}
{{%- if {lead} and text.startswith({lead}) -%}}{{%- set text = text[({lead} | length):] -%}}{{%- endif -%}}
{{%- set turns.all = turns.all + [dict(turn, content=text)] -%}}
{{%- else -%}}{{%- set turns.all = turns.all + [turn] -%}}{{%- endif -%}}
{{%- endfor -%}}
{{%- set messages = turns.all -%}}
"""
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|endoftext|>")


@dataclass(frozen=True)
class ChatFormat:
    """How a prompt and a response become text and tokens.

    Attributes
    ----------
    tokenizer : tokenizer of transformers
        Pads on the right, truncates on the left.
    suffix : str
        Text that the chat template puts after every response.
    bos : {"none", "once"}
        Whether the canonical text begins with the BOS token.
    added_pad : bool
        Whether a pad token was added to the vocabulary.

    """

    tokenizer: Any
    suffix: str
    bos: str
    added_pad: bool

    def canonical(self, prompt: str, response: str) -> str:
        """Render a prompt and a response with the chat template.

        Parameters
        ----------
        prompt, response : str
            The texts of the user and of the assistant.

        Returns
        -------
        str
            The canonical text.

        """
        return render_chats(self.tokenizer, [chat(prompt, response)])[0]

    @property
    def turn_end(self) -> str:
        """The special token with which a policy ends its turn; empty where the suffix has none."""
        known = {str(t) for t in self.tokenizer.added_tokens_decoder.values()}
        found = (t for t in self.tokenizer.tokenize(self.suffix) if t in known)
        return next(found, "")

    def begun(self, prompt: str) -> str:
        """Return a prompt with the generation prompt, after which a policy writes its response."""
        turns = chat(prompt, "")[:1]
        return render_chats(self.tokenizer, [turns], add_generation_prompt=True)[0]

    def lead(self) -> str | None:
        """Return the white space between the generation prompt and a response; None where there is more."""
        text, begun = self.canonical("Name a colour.", "Blue."), self.begun("Name a colour.")
        between = text.removeprefix(begun).partition("Blue.")[0]
        alike = text.startswith(begun) and (not between or between.isspace())
        return between if alike else None

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a canonical text, with no special tokens added."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def complete(self, text: str) -> str:
        """Append what is missing of the suffix to the text of a rollout.

        Parameters
        ----------
        text : str
            A canonical text that may lack all or part of the suffix.

        Returns
        -------
        str
            The canonical text.

        """
        for length in range(len(self.suffix), 0, -1):
            if text.endswith(self.suffix[:length]):
                return text[: len(text) - length] + self.suffix
        return text + self.suffix

    def describe(self, max_length: int) -> dict[str, Any]:
        """Return the entry ``template`` of a reward card; ``max_length`` in tokens."""
        return {
            "sha256": hashlib.sha256(self.tokenizer.chat_template.encode()).hexdigest(),
            "suffix": self.suffix,
            "bos": self.bos,
            "max_length": max_length,
            "truncation_side": "left",
        }

    def rewritten(self) -> list[str]:
        """Return those of three unusual responses that the template does not keep unchanged."""
        return [p for p in PROBES if p not in self.canonical("Is it?", p)]


def chat(prompt: str, response: str) -> list[dict[str, str]]:
    """Put a prompt and a response into messages."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def fixed_chat_format(tokenizer: Any) -> ChatFormat:
    """Fix the template's date, and set padding and truncation.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
        Changed in place: template, padding side (right), truncation side (left) and pad token.

    Returns
    -------
    ChatFormat
        The format that every loader of the folder gets.

    Raises
    ------
    TruewardError
        If there is no chat template, or its text after a response depends on the response.

    """
    source = chat_template(tokenizer)
    if not source:
        raise TruewardError(
            "an export scores chats, and the tokenizer has no chat template: put a chat_template.jinja "
            "into the backbone's folder and fit again"
        )
    if "strftime_now" in source and not source.startswith(CLOCK):
        source = CLOCK + source
    if "date_string" in source and not source.startswith(TODAY):
        source = TODAY + source
    tokenizer.chat_template = source
    tokenizer.padding_side, tokenizer.truncation_side = "right", "left"
    suffix = _suffix(tokenizer)
    added_pad = _set_pad_token(tokenizer)
    plain = ChatFormat(tokenizer, suffix, "none", added_pad)
    end, lead = plain.turn_end, plain.lead() or ""
    if (lead or end not in ("", tokenizer.eos_token)) and "turns.all" not in source:
        rule = ALIKE.format(end=json.dumps(end), lead=json.dumps(lead))
        tokenizer.chat_template = rule + source
    ids = plain.ids(plain.canonical("Name a colour.", "Blue."))
    bos = tokenizer.bos_token_id
    if bos is None or ids[:1] != [bos]:
        return plain
    _add_bos(tokenizer)
    return ChatFormat(tokenizer, suffix, "once", added_pad)


def _add_bos(tokenizer: Any) -> None:
    """Let the tokenizer put BOS before a text that lacks it: veRL removes BOS and lets the server add it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:
        return
    from tokenizers import processors  # noqa: PLC0415 - comes with transformers

    bos = tokenizer.bos_token
    first = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A $B:1",
        special_tokens=[(bos, tokenizer.bos_token_id)],
    )
    own = backend.post_processor
    backend.post_processor = first if own is None else processors.Sequence([own, first])


def copied_tokenizer(backbone: Transformer) -> Any:
    """Load a second tokenizer of the backbone, which may be changed."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

    return AutoTokenizer.from_pretrained(backbone.folder.path)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer with its truncation side, which transformers reads but does not write.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
        The tokenizer to write.
    folder : Path
        Where its files go.

    """
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text("utf-8")) | {"truncation_side": "left"}
    file.write_text(json.dumps(config, indent=1), encoding="utf-8")


def _suffix(tokenizer: Any) -> str:
    """Text that follows a response; TruewardError if it depends on the response."""

    def after(response: str) -> str:
        messages = chat("Name a colour.", response)
        text = render_chats(tokenizer, [messages])[0]
        start = text.rfind(response)
        if start < 0:
            raise TruewardError(
                f"the chat template rewrites the response {response!r}, so the end of a response cannot be "
                "found: repair the template"
            )
        return text[start + len(response) :]

    one, two = after("Blue"), after("Dark green")
    if one != two:
        raise TruewardError(
            f"expected the same text after every response, found {one!r} and {two!r}: repair the chat "
            "template"
        )
    return one


def _set_pad_token(tokenizer: Any) -> bool:
    """Set a pad token that ends no canonical text; return whether one was added to the vocabulary."""
    text = render_chats(tokenizer, [chat("a", "b")])[0]
    last = tokenizer(text, add_special_tokens=False)["input_ids"][-1]
    current = tokenizer.pad_token_id
    if current is not None and current not in (tokenizer.eos_token_id, last):
        return False
    taken = (tokenizer.eos_token_id, tokenizer.bos_token_id, last)
    unused = _unused_token(tokenizer.get_vocab(), taken)
    if unused is not None:
        tokenizer.pad_token = unused
        return False
    tokenizer.add_special_tokens({"pad_token": PAD})
    return True


def _unused_token(vocabulary: dict[str, int], taken: Sequence[int | None]) -> str | None:
    """Return a padding token or a reserved token of the vocabulary that nothing else uses."""
    for name in PAD_TOKENS:
        if name in vocabulary and vocabulary[name] not in taken:
            return name
    return min((t for t in vocabulary if "reserved_special" in t), default=None)
