"""Write the scores of a model to the product that holds the traces."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from trueward.core.arguments import MAPPING, PATH, TEXT, WHOLE, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion
from trueward.model.folder import read_record
from trueward.model.reward_model import load

from .langfuse import Langfuse
from .mlflow import Mlflow
from .phoenix import Phoenix
from .scored import read_responses, scored_responses, with_ids

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from .destination import Destination
    from .scored import ScoredResponse

Product = Literal["langfuse", "phoenix", "mlflow"]
MAKERS: dict[str, Any] = {"langfuse": Langfuse.at, "phoenix": Phoenix.at, "mlflow": Mlflow.at}
SHOWN = 2  # responses whose payloads a dry run shows
HOPELESS = 50  # unknown ids before the first known one, after which the rest is not tried


@dataclass(frozen=True)
class Pushed:
    """What became of the scores of a log; ``str()`` is a text.

    Attributes
    ----------
    product, address : str
        Where they were sent.
    digest : str
        Digest of the model.
    responses : int
        Number of responses with an id.
    accepted : int
        Number of responses whose scores the product has now.
    earlier : int
        Number of responses that an earlier run has sent, by the file of ``resume``.
    missing : list of str
        Ids that the product does not know.
    refused : dict of str to int
        Id -> HTTP status with which it was refused.
    notes : tuple of str
        Rows without an id and other things to know.
    payloads : list of dict or None
        Of a dry run: what would be sent of the first responses.

    """

    product: str
    address: str
    digest: str
    responses: int
    accepted: int = 0
    earlier: int = 0
    missing: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    payloads: list[dict[str, Any]] | None = None

    def __str__(self) -> str:
        """Format counts, notes and the payloads of a dry run."""
        there, place = self.accepted + self.earlier, f"{self.product} at {self.address}"
        if self.payloads is None:
            lines = [f"{place} has the scores of {there:,} of {self.responses:,} responses"]
        else:
            left = self.responses - self.earlier
            lines = [f"would send the scores of {left:,} responses to {place}, the first of them:"]
            lines += [json.dumps(p, indent=1) for p in self.payloads]
        lines.append(f"model {self.digest[:16]}")
        lines += [f"{self.earlier:,} were sent by an earlier run"] if self.earlier else []
        if self.missing:
            lines.append(f"{len(self.missing):,} are unknown there, the first {self.missing[0]}")
        if self.refused:
            first, status = next(iter(self.refused.items()))
            lines.append(f"{len(self.refused):,} were refused, the first {first}: HTTP {status}")
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return dict(vars(self)) | {"notes": list(self.notes)}


def push(
    model: str | Path,
    log: str | os.PathLike[str] | object,
    to: Product,
    *,
    address: str | None = None,
    dry_run: bool = False,
    resume: str | Path | None = None,
    per_minute: int | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
) -> Pushed:
    """Write reward, P(preferred), interval and the model's digest to Langfuse, Phoenix or MLflow.

    Each score has an id of its response and of the model, so that pushing again changes nothing.

    Parameters
    ----------
    model : str or Path
        Folder of a fitted model.
    log : str, Path or table
        Texts with ``response_id``, such as the log of `import_log`; Langfuse also reads ``trace_id``.
    to : {"langfuse", "phoenix", "mlflow"}
        The product.
    address : str, optional
        Its server; by default that of the product's own variable in the environment.
    dry_run : bool, default False
        Send nothing, and return the payloads of the first responses.
    resume : str or Path, optional
        A file with the ids that are done: it is read, and continued.
    per_minute : int, optional
        Largest number of requests in a minute.
    mapping : mapping of str to str, optional
        Canonical name -> column of the log.
    split : str, optional
        Which split of a folder to read.

    Returns
    -------
    Pushed
        What became of the scores.

    Raises
    ------
    TruewardError
        If the model or the log is wrong, the server does not answer or knows none of the responses.
    UsageError
        If the product is unknown, no server is named, or the log has no ids.

    Notes
    -----
    Keys come from the environment: LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, PHOENIX_API_KEY,
    MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. No text is sent.

    Examples
    --------
    >>> import trueward as tw
    >>> tw.push("rm", "log.parquet", "phoenix", address="http://127.0.0.1:6006")  # doctest: +SKIP

    """
    require_kinds("push", model=(model, PATH), to=(to, TEXT), address=(address, TEXT.or_none))
    require_kinds("push", resume=(resume, PATH.or_none), per_minute=(per_minute, WHOLE.or_none))
    require_kinds("push", mapping=(mapping, MAPPING.or_none), split=(split, TEXT.or_none))
    if to not in get_args(Product):
        raise UsageError(
            f"there is no product {to!r} to push to: {suggestion(to, get_args(Product))}"
        )
    if per_minute is not None and per_minute < 1:
        raise UsageError(f"the requests in a minute must be 1 or more, and are {per_minute}")
    destination: Destination = MAKERS[to](address)
    frame = read_responses(log, mapping or {}, split)
    source = str(log) if isinstance(log, str | Path) else "the log"
    frame, without, repeated = with_ids(frame, to, source)
    digest = str(read_record(Path(model))["digest"])
    rm = load(model)
    scores = rm.score(frame["prompt"].to_list(), frame["response"].to_list())
    responses = scored_responses(frame, scores, digest, rm.method)
    found = Pushed(
        to,
        destination.address.url,
        digest,
        len(responses),
        notes=tuple(_notes(destination, responses, without, repeated)),
    )
    done = _Done.read(resume, found)
    left = [r for r in responses if r.id not in done.ids]
    counts = {"earlier": len(responses) - len(left)}
    if dry_run:
        payloads = [p for r in left[:SHOWN] for p in destination.payload(r)]
        return Pushed(**{**vars(found), **counts, "payloads": payloads})
    return Pushed(**{**vars(found), **counts, **_send(destination, left, done, per_minute)})


def _send(
    destination: Destination, left: list[ScoredResponse], done: _Done, per_minute: int | None
) -> dict[str, Any]:
    """Send all responses; the fields of `Pushed` on what became of them."""
    accepted, missing = 0, list[str]()
    refused = dict[str, int]()
    for start in range(0, len(left), destination.batch):
        if start and per_minute:
            time.sleep(60 / per_minute)
        try:
            sent = destination.send(left[start : start + destination.batch])
        except TruewardError as e:
            raise TruewardError(
                f"{e}; {accepted:,} of {len(left):,} responses have their scores: run the same command "
                "again, no score is written twice"
            ) from e
        done.add(sent.accepted)
        accepted += len(sent.accepted)
        missing += sent.missing
        refused |= sent.refused
        if not accepted and len(missing) >= HOPELESS:
            break
    if left and not accepted:
        what = "knows none" if missing else "took none"
        raise TruewardError(
            f"{destination.name} at {destination.address.url} {what} of {len(missing) + len(refused):,} "
            f"responses, the first {(missing or [*refused])[0]}: check address, project and key, and that "
            "the log was imported from there"
        )
    return {"accepted": accepted, "missing": missing, "refused": refused}


def _notes(
    destination: Destination, responses: list[ScoredResponse], without: int, repeated: int
) -> list[str]:
    notes = [f"{without:,} rows have no response_id and are left out"] if without else []
    notes += [f"{repeated:,} rows repeat a response_id and are left out"] if repeated else []
    if destination.name == "langfuse":
        untimed = sum(r.time is None for r in responses)
        traced = [r for r in responses if r.trace is None and not r.id.startswith("trace:")]
        if untimed:
            notes.append(
                f"{untimed:,} rows have no time: Langfuse keeps a score once a day, so push them once only"
            )
        if traced:
            notes.append(
                f"the traces of {len(traced):,} observations are looked up, one request each: a column "
                "trace_id saves that"
            )
    return notes


@dataclass
class _Done:
    """Ids that are sent already, in a file that grows with every batch."""

    ids: set[str]
    file: Path | None
    head: dict[str, str]

    @classmethod
    def read(cls, resume: str | Path | None, about: Pushed) -> _Done:
        """Read the file, or begin it; refuse one of another model or server."""
        if resume is None:
            return cls(set(), None, {})
        head = {"product": about.product, "address": about.address, "digest": about.digest}
        file = Path(resume)
        if not file.exists():
            return cls(set(), file, head)
        try:
            first, *lines = file.read_text("utf-8").splitlines()
            own = json.loads(first)
            ids = {json.loads(line) for line in lines if line.endswith('"')}
        except (OSError, ValueError) as e:
            raise TruewardError(f"{file} is no record of a push ({e}): name another file") from e
        if own != head:
            raise UsageError(
                f"{file} is the record of a push of another model or to another server: name another file"
            )
        return cls({str(i) for i in ids}, file, head)

    def add(self, ids: list[str]) -> None:
        """Append ids, so that they outlive an interrupt."""
        if self.file is not None and ids:
            if not self.file.exists():
                self.file.write_text(f"{json.dumps(self.head)}\n", encoding="utf-8")
            with self.file.open("a", encoding="utf-8") as out:
                out.write("".join(f"{json.dumps(name)}\n" for name in ids))
