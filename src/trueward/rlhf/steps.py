"""What is heard of a run, step by step, and how a user ends it."""

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

SHORT = {"completions/mean_length": "length"}  # what TRL calls it, and we


def listen(
    trainer: Any,
    asked: threading.Event,
    file: Path,
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Write a line a step, tell of it, and end where a user asks for it."""
    from transformers import PrinterCallback, TrainerCallback  # noqa: PLC0415 - heavy

    class Listener(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
            if not state.is_world_process_zero:
                return
            lines = [_line(entry) for entry in state.log_history if "reward" in entry]
            file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any, **_more: Any) -> None:
            if "reward" in logs and state.is_world_process_zero:
                line = _line({**logs, "step": state.global_step})
                with file.open("a", encoding="utf-8") as f:
                    f.write(f"{json.dumps(line)}\n")
                tell(line)

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
            if asked.is_set():
                control.should_save = control.should_training_stop = True

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Listener())


def _line(logs: dict[str, Any]) -> dict[str, Any]:
    """A step's metrics: step, reward, kl and length first, then what else TRL measures."""
    named = {SHORT.get(k, k): v for k, v in logs.items()}
    first = {k: named.pop(k, None) for k in ("step", "reward", "kl", "length")}
    kept = {k: v for k, v in {**first, **named}.items() if not isinstance(v, str)}
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in kept.items()
    }


@contextlib.contextmanager
def one_more_step() -> Iterator[threading.Event]:
    """Set the event at the first Ctrl-C; the second is one as ever."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(_number: int, _frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
