"""Models of Inspect: ``trueward-local/NAME`` of a folder, ``trueward-served/NAME`` of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, modelapi

from trueward.features.http_json import RefusedRequestError
from trueward.rlhf.policy import Policy

from .served_model import ServedModel
from .text_models import Decoding, LocalModel

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage
    from inspect_ai.tool import ToolChoice, ToolInfo

BATCH = 16  # prompts that a local policy answers at once
GATHERED = 0.05  # seconds in which a batch gathers
MOST_TOKENS = 512


@modelapi(name="trueward-local")
class LocalPolicy(ModelAPI):  # type: ignore[misc] # its base is not typed where Inspect is absent
    """A policy of this machine; the draws of a sample depend on its prompt and number only.

    Parameters
    ----------
    model_name : str
        Anything: the weights are those of ``path``.
    base_url, api_key : str, optional
        Not used.
    config : GenerateConfig
        Inspect's defaults for this model.
    path : str
        Folder of a model or of an adapter, or a hub name.
    device : str, optional
        ``cpu``, ``cuda:0`` ...
    batch : int
        Prompts that are answered at once.

    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        path: str,
        device: str | None = None,
        batch: int = BATCH,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.local: LocalModel | None = LocalModel(Policy.at(path).folder, device)
        self.batch = int(batch)
        self.waiting: list[_Request] = []
        self.lock = anyio.Lock()

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - named by Inspect
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer one conversation, in a batch with those that wait."""
        del tools, tool_choice
        assert self.local is not None
        request = _Request(self.local.chat_text(_messages(input)), _decoding(config))
        if not self.local.fits(request.text):
            return _too_long(self.model_name)
        self.waiting.append(request)
        await anyio.sleep(GATHERED)
        async with self.lock:
            while not request.done:
                now, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
                await self._answer(now)
        return ModelOutput.from_content(self.model_name, request.said)

    async def _answer(self, now: list[_Request]) -> None:
        assert self.local is not None
        texts, how = [r.text for r in now], [r.how for r in now]
        said = await anyio.to_thread.run_sync(self.local.complete, texts, how)
        for request, answer in zip(now, said, strict=True):
            request.said, request.done = answer, True

    def max_connections(self) -> int:
        """Return how many samples wait at once."""
        return self.batch

    def close(self) -> None:
        """Free the memory of the weights."""
        self.local = None


@modelapi(name="trueward-served")
class ServedPolicy(ModelAPI):  # type: ignore[misc]
    """A policy on a server with OpenAI's interface.

    Parameters
    ----------
    model_name : str
        Anything: the model is ``served``.
    base_url, api_key : str, optional
        Not used: the key is that of the environment.
    config : GenerateConfig
        Inspect's defaults for this model.
    address, served : str
        ``http://HOST/v1`` and the name of the model there.

    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        address: str,
        served: str,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.served = ServedModel.of(f"{address},model={served}")

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - named by Inspect
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer one conversation."""
        del tools, tool_choice
        how = _decoding(config)
        try:
            said = await anyio.to_thread.run_sync(self.served.chat, _messages(input), how)
        except RefusedRequestError:
            return _too_long(self.model_name)
        return ModelOutput.from_content(self.model_name, said)


class _Request:
    """A text that waits for its answer."""

    def __init__(self, text: str, how: Decoding) -> None:
        self.text, self.how = text, how
        self.said, self.done = "", False


def _messages(given: list[ChatMessage]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.text} for m in given]


def _too_long(name: str) -> ModelOutput:
    """Return no answer, to a prompt that the policy cannot read or that its server refuses."""
    return ModelOutput.from_content(name, "", stop_reason="model_length")


def _decoding(config: GenerateConfig) -> Decoding:
    """Return the decoding of one sample, greedy unless Inspect is given a temperature."""
    return Decoding(
        config.max_tokens or MOST_TOKENS, config.temperature or 0.0, (config.seed or 0) % (1 << 31)
    )
