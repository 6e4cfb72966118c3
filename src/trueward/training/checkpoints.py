"""Checkpoints of the training state, so that an interrupted run resumes and ends in the same bits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from torch import Tensor

    from .training_state import TrainingState


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoint files of one fit, one a stage. A file is replaced as a whole, so a kill leaves the last one.

    Attributes
    ----------
    folder : Path
        Folder of the files.
    key : str
        Hash of data, method and settings; a checkpoint with another key is refused.
    every : float, default 2
        Seconds between two saves of one stage.

    """

    folder: Path
    key: str
    every: float = 2.0

    @staticmethod
    def at(folder: str | Path, key: str) -> Checkpoints:
        """Create the folder; while it exists, a fit is unfinished.

        Parameters
        ----------
        folder : str or Path
            Folder of the checkpoint files.
        key : str
            Hash of data, method and settings.

        Raises
        ------
        TruewardError
            If the folder cannot be created.

        """
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise TruewardError(
                f"{path} could not be created ({e.strerror}); choose a folder you may write to"
            ) from e
        return Checkpoints(path, key)

    def save(self, stage: str, state: TrainingState) -> None:
        """Write the state after a whole epoch.

        Parameters
        ----------
        stage : str
            Name of the training problem.
        state : TrainingState
            What training changes.

        """
        tensors = {}
        for k, p in enumerate(state.net.parameters()):
            tensors[f"{k}.now"], tensors[f"{k}.best"] = p.detach().cpu(), state.best[k].cpu()
            for name, v in state.optimizer.state.get(p, {}).items():
                tensors[f"{k}.adam.{name}"] = v.cpu()
        for m, memory in enumerate(state.memory):
            tensors |= {f"memory.{m}.{k}": v.cpu().contiguous() for k, v in memory.items()}
        numbers = {
            "value": state.best_loss,
            "waited": state.waited,
            "kept": state.train_loss,
            "epoch": state.epoch,
        }
        with replacing(self.folder / f"{stage}.safetensors") as path:
            save_file(tensors, path, {"key": self.key, "state": json.dumps(numbers)})

    def resume(self, stage: str, state: TrainingState) -> None:
        """Restore the saved state of a stage, if there is one.

        Parameters
        ----------
        stage : str
            Name of the training problem.
        state : TrainingState
            A fresh state, changed in place.

        Raises
        ------
        TruewardError
            If the file is damaged or belongs to other data or settings.

        """
        path = self.folder / f"{stage}.safetensors"
        if not path.exists():
            return
        try:
            with safe_open(path, "pt") as f:
                metadata = f.metadata()
                tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as e:
            raise TruewardError(
                f"{path} is damaged ({e}); delete {self.folder} and start without --resume"
            ) from e
        if (metadata or {}).get("key") != self.key:
            raise TruewardError(
                f"{self.folder} belongs to a run with other data or settings; resume with the same "
                "ones, or start again without --resume"
            )
        try:
            numbers = _numbers(metadata["state"], state.net.shape.members)
            state.best_loss, state.waited = numbers["value"], numbers["waited"]
            state.train_loss, state.epoch = numbers["kept"], numbers["epoch"]
            for m, memory in enumerate(state.memory):
                state.memory[m] = type(memory)(
                    {k: tensors[f"memory.{m}.{k}"].to(v.device) for k, v in memory.items()}
                )
            for k, p in enumerate(state.net.parameters()):
                _require_shape(p, *(tensors[f"{k}.{n}"] for n in ("now", "best")))
                p.data.copy_(tensors[f"{k}.now"])
                state.best[k].copy_(tensors[f"{k}.best"])
                adam = {
                    n: tensors[f"{k}.adam.{n}"]
                    for n in ("step", "exp_avg", "exp_avg_sq")
                    if f"{k}.adam.{n}" in tensors
                }
                if adam:
                    _require_shape(p, adam["exp_avg"], adam["exp_avg_sq"])
                    state.optimizer.state[p] = {n: v.to(p.device) for n, v in adam.items()}
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as e:
            raise TruewardError(
                f"{path} is damaged ({type(e).__name__}: {e}); delete {self.folder} and start without "
                "--resume"
            ) from e


def _numbers(text: str, members: int) -> dict[str, Any]:
    """Return the numbers in the header of a checkpoint, one of each list for every member."""
    numbers = json.loads(text)
    kinds = {"value": float, "kept": float, "waited": int}
    for name, kind in kinds.items():
        values = numbers[name]
        right = isinstance(values, list) and all(type(v) is kind for v in values)
        if not right or len(values) != members or (kind is int and min(values) < 0):
            raise ValueError(f"{name} should be {members} numbers")
    if type(numbers["epoch"]) is not int or numbers["epoch"] < 0:
        raise ValueError("epoch should be a number of epochs")
    return dict(numbers)


def _require_shape(p: Tensor, *saved: Tensor) -> None:
    """Refuse tensors that copying would broadcast."""
    if any(tensor.shape != p.shape for tensor in saved):
        raise ValueError("a tensor has another shape than the network")
