"""Frozen language models as features: one vector a prompt and response, pooled from one layer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.features.naming import checked
from trueward.features.texts import BadRowError, check_pairs

from . import checkpoint
from .batches import batches
from .find import find, found_again
from .pooling import pooled
from .reading import OPTIONS, Reading, reading_of
from .rendering import Rendering, Row
from .sentence import dense_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from .folder import Folder
    from .sentence import Dense

LOG = logging.getLogger("trueward")
VERSION = 1  # raise it with any change of what a row holds
BUDGET = {"cpu": 4_096, "cuda": 32_768}  # tokens of one batch, its padding included
LARGEST = 65_504.0  # of float16
LOST = "the model's files may be damaged, or its precision too low: try dtype=float32"


class Transformer:
    """x = pool(h_layer(text)) of a model of the transformers library, its weights as they are.

    The weights are read when the first text is, so that a cache that has every row never loads them.
    """

    def __init__(self, folder: Folder, reading: Reading, device: str | None = None) -> None:
        self.folder, self.reading = folder, reading
        self.placed = device
        self.budget = 0  # tokens of one batch; 0: what the device is usually given
        self._cut = self._seen = 0
        self._halved = False

    @cached_property
    def width(self) -> int:
        """Count the columns of a row."""
        if self._dense:
            return len(self._dense[-1].weight)
        return checkpoint.size(self.folder, "hidden_size")

    def spec(self) -> str:
        """Give what makes these features again, as JSON: the files by their digest, and the reading."""
        named = {"model": self.folder.source, "revision": self.folder.revision}
        kept = dataclasses.asdict(self.reading) | {"dense": list(self.reading.dense)}
        about = {"name": "transformers", "version": VERSION, **named, "digest": self.folder.digest}
        return json.dumps({**about, **kept})

    def remarks(self) -> list[str]:
        """Say how many of the rows read since the last call were cut."""
        cut, seen, self._cut, self._seen = self._cut, self._seen, 0, 0
        if not cut:
            return []
        said = (
            f"{cut:,} of {seen:,} texts have more than {self.reading.max_length:,} tokens and lost their "
            "beginning, never the end of the response (max_length=N sets the limit)"
        )
        return [said]

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Give float16 (n, width), always finite; BadRowError where an activation is not."""
        check_pairs(prompts, responses)
        if not len(prompts):
            return torch.empty(0, self.width, dtype=torch.float16)
        rows, cut = self.rendering.rows(prompts, responses)
        self._known(rows)
        out = torch.empty(len(rows), self.width, dtype=torch.float16)

        def put(batch: list[int]) -> None:
            out[batch] = self._vectors([rows[i] for i in batch], batch)

        self.by_length({i: len(row.ids) for i, row in enumerate(rows)}, put)
        self._cut, self._seen = self._cut + cut, self._seen + len(rows)
        return out

    def by_length(self, lengths: Mapping[int, int], do: Callable[[list[int]], None]) -> None:
        """Do all rows (number -> tokens) in batches, of half the tokens once memory has run out."""
        left = dict(lengths)
        self.budget = self.budget or BUDGET.get(self.device.type, BUDGET["cuda"])
        todo = batches(left, self.budget)
        while todo:
            batch, done = todo.pop(), False
            with contextlib.suppress(torch.OutOfMemoryError):
                do(batch)
                done = True
            if not done:  # out here, where nothing holds the failed batch any more
                todo = self._smaller(batch, left)
                continue
            for i in batch:
                del left[i]

    def handed_over(self) -> Transformer:
        """Give the same with its weights, which this one forgets and reads anew if it is asked again."""
        other = Transformer(self.folder, self.reading, self.placed)
        other.budget = self.budget
        if "model" in vars(self):
            other.model = vars(self).pop("model")
        return other

    def inputs(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Give a batch as the model takes it, each (n, t): padded on the right, as the mask says."""
        longest = max(len(row.ids) for row in rows)
        made = {"input_ids": torch.zeros(len(rows), longest, dtype=torch.long)}
        made["attention_mask"] = torch.zeros_like(made["input_ids"])
        if rows[0].types is not None:
            made["token_type_ids"] = torch.zeros_like(made["input_ids"])
        for i, row in enumerate(rows):
            made["input_ids"][i, : len(row.ids)] = torch.tensor(row.ids)
            made["attention_mask"][i, : len(row.ids)] = 1
            if row.types is not None:
                made["token_type_ids"][i, : len(row.ids)] = torch.tensor(row.types)
        return {name: values.to(self.device) for name, values in made.items()}

    def activations(self, inputs: Mapping[str, Tensor], model: Any = None) -> Tensor:
        """Give h, (n, t, d), of the layer that is read; of ``model``, where that is not the frozen one."""
        last = self.reading.layer == checkpoint.layers(self.folder)
        out = (model or self.model)(**inputs, output_hidden_states=not last, return_dict=True)
        h: Tensor = out.last_hidden_state if last else out.hidden_states[self.reading.layer]
        return h

    def _vectors(self, rows: Sequence[Row], numbers: Sequence[int]) -> Tensor:
        with torch.inference_mode():
            inputs = self.inputs(rows)
            mask = inputs["attention_mask"]
            v = pooled(self.activations(inputs), mask, self.reading.pooling).cpu()
            for layer in self._dense:
                v = layer(v)
            self._check(numbers, v.isfinite(), f"has activations that are not finite: {LOST}")
            if self.reading.normalize:
                v = torch.nn.functional.normalize(v)
            said = (
                "has activations beyond what float16 holds: choose another layer, or normalize=true"
            )
            self._check(numbers, v.abs() <= LARGEST, said)
            return v.half()

    def _known(self, rows: Sequence[Row]) -> None:
        """Refuse tokens that the model has no vector for, which is a tokenizer of another model."""
        size = len(self.model.get_input_embeddings().weight)
        largest = max(max(row.ids) for row in rows)
        if largest >= size:
            raise TruewardError(
                f"the tokenizer in {self.folder.path} gives the token {largest}, and the model knows {size}: "
                "one of them is of another model; copy both from one place"
            )

    def _check(self, numbers: Sequence[int], good: Tensor, said: str) -> None:
        bad = (~good).any(1).nonzero()
        if len(bad):
            raise BadRowError(min(numbers[int(i)] for i in bad), said)

    def _smaller(self, batch: list[int], left: Mapping[int, int]) -> list[list[int]]:
        """Go on with batches of half the tokens; one text alone cannot be halved."""
        longest = max(left[i] for i in batch)
        if len(batch) == 1:
            raise TruewardError(
                f"one text of {longest:,} tokens does not fit into the memory of {self.device}: choose a "
                "smaller max_length, dtype=bfloat16, device=auto over several GPUs, or a smaller model"
            )
        self.budget = len(batch) // 2 * longest
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._halved:
            self._halved = True
            LOG.warning(
                "%s ran out of memory with %d texts of up to %d tokens at once: the batches are halved "
                "and it goes on",
                self.device,
                len(batch),
                longest,
            )
        return batches(left, self.budget)

    @cached_property
    def rendering(self) -> Rendering:
        """Give what turns texts into tokens."""
        segments = getattr(checkpoint.text_config(self.folder), "type_vocab_size", 0) or 0
        own = self.reading
        tokenizer = checkpoint.tokenizer(self.folder)
        pair = own.template == "pair" and segments > 1
        return Rendering(tokenizer, own.template, own.max_length, pair)

    @cached_property
    def model(self) -> Any:
        """Give the network without its head, on its device."""
        return checkpoint.network(self.folder, self.reading.dtype, self.placed)

    @property
    def device(self) -> torch.device:
        """Say where token numbers go in."""
        found: torch.device = self.model.get_input_embeddings().weight.device
        return found

    @cached_property
    def _dense(self) -> tuple[Dense, ...]:
        return tuple(dense_of(self.folder, place) for place in self.reading.dense)


def named(source: str, given: Mapping[str, str]) -> Transformer:
    """Give the backbone that ``SOURCE,option=value`` names."""
    chosen = checked(source, given, OPTIONS)
    device, revision = chosen.pop("device", None), chosen.pop("revision", None)
    folder = find(source, revision)
    return _opened(folder, reading_of(folder, chosen), device)


def remade(spec: dict[str, Any]) -> Transformer:
    """Give the backbone of a spec; TruewardError where its files are gone or are others."""
    if spec.get("version") != VERSION:
        raise TruewardError(
            f"these features were made by version {spec.get('version')} of the reading of language models, "
            f"and the installed one is {VERSION}: install the trueward that made them, or fit again"
        )
    try:
        kept = {field.name: spec[field.name] for field in dataclasses.fields(Reading)}
        reading = Reading(**{**kept, "dense": tuple(kept["dense"])})
        folder = found_again(str(spec["model"]), spec["revision"], str(spec["digest"]))
    except (KeyError, TypeError) as e:
        raise TruewardError(
            f"this is no whole description of a backbone (it lacks {e}): encode and fit again"
        ) from e
    return _opened(folder, reading, None)


@lru_cache(maxsize=2)
def _opened(folder: Folder, reading: Reading, device: str | None) -> Transformer:
    """Keep the last models in memory: who scores text by text must not load one each time."""
    return Transformer(folder, reading, device)
