"""Metrics of every step of a run, and the end of a run at Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trueward.core.tracking import Trackers

RENAMED = {"completions/mean_length": "length"}  # metric of TRL -> ours


def report_steps(
    trainer: Any,
    stop: threading.Event,
    file: Path,
    trackers: Trackers,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """Add a callback to a trainer that writes the metrics of every step, and stops on demand.

    Parameters
    ----------
    trainer : trainer of transformers
        Gets the callback; its own printing is removed.
    stop : threading.Event
        Once it is set, the trainer saves a checkpoint after the step and stops.
    file : Path
        JSON lines, one for each step.
    trackers : Trackers
        Receive the same lines; after a resume, first those of the steps before.
    progress : callable
        Receives the metrics of every step.

    """
    from transformers import PrinterCallback, TrainerCallback  # noqa: PLC0415 - heavy

    class StepReporter(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
            if not state.is_world_process_zero:
                return
            lines = [_metrics(entry) for entry in state.log_history if "reward" in entry]
            file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
            for line in lines:
                trackers.log(line)

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any, **_more: Any) -> None:
            if "reward" in logs and state.is_world_process_zero:
                metrics = _metrics({**logs, "step": state.global_step})
                with file.open("a", encoding="utf-8") as f:
                    f.write(f"{json.dumps(metrics)}\n")
                trackers.log(metrics)
                progress(metrics)

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
            if stop.is_set():
                control.should_save = control.should_training_stop = True

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(StepReporter())


def _metrics(logs: dict[str, Any]) -> dict[str, Any]:
    """Step, reward, kl and length, then the other numbers of TRL; None where one is not finite."""
    renamed = {RENAMED.get(k, k): v for k, v in logs.items()}
    first = {k: renamed.pop(k, None) for k in ("step", "reward", "kl", "length")}
    numbers = {k: v for k, v in {**first, **renamed}.items() if not isinstance(v, str)}
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()
    }


@contextlib.contextmanager
def stop_after_step() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the second one raises KeyboardInterrupt.

    Outside of the main thread, which alone may handle signals, nothing sets the event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_interrupt(_number: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
