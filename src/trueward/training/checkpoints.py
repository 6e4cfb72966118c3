"""Training state on disk, so that a killed run goes on where it was and ends in the same bits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from .training_state import State


@dataclass(frozen=True)
class Checkpoints:
    """One file a stage in ``folder``, valid for one ``key`` (hash of data, method and settings).

    Every file is replaced as a whole, so a kill at any moment leaves the previous one.
    """

    folder: Path
    key: str
    every: float = 2.0  # seconds between two saves of one stage

    @staticmethod
    def at(folder: str | Path, key: str) -> Checkpoints:
        """Make the folder, whose presence says that a fit has begun and not ended."""
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise TruewardError(
                f"{path} could not be made ({e.strerror}); choose a place you may write to"
            ) from e
        return Checkpoints(path, key)

    def save(self, stage: str, state: State) -> None:
        """Write the state after a whole epoch."""
        tensors = {}
        for k, p in enumerate(state.net.parameters()):
            tensors[f"{k}.now"], tensors[f"{k}.best"] = p.detach().cpu(), state.best[k].cpu()
            for name, v in state.optimiser.state.get(p, {}).items():
                tensors[f"{k}.adam.{name}"] = v.cpu()
        for m, memory in enumerate(state.memory):
            tensors |= {f"memory.{m}.{k}": v.cpu().contiguous() for k, v in memory.items()}
        numbers = {
            "value": state.value,
            "waited": state.waited,
            "kept": state.kept,
            "epoch": state.epoch,
        }
        with replacing(self.folder / f"{stage}.safetensors") as path:
            save_file(tensors, path, {"key": self.key, "state": json.dumps(numbers)})

    def resume(self, stage: str, state: State) -> None:
        """Put a saved state of ``stage`` back, if there is one."""
        path = self.folder / f"{stage}.safetensors"
        if not path.exists():
            return
        try:
            with safe_open(path, "pt") as f:
                about = f.metadata()
                tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as e:
            raise TruewardError(
                f"{path} is damaged ({e}); delete {self.folder} and start without --resume"
            ) from e
        if about.get("key") != self.key:
            raise TruewardError(
                f"{self.folder} belongs to a run with other data or settings; give the same ones to "
                "go on, or start anew without --resume"
            )
        numbers = json.loads(about["state"])
        state.value, state.waited = numbers["value"], numbers["waited"]
        state.kept, state.epoch = numbers["kept"], numbers["epoch"]
        for m, memory in enumerate(state.memory):
            state.memory[m] = type(memory)(
                {k: tensors[f"memory.{m}.{k}"].to(v.device) for k, v in memory.items()}
            )
        for k, p in enumerate(state.net.parameters()):
            p.data.copy_(tensors[f"{k}.now"])
            state.best[k].copy_(tensors[f"{k}.best"])
            adam = {
                n: tensors[f"{k}.adam.{n}"]
                for n in ("step", "exp_avg", "exp_avg_sq")
                if f"{k}.adam.{n}" in tensors
            }
            if adam:
                state.optimiser.state[p] = {n: v.to(p.device) for n, v in adam.items()}
