"""Cost of `trueward import generic` on a large log: seconds and peak memory.

python benchmarks/import_scale.py FOLDER [--responses 10000000] [--events 2000000] [--form parquet]
                                  [--order time] [--repeats 1] [--keep]

Writes a log of the two generic tables into FOLDER (a log of the same sizes is reused), imports it in a process of
its own, and prints one row of a table. Row i is a function of i and the seed alone, so the log in order of time
and the shuffled one hold the same rows, in files of a million.

A response has an id like a UUID, a prompt of one or two messages (50 to 280 characters; one prompt in three occurs
twice), an answer (100 to 520 characters), a user, a chat with a turn and a parent, a model and a context; it has no
prompt_id, so that each is computed. One row in a hundred has a copy, one in ten thousand has a second text, one in two
thousand has no text. Of the events, one in fifty has no response, one in a hundred has a copy, one in a thousand has an
unknown channel.

Seconds are of the clock, and of the processor (user and system), which other work on the machine changes less. Memory
is the largest resident set of the process, mapped files included.
"""

from __future__ import annotations

import argparse
import binascii
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa

SEED = 20260801
FILE = 1_000_000  # rows of one file
PIECE = 250_000  # rows made at a time
START = 1_767_225_600_000_000  # 2026-01-01 in microseconds
STEP = 1_500_000  # microseconds between two answers
TURNS = 4  # answers of one chat
WORDS = 4_000
PHRASES = 200_000
MODELS = ("tiny-chat-1", "tiny-chat-2", "large-chat-2026-03")
SIGNALS = ("thumbs_up", "thumbs_up", "thumbs_down", "copy", "copy", "copy", "regenerate", "rating")


def random_bits(i: np.ndarray, salt: int) -> np.ndarray:
    """Return 64 pseudo-random bits for each number (splitmix64)."""
    z = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(SEED * 1_000_003 + salt)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def phrases() -> pl.Series:
    """Return phrases of three to five made-up words with Zipf frequencies."""
    rng = np.random.default_rng(SEED)
    ends = list("bdfgklmnprst")
    words = np.array(
        [
            "".join(rng.choice(ends) + rng.choice(list("aeiou")) for _ in range(1 + k % 4)) + end
            for k, end in enumerate(rng.choice(["", "n", "s", "r", "ly", "ing"], WORDS))
        ]
    )
    share = 1 / np.arange(1, WORDS + 1)
    picked = rng.choice(words, (PHRASES, 5), p=share / share.sum())
    sizes = rng.integers(3, 6, PHRASES)
    return pl.Series([" ".join(row[:n]) for row, n in zip(picked, sizes, strict=True)])


def texts(pool: pl.Series, key: np.ndarray, salt: int, least: int, most: int) -> pl.Series:
    """Join between ``least`` and ``most`` phrases for each key."""
    count = least + random_bits(key, salt) % np.uint64(most - least + 1)
    parts = {}
    for k in range(most):
        chosen = (random_bits(key, salt + 1 + k) % np.uint64(len(pool))).astype(np.uint32)
        parts[str(k)] = pool.gather(chosen).set(pl.Series(count <= k), None)
    joined = pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)
    return pl.DataFrame(parts).select(joined).to_series()


def names(key: np.ndarray, salt: int, size: int) -> pl.Series:
    """Return hexadecimal ids of ``size`` bytes."""
    raw = np.stack([random_bits(key, salt + k) for k in range(-(-size // 8))], axis=1)
    text = binascii.hexlify(np.ascontiguousarray(raw.view(np.uint8)[:, :size]).tobytes())
    made = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(2 * size), len(key), [None, pa.py_buffer(text)]
    )
    return pl.Series(pl.from_arrow(made.cast(pa.binary()).cast(pa.string())))


def responses(i: np.ndarray, pool: pl.Series) -> pl.DataFrame:
    """Return the responses of the rows ``i``."""
    dice = random_bits(i, 1)
    prompt = np.where(dice % np.uint64(3) == 0, i // np.uint64(2), i)
    said = texts(pool, prompt, 100, 3, 8)
    message = pl.struct(pl.lit("user").alias("role"), pl.col("said").alias("content"))
    system = pl.struct(pl.lit("system").alias("role"), pl.lit("Be brief.").alias("content"))
    chat = i // np.uint64(TURNS)
    turn = (i % np.uint64(TURNS)).astype(np.int32)
    frame = pl.DataFrame(
        {
            "response_id": names(i, 200, 16),
            "said": said,
            "response": texts(pool, i, 300, 5, 16),
            "user_id": names(random_bits(chat, 2) % np.uint64(400_000), 400, 8),
            "session_id": names(chat, 500, 8),
            "shown_at": START + i.astype(np.int64) * STEP,
            "model": pl.Series(MODELS).gather((dice >> np.uint64(8)) % np.uint64(len(MODELS))),
            "turn": turn,
            "parent_response_id": names(i - np.uint64(1), 200, 16).set(pl.Series(turn == 0), None),
            "context.device": pl.Series(["web", "app"]).gather(
                (dice >> np.uint64(16)) % np.uint64(2)
            ),
            "context.place": (dice >> np.uint64(24)).astype(np.int64) % 10,
            "empty": (dice >> np.uint64(32)) % np.uint64(2_000) == 0,
            "listed": (prompt % np.uint64(4)) == 0,
        }
    )
    return frame.select(
        "response_id",
        pl.when("listed")
        .then(pl.concat_list(system, message))
        .otherwise(pl.concat_list(message))
        .alias("prompt"),
        pl.when(~pl.col("empty")).then("response").alias("response"),
        "user_id",
        "session_id",
        pl.col("shown_at").cast(pl.Datetime("us", "UTC")),
        "model",
        "turn",
        "parent_response_id",
        "^context.*$",
    )


def repeated_rows(i: np.ndarray, pool: pl.Series) -> pl.DataFrame:
    """Return copies of one row in a hundred, and one in ten thousand with another text."""
    dice = random_bits(i, 3)
    made = responses(i[dice % np.uint64(100) == 0], pool)
    other = responses(i[dice % np.uint64(10_000) == 1], pool)
    return pl.concat([made, other.with_columns(pl.col("response") + " again")])


def events(j: np.ndarray, size: int) -> pl.DataFrame:
    """Return the events of the rows ``j`` about ``size`` responses."""
    dice = random_bits(j, 4)
    about = random_bits(j, 5) % np.uint64(size)
    lost = dice % np.uint64(50) == 0
    at = START + about.astype(np.int64) * STEP + ((dice >> np.uint64(8)) % np.uint64(600_000_000))
    channel = pl.Series(SIGNALS).gather((dice >> np.uint64(16)) % np.uint64(len(SIGNALS)))
    odd = pl.Series((dice >> np.uint64(24)) % np.uint64(1_000) == 0)
    frame = pl.DataFrame(
        {
            "response_id": names(np.where(lost, about + np.uint64(size), about), 200, 16),
            "at": pl.Series(at.astype(np.int64)).cast(pl.Datetime("us", "UTC")),
            "channel": channel.set(odd, "applause"),
            "value": np.where(channel.to_numpy() == "rating", 1 + dice % np.uint64(5), 1) * 1.0,
            "source": pl.repeat("user", len(j), eager=True),
        }
    )
    return pl.concat([frame, frame.filter(pl.Series(random_bits(j, 6) % np.uint64(100) == 0))])


def numbers(size: int, order: str) -> Iterator[np.ndarray]:
    """Yield the numbers of the rows, piece by piece: in order of time, or permuted."""
    step = next(s for s in range(int(size * 0.618) | 1, 2 * size, 2) if np.gcd(s, size) == 1)
    for start in range(0, size, PIECE):
        i = np.arange(start, min(start + PIECE, size), dtype=np.uint64)
        yield i if order == "time" else (i * np.uint64(step) + np.uint64(7)) % np.uint64(size)


def open_output(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "wb", compresslevel=6)  # type: ignore[return-value]
    return pa.output_stream(str(path), compression="zstd")  # type: ignore[no-any-return]


def write_pieces(pieces: Iterator[pl.DataFrame], folder: Path, name: str, form: str) -> None:
    """Write pieces into files of about a million rows."""
    held: list[pl.DataFrame] = []
    file = 0
    for piece in pieces:
        held.append(piece)
        if sum(p.height for p in held) >= FILE:
            write_file(pl.concat(held), folder / f"{name}-{file:03d}.{form}")
            held, file = [], file + 1
    if held:
        write_file(pl.concat(held), folder / f"{name}-{file:03d}.{form}")


def write_file(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path, row_group_size=PIECE)
        return
    times = frame.select(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    plain = frame.with_columns(times)
    with open_output(path) as file:
        for part in plain.iter_slices(PIECE):
            file.write(part.write_ndjson().encode())


def write_log(folder: Path, args: argparse.Namespace) -> Path:
    """Write the log unless it exists; return its folder."""
    n, m = args.responses, args.events
    out = folder / f"log-{n}-{m}-{args.order}-{args.form.replace('.', '-')}"
    if (out / "complete").exists():
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pool = phrases()
    made = (pl.concat([responses(i, pool), repeated_rows(i, pool)]) for i in numbers(n, args.order))
    write_pieces(made, out, "responses", args.form)
    write_pieces((events(j, n) for j in numbers(m, args.order)), out, "events", args.form)
    (out / "complete").touch()
    return out


def run_import(log: Path, out: Path) -> dict[str, Any]:
    """Import the log in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "trueward", "import", "generic", str(log), "--out", str(out)]
    process = subprocess.Popen([*command, "--scale", "1:5"], stdout=subprocess.PIPE)
    output = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 3:  # some rows are rejected
        raise SystemExit(f"the import ended with {process.returncode}: {output.decode()}")
    return {
        "seconds": time.perf_counter() - begin,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024,
        "output": output.decode(),
    }


def size_of(folder: Path, *patterns: str) -> int:
    return sum(p.stat().st_size for pattern in patterns for p in folder.glob(pattern))


def digest(folder: Path) -> str:
    """Return a digest of the imported log, responses and events."""
    made = hashlib.sha256()
    for name in ("log", "responses", "events"):
        with (folder / f"{name}.parquet").open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the log is written, and imported to")
    parser.add_argument("--responses", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--form", choices=("parquet", "jsonl.gz", "jsonl.zst"), default="parquet")
    parser.add_argument("--order", choices=("time", "shuffled"), default="time")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the log that was written")
    parser.add_argument("--account", action="store_true", help="print the account of the import")
    args = parser.parse_args()
    log = write_log(args.folder, args)
    out = args.folder / "imported"
    print(
        "| responses | events | form | order | read GB | seconds | processor s | memory GB | written GB | digest |"
    )
    print("|---" * 10 + "|")
    for _ in range(args.repeats):
        load = os.getloadavg()[0]
        r = run_import(log, out)
        print(
            f"| {args.responses:,} | {args.events:,} | {args.form} | {args.order} | "
            f"{size_of(log, '*.*') / 1e9:.2f} | {r['seconds']:.1f} | {r['processor']:.1f} | "
            f"{r['memory'] / 1e9:.2f} | {size_of(out, '*.parquet') / 1e9:.2f} | {digest(out)} |"
        )
        print(f"load before: {load:.1f}", file=sys.stderr)
    if args.account:
        print(r["output"])
    shutil.rmtree(out)
    if not args.keep:
        shutil.rmtree(log)


if __name__ == "__main__":
    main()
