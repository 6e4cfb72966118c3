"""The policy that a run starts from, and how it is written when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.transformers import loading
from trueward.features.transformers.locate import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.model_folder import ModelFolder


@dataclass(frozen=True)
class Policy:
    """A language model that writes and whose tokenizer has a chat template."""

    folder: ModelFolder

    @staticmethod
    def at(source: str) -> Policy:
        """Find a policy by folder or hub name, and see that it is one."""
        try:
            folder = find_model(source)
        except UsageError as e:
            raise UsageError(
                f"there is no policy {source!r}: give the folder or the hub name of a language model of "
                f"transformers ({e})"
            ) from e
        kinds = getattr(loading.model_config(folder), "architectures", None) or [""]
        if not any(k.endswith(("ForCausalLM", "ForConditionalGeneration")) for k in kinds):
            raise TruewardError(
                f"a policy writes text, and {source} is a {kinds[0] or 'model of no known kind'}: give a "
                "model with a language-modelling head (...ForCausalLM)"
            )
        if not loading.load_tokenizer(folder).chat_template:
            raise TruewardError(
                f"the tokenizer of {source} has no chat template, so it is not known how a prompt is put "
                "to it: give an instruction-tuned policy, or put a chat_template.jinja into its folder"
            )
        return Policy(folder)

    def tokenizer(self) -> Any:
        """Give the tokenizer, prompts flush right."""
        from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

        return AutoTokenizer.from_pretrained(
            self.folder.path, padding_side="left", truncation_side="left", trust_remote_code=False
        )


def written(trainer: Any, folder: Path) -> None:
    """Write what a trainer has learned as a whole model, adapters merged, with its tokenizer."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    trainer.processing_class.save_pretrained(folder)
