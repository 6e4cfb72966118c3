"""The backbone of a frozen language model: one vector per prompt and response, pooled from one layer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.features.texts import BadRowError, check_pairs

from . import loading
from .length_batches import length_batches
from .prompt_rendering import PromptRendering, TokenRow
from .sentence_transformers_layout import load_dense
from .token_pooling import pool_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from .model_folder import ModelFolder
    from .reading_options import ReadingOptions
    from .sentence_transformers_layout import DenseLayer

LOG = logging.getLogger("trueward")
VERSION = 1  # increase it with any change of the features
BUDGET = {"cpu": 4_096, "cuda": 32_768}  # tokens of one batch, padding included
FLOAT16_MAX = 65_504.0


class Transformer:
    """x = pool(h_layer(text)) of a frozen model of the transformers library.

    The weights are loaded with the first text that is encoded, so never if the cache has every row.

    Parameters
    ----------
    folder : ModelFolder
        Files of the model.
    reading : ReadingOptions
        Template, layer, pooling, length and precision.
    device : str or None, default None
        ``cpu``, ``cuda:0``, ..., ``auto``, or None for the GPU of this process, else the CPU.

    Attributes
    ----------
    budget : int
        Tokens of one batch, padding included; 0 until the first batch, then the device's default. It
        decreases when the device runs out of memory.

    """

    def __init__(
        self, folder: ModelFolder, reading: ReadingOptions, device: str | None = None
    ) -> None:
        self.folder, self.reading = folder, reading
        self.device_option = device
        self.budget = 0
        self._truncated = self._encoded = 0  # rows since the last call of collect_warnings
        self._halving_logged = False

    @cached_property
    def width(self) -> int:
        """Number of columns of x."""
        if self._dense:
            return len(self._dense[-1].weight)
        return loading.config_int(self.folder, "hidden_size")

    def spec(self) -> str:
        """Return the JSON description: the digest of the files and the reading options."""
        location = {"model": self.folder.source, "revision": self.folder.revision}
        reading = dataclasses.asdict(self.reading) | {"dense": list(self.reading.dense)}
        model = {"name": "transformers", "version": VERSION, **location}
        return json.dumps({**model, "digest": self.folder.digest, **reading})

    def collect_warnings(self) -> list[str]:
        """Return how many rows were truncated since the last call."""
        truncated, encoded = self._truncated, self._encoded
        self._truncated = self._encoded = 0
        if not truncated:
            return []
        warning = (
            f"{truncated:,} of {encoded:,} texts have more than {self.reading.max_length:,} tokens and lost "
            "their beginning, never the end of the response (max_length=N sets the limit)"
        )
        return [warning]

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Encode each pair of texts.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            Texts of the rows.

        Returns
        -------
        Tensor of float16, (n, width)
            Always finite. Other rows in the batch change a feature by rounding only.

        Raises
        ------
        BadRowError
            If an activation is not finite or exceeds the range of float16.
        TruewardError
            If tokenizer and model do not fit, or a text does not fit into memory.

        """
        check_pairs(prompts, responses)
        if not len(prompts):
            return torch.empty(0, self.width, dtype=torch.float16)
        rows, truncated = self.rendering.tokenize(prompts, responses)
        self._check_token_ids(rows)
        out = torch.empty(len(rows), self.width, dtype=torch.float16)

        def encode_batch(batch: list[int]) -> None:
            out[batch] = self._vectors([rows[i] for i in batch], batch)

        self.run_batches({i: len(row.ids) for i, row in enumerate(rows)}, encode_batch)
        self._truncated, self._encoded = self._truncated + truncated, self._encoded + len(rows)
        return out

    def run_batches(self, lengths: Mapping[int, int], run: Callable[[list[int]], None]) -> None:
        """Run a function on all rows in batches; halve the batches when memory runs out.

        Parameters
        ----------
        lengths : mapping of int to int
            Row number -> number of tokens.
        run : callable
            Called with the row numbers of each batch.

        Raises
        ------
        TruewardError
            If a single text does not fit into memory.

        """
        remaining = dict(lengths)
        self.budget = self.budget or BUDGET.get(self.device.type, BUDGET["cuda"])
        batches = length_batches(remaining, self.budget)
        while batches:
            batch, done = batches.pop(), False
            with contextlib.suppress(torch.OutOfMemoryError):
                run(batch)
                done = True
            if (
                not done
            ):  # outside the handler, where no traceback holds the tensors of the failed batch
                batches = self._halved_batches(batch, remaining)
                continue
            for i in batch:
                del remaining[i]

    def move_weights(self) -> Transformer:
        """Move the weights to a new backbone; this one loads them again if it encodes text."""
        other = Transformer(self.folder, self.reading, self.device_option)
        other.budget = self.budget
        if "model" in vars(self):
            other.model = vars(self).pop("model")
        return other

    def inputs(self, rows: Sequence[TokenRow]) -> dict[str, Tensor]:
        """Collate a batch as the model's arguments, padded on the right.

        Parameters
        ----------
        rows : sequence of TokenRow, length n
            Tokens of the texts.

        Returns
        -------
        dict of str to Tensor of int64, each (n, t)
            ``input_ids``, ``attention_mask`` and, for models with segments, ``token_type_ids``.

        """
        longest = max(len(row.ids) for row in rows)
        tensors = {"input_ids": torch.zeros(len(rows), longest, dtype=torch.long)}
        tensors["attention_mask"] = torch.zeros_like(tensors["input_ids"])
        if rows[0].types is not None:
            tensors["token_type_ids"] = torch.zeros_like(tensors["input_ids"])
        for i, row in enumerate(rows):
            tensors["input_ids"][i, : len(row.ids)] = torch.tensor(row.ids)
            tensors["attention_mask"][i, : len(row.ids)] = 1
            if row.types is not None:
                tensors["token_type_ids"][i, : len(row.ids)] = torch.tensor(row.types)
        return {name: tensor.to(self.device) for name, tensor in tensors.items()}

    def activations(self, inputs: Mapping[str, Tensor], model: Any = None) -> Tensor:
        """Return the activations h, (n, t, d), of the selected layer.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            Arguments of the model, from `inputs`.
        model : torch.nn.Module or None, default None
            Network to use in place of the frozen one, such as one with adapters.

        """
        last = self.reading.layer == loading.layer_count(self.folder)
        out = (model or self.model)(**inputs, output_hidden_states=not last, return_dict=True)
        h: Tensor = out.last_hidden_state if last else out.hidden_states[self.reading.layer]
        return h

    def _vectors(self, rows: Sequence[TokenRow], numbers: Sequence[int]) -> Tensor:
        with torch.inference_mode():
            inputs = self.inputs(rows)
            mask = inputs["attention_mask"]
            v = pool_tokens(self.activations(inputs), mask, self.reading.pooling).cpu()
            for layer in self._dense:
                v = layer(v)
            damaged = (
                "has activations that are not finite: the model's files may be damaged, or its precision "
                "too low; try dtype=float32"
            )
            _check_rows(v.isfinite(), numbers, damaged)
            if self.reading.normalize:
                v = torch.nn.functional.normalize(v)
            too_large = (
                "has activations that exceed float16: choose another layer, or normalize=true"
            )
            _check_rows(v.abs() <= FLOAT16_MAX, numbers, too_large)
            return v.half()

    def _check_token_ids(self, rows: Sequence[TokenRow]) -> None:
        """Check that the model has an embedding for every token."""
        size = len(self.model.get_input_embeddings().weight)
        largest = max(max(row.ids) for row in rows)
        if largest >= size:
            raise TruewardError(
                f"the tokenizer in {self.folder.path} produced token {largest}, and the model knows {size} "
                "tokens: tokenizer and model are of different models; copy both from one place"
            )

    def _halved_batches(self, batch: list[int], remaining: Mapping[int, int]) -> list[list[int]]:
        """Return batches of half the tokens after ``batch`` did not fit into memory."""
        longest = max(remaining[i] for i in batch)
        if len(batch) == 1:
            raise TruewardError(
                f"one text of {longest:,} tokens does not fit into the memory of {self.device}: choose a "
                "smaller max_length, dtype=bfloat16, device=auto with several GPUs, or a smaller model"
            )
        self.budget = len(batch) // 2 * longest
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._halving_logged:
            self._halving_logged = True
            LOG.warning(
                "%s ran out of memory with a batch of %d texts of up to %d tokens: encoding continues with "
                "smaller batches",
                self.device,
                len(batch),
                longest,
            )
        return length_batches(remaining, self.budget)

    @cached_property
    def rendering(self) -> PromptRendering:
        """How prompt and response become tokens."""
        segments = getattr(loading.text_config(self.folder), "type_vocab_size", 0) or 0
        reading = self.reading
        tokenizer = loading.load_tokenizer(self.folder)
        pair = reading.template == "pair" and segments > 1
        return PromptRendering(tokenizer, reading.template, reading.max_length, pair)

    @cached_property
    def model(self) -> Any:
        """The network without its head, on its device."""
        return loading.load_network(self.folder, self.reading.dtype, self.device_option)

    @property
    def device(self) -> torch.device:
        """Device of the token embeddings."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @cached_property
    def _dense(self) -> tuple[DenseLayer, ...]:
        return tuple(load_dense(self.folder, path) for path in self.reading.dense)


def _check_rows(valid: Tensor, numbers: Sequence[int], problem: str) -> None:
    """Raise BadRowError for the first row with an entry that is not valid."""
    bad = (~valid).any(1).nonzero()
    if len(bad):
        raise BadRowError(min(numbers[int(i)] for i in bad), problem)
