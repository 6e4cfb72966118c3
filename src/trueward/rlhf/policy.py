"""The policy that a run starts from, and the folder that it writes at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.features.transformers import loading
from trueward.features.transformers.locate import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.model_folder import ModelFolder

HEADS = ("ForCausalLM", "ForConditionalGeneration")


@dataclass(frozen=True)
class Policy:
    """A generative language model whose tokenizer has a chat template.

    Attributes
    ----------
    folder : Folder
        Its files on this machine.

    """

    folder: ModelFolder

    @staticmethod
    def at(source: str | Path) -> Policy:
        """Find a policy.

        Parameters
        ----------
        source : str or Path
            A folder, or a name on the hub.

        Returns
        -------
        Policy
            The policy.

        Raises
        ------
        UsageError
            If there is no such model.
        TruewardError
            If it generates no text, or has no chat template.

        """
        try:
            folder = find_model(str(source))
        except UsageError as e:
            raise UsageError(
                f"there is no policy {str(source)!r}: give the folder or the hub name of a language model of "
                f"transformers ({e})"
            ) from e
        kinds = getattr(loading.model_config(folder), "architectures", None) or [""]
        if not any(k.endswith(HEADS) for k in kinds):
            raise TruewardError(
                f"a policy generates text, and {source} is a {kinds[0] or 'model of unknown kind'}: give a "
                "model with a language-modelling head (...ForCausalLM)"
            )
        if not loading.load_tokenizer(folder).chat_template:
            raise TruewardError(
                f"the tokenizer of {source} has no chat template: give an instruction-tuned policy, or put a "
                "chat_template.jinja into its folder"
            )
        return Policy(folder)

    def tokenizer(self) -> Any:
        """Return the tokenizer, which pads prompts on the left."""
        return loading.load_tokenizer(self.folder, padding_side="left", truncation_side="left")


def save_policy(trainer: Any, folder: Path) -> None:
    """Write the trained policy with its tokenizer; adapters are merged.

    Parameters
    ----------
    trainer : trl.GRPOTrainer
        The trainer at the end of the run.
    folder : Path
        Where to write.

    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    trainer.processing_class.save_pretrained(folder)
