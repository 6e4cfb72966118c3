"""Features, scores and digests of texts as columns of a `ray.data.Dataset`."""

from __future__ import annotations

import importlib
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trueward.core.arguments import described
from trueward.core.errors import UsageError
from trueward.core.ray_actors import require_release
from trueward.core.ray_connection import imported
from trueward.data.pairs import read_pairs
from trueward.features import backbone as backbone_of
from trueward.features import features
from trueward.features.cache import block_key
from trueward.features.encoding import BLOCK
from trueward.features.named_servers import ALLOWED
from trueward.model.reward_model import load
from trueward.model.table_scores import require_scores, with_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trueward.features import Backbone

    Step = Callable[[pa.Table], pa.Table]


def encode(
    dataset: Any,
    backbone: str | Backbone = "wordllama",
    *,
    mapping: Mapping[str, str] | None = None,
    num_gpus: float = 0,
    actors: int | tuple[int, int] | None = None,
) -> Any:
    """Add the features of each prompt and response to a dataset of Ray Data.

    The backbone is loaded once in each actor. Nothing is computed before the dataset is written or read.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with ``prompt`` and ``response``.
    backbone : str or Backbone, default "wordllama"
        As for `trueward.encode`. All nodes must see the folder of a model.
    mapping : mapping of str to str or None
        Canonical name -> column of the dataset.
    num_gpus : float, default 0
        GPUs of an actor; a fraction shares a GPU.
    actors : int, (int, int) or None
        Number of actors, or the least and the most of them; None: from one to as many as the cluster has
        processors or GPUs for.

    Returns
    -------
    ray.data.Dataset
        The columns of ``dataset`` and ``features``, a list of float16 of the width of the backbone.

    Raises
    ------
    UsageError
        If ``dataset`` is no dataset of Ray Data, or the backbone is unknown.
    TruewardError
        If Ray is not installed or the backbone is unavailable.

    Examples
    --------
    >>> import ray  # doctest: +SKIP
    >>> from trueward import scale  # doctest: +SKIP
    >>> logs = ray.data.read_parquet("s3://bucket/logs")  # doctest: +SKIP
    >>> scale.encode(logs, num_gpus=1).write_parquet("s3://bucket/features")  # doctest: +SKIP

    """
    model = backbone_of(backbone) if isinstance(backbone, str) else backbone
    begin = partial(_encoder, model.spec(), dict(mapping or {}), frozenset(ALLOWED))
    return _mapped(dataset, begin, num_gpus, actors)


def score(
    dataset: Any,
    model: str | Path,
    *,
    confidence: float | None = None,
    by_class: bool = False,
    mapping: Mapping[str, str] | None = None,
    num_gpus: float = 0,
    actors: int | tuple[int, int] | None = None,
) -> Any:
    """Add reward, P(preferred) and its spread to a dataset of Ray Data, and decisions if they are asked for.

    The model and its backbone are loaded once in each actor. Nothing is computed before the dataset is
    written or read.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with ``prompt`` and ``response``.
    model : str or Path
        Folder of the model; all nodes must see it.
    confidence : float or None
        Add a column ``decision``: 1, 0, or null below this confidence; needs a calibrated model.
    by_class : bool, default False
        Whether the confidence holds among good and among bad responses.
    mapping : mapping of str to str or None
        Canonical name -> column of the dataset.
    num_gpus : float, default 0
        GPUs of an actor; a fraction shares a GPU.
    actors : int, (int, int) or None
        As for `encode`.

    Returns
    -------
    ray.data.Dataset
        The columns of ``dataset`` and those of the scores.

    Raises
    ------
    UsageError
        If ``dataset`` is no dataset of Ray Data.
    TruewardError
        If Ray is not installed, or the model cannot be read or cannot decide.

    Examples
    --------
    >>> from trueward import scale  # doctest: +SKIP
    >>> scale.score(logs, "rm").write_parquet("s3://bucket/scored")  # doctest: +SKIP

    """
    require_scores(load(model), model, confidence)
    begin = partial(
        _scorer,
        str(Path(model).resolve()),
        confidence,
        by_class,
        dict(mapping or {}),
        frozenset(ALLOWED),
    )
    return _mapped(dataset, begin, num_gpus, actors)


def text_digests(dataset: Any, *, mapping: Mapping[str, str] | None = None) -> Any:
    """Add the SHA-256 of each prompt and response as ``text_digest``, the id for checkpoints of Ray Data.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with ``prompt`` and ``response``.
    mapping : mapping of str to str or None
        Canonical name -> column of the dataset.

    Returns
    -------
    ray.data.Dataset
        The columns of ``dataset`` and ``text_digest``. Equal pairs of texts have equal digests.

    Raises
    ------
    UsageError
        If ``dataset`` is no dataset of Ray Data.

    Examples
    --------
    >>> from ray.data.checkpoint import CheckpointConfig  # doctest: +SKIP
    >>> settings = ray.data.DataContext.get_current()  # doctest: +SKIP
    >>> settings.checkpoint_config = CheckpointConfig("text_digest", "/shared/done")  # doctest: +SKIP
    >>> logs = scale.text_digests(ray.data.read_parquet("/shared/logs"))  # doctest: +SKIP

    """
    _require_dataset(dataset)
    step = partial(_digested, dict(mapping or {}))
    return dataset.map_batches(step, batch_format="pyarrow")


class _Step:
    """An actor: what works on the batches, made with the first of them."""

    def __init__(self, release: str, begin: Callable[[], Step]) -> None:
        self.release, self.begin = release, begin
        self.work: Step | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        if self.work is None:  # not in the constructor, whose errors make Ray try for ever
            require_release(self.release)
            self.work = self.begin()
        return self.work(batch)


def _mapped(
    dataset: Any,
    begin: Callable[[], Step],
    num_gpus: float,
    actors: int | tuple[int, int] | None,
) -> Any:
    _require_dataset(dataset)
    if not 0 <= num_gpus < float("inf"):
        raise UsageError(f"num_gpus must be 0 or more, found {num_gpus:g}")
    sizes = (actors, actors) if isinstance(actors, int) else actors or (1, None)
    if sizes[0] < 1 or (sizes[1] is not None and sizes[1] < sizes[0]):
        raise UsageError(f"actors must be at least 1, or (least, most), found {actors}")
    pool = importlib.import_module("ray.data").ActorPoolStrategy
    return dataset.map_batches(
        _Step,
        fn_constructor_args=(version("trueward"), begin),
        batch_size=BLOCK,
        batch_format="pyarrow",
        compute=pool(min_size=sizes[0], max_size=sizes[1]),
        num_cpus=1,
        num_gpus=num_gpus or None,
    )


def _require_dataset(dataset: Any) -> None:
    imported()
    if not isinstance(dataset, importlib.import_module("ray.data").Dataset):
        raise UsageError(
            "a dataset of Ray Data was expected, such as ray.data.read_parquet(PATH), not "
            f"{described(dataset)}"
        )


def _frames(batch: pa.Table, mapping: Mapping[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a batch, and its texts."""
    frame = pl.DataFrame(pl.from_arrow(batch))
    return frame, read_pairs(frame, mapping=mapping)


def _encoder(spec: str, mapping: Mapping[str, str], allowed: frozenset[str]) -> Step:
    ALLOWED.update(allowed)
    model = backbone_of(spec)

    def work(batch: pa.Table) -> pa.Table:
        _, texts = _frames(batch, mapping)
        x = features(model, texts["prompt"].to_list(), texts["response"].to_list(), None)
        flat = pa.array(x.numpy().reshape(-1))
        return batch.append_column("features", pa.FixedSizeListArray.from_arrays(flat, model.width))

    return work


def _scorer(
    folder: str,
    confidence: float | None,
    by_class: bool,
    mapping: Mapping[str, str],
    allowed: frozenset[str],
) -> Step:
    ALLOWED.update(allowed)
    rm = load(folder)
    model = backbone_of(rm.backbone or "")

    def work(batch: pa.Table) -> pa.Table:
        frame, texts = _frames(batch, mapping)
        x = features(model, texts["prompt"].to_list(), texts["response"].to_list(), None)
        return with_scores(rm, frame, x, confidence, by_class=by_class).to_arrow()

    return work


def _digested(mapping: Mapping[str, str], batch: pa.Table) -> pa.Table:
    _, texts = _frames(batch, mapping)
    pairs = zip(texts["prompt"], texts["response"], strict=True)
    return batch.append_column("text_digest", pa.array([block_key("", [p], [r]) for p, r in pairs]))
