"""Batches across requests: full when busy, at once when idle, and every row gets its own answer."""

import asyncio
import time

import pytest
from helpers.serving import StubScorer, batcher, dies_with, texts, value

from trueward.production.serving.batcher import answers
from trueward.production.serving.errors import BatchError, MemoryShortError, RequestError


def run(test):
    asyncio.run(asyncio.wait_for(test(), 10))


async def ask(made, *responses, seconds=5.0):
    """One request; the rewards of its texts."""
    rows, _ = made.enter(texts(*responses))
    return [a.reward for a in await answers(made, rows, seconds)]


def rewards(*responses):
    return [value(t) for t in texts(*responses)]


def test_an_idle_scorer_takes_a_request_at_once_and_a_busy_one_batches_what_came_meanwhile():
    async def test():
        scorer = StubScorer()
        made, counted = batcher(scorer)
        scorer.free.clear()
        asked = [asyncio.create_task(ask(made, "first"))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scorer.batches == [["first"]]
        asked += [asyncio.create_task(ask(made, f"answer {i}")) for i in range(9)]
        await asyncio.sleep(0.01)
        scorer.free.set()
        await asyncio.gather(*asked)
        assert counted.sizes == [1, 9]

    run(test)


def test_every_request_gets_the_scores_of_its_own_texts_in_its_order():
    async def test():
        made, _ = batcher(StubScorer(), StubScorer(), batch_rows=7)
        requests = [[f"{'x' * ((7 * i + j) % 50)}{i}" for j in range(i % 5 + 1)] for i in range(60)]
        found = await asyncio.gather(*(ask(made, *r) for r in requests))
        assert found == [rewards(*r) for r in requests]

    run(test)


def test_a_batch_keeps_to_its_tokens_with_padding_and_holds_the_oldest_row():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer, batch_tokens=40)
        scorer.free.clear()
        lengths = [
            76,
            12,
            160,
            12,
            76,
            400,
            76,
        ]  # characters; tokens with the prompt: 20, 4, 41, ...
        asked = [asyncio.create_task(ask(made, "h"))]
        await asyncio.sleep(0.01)
        asked += [
            asyncio.create_task(ask(made, f"{i}".ljust(n, "x"))) for i, n in enumerate(lengths)
        ]
        await asyncio.sleep(0.01)
        scorer.free.set()
        await asyncio.gather(*asked)
        batches = [[(int(r[0]), len(r)) for r in b] for b in scorer.batches[1:]]
        assert batches == [
            [(0, 76), (4, 76)],
            [(1, 12), (3, 12)],
            [(2, 160)],
            [(5, 400)],
            [(6, 76)],
        ]

    run(test)


def test_equal_texts_in_flight_are_computed_once():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer)
        scorer.free.clear()
        asked = [asyncio.create_task(ask(made, "same", "same", f"other {i}")) for i in range(4)]
        await asyncio.sleep(0.01)
        late = asyncio.create_task(ask(made, "same"))  # while it is being scored
        await asyncio.sleep(0.01)
        scorer.free.set()
        found = await asyncio.gather(*asked, late)
        assert found[0] == rewards("same", "same", "other 0")
        assert found[-1] == rewards("same")
        assert sum(r == "same" for b in scorer.batches for r in b) == 1
        assert not made.queue.outstanding

    run(test)


def test_a_poisoned_row_fails_alone():
    async def test():
        scorer = StubScorer()
        scorer.problem = lambda batch: (
            BatchError("bad") if any("poison" in t.response for t in batch) else None
        )
        made, counted = batcher(scorer)
        good = [f"answer {i}" for i in range(63)]
        asked = [ask(made, g) for g in [*good[:20], "poison", *good[20:]]]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(found[20], RequestError)
        assert found[20].code == 500
        assert [f for i, f in enumerate(found) if i != 20] == [rewards(g) for g in good]
        # 64 rows: 64, 32, 16, 8, 4, 2, 1 fail
        assert len(counted.failures) <= 7
        assert await ask(made, "after") == rewards("after")

    run(test)


@pytest.mark.parametrize("problem", [ZeroDivisionError("x"), KeyError("y"), BatchError("z")])
def test_no_error_of_a_batch_ends_the_loop(problem):
    async def test():
        scorer = StubScorer()
        scorer.problem = lambda batch: problem if "bad" in batch[0].response else None
        made, _ = batcher(scorer)
        with pytest.raises(RequestError) as e:
            await ask(made, "bad")
        assert e.value.code == 500
        assert await ask(made, "good") == rewards("good")

    run(test)


def test_too_little_memory_halves_the_budget_until_batches_fit():
    async def test():
        scorer = StubScorer()
        scorer.problem = lambda batch: MemoryShortError() if len(batch) > 4 else None
        made, counted = batcher(scorer, batch_tokens=64)
        words = [f"answer number {i:02}" for i in range(16)]  # 5 tokens each: a batch of 12
        found = await asyncio.gather(*(ask(made, w) for w in words))
        assert found == [rewards(w) for w in words]
        assert 5 <= made.budget < 64
        assert counted.failures
        assert set(counted.failures) == {"memory"}
        before = len(counted.failures)
        await asyncio.gather(*(ask(made, f"{w}!") for w in words))
        assert len(counted.failures) == before

    run(test)


def test_a_row_that_never_fits_into_memory_is_refused_and_the_server_is_not_ready_until_one_fits():
    async def test():
        scorer = StubScorer()
        scorer.problem = lambda batch: MemoryShortError() if "huge" in batch[0].response else None
        made, _ = batcher(scorer)
        with pytest.raises(RequestError) as e:
            await ask(made, "huge")
        assert e.value.code == 503
        assert e.value.retry_after
        assert made.memory_short
        await ask(made, "small")
        assert not made.memory_short

    run(test)


def test_what_nobody_waits_for_is_not_computed():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer)
        scorer.free.clear()
        first = asyncio.create_task(ask(made, "first"))
        await asyncio.sleep(0.01)
        left = asyncio.create_task(ask(made, "shared", "of who leaves"))
        stays = asyncio.create_task(ask(made, "shared"))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.sleep(0.01)
        scorer.free.set()
        await asyncio.gather(first, stays)
        assert scorer.batches == [["first"], ["shared"]]
        assert made.queue.tokens == made.queue.outstanding == 0

    run(test)


def test_the_queue_is_bounded_in_tokens():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer, queue_tokens=10)
        scorer.free.clear()
        asked = [asyncio.create_task(ask(made, "h"))]
        await asyncio.sleep(0.01)
        asked.append(asyncio.create_task(ask(made, "x" * 31)))  # 8 tokens
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError) as e:
            made.enter(texts("y" * 15))  # 4 more
        assert (e.value.code, e.value.retry_after) == (503, 1)
        with pytest.raises(RequestError) as e:
            made.enter(texts("z" * 50))  # never
        assert e.value.code == 413
        scorer.free.set()
        await asyncio.gather(*asked)
        assert await ask(made, "y" * 15) == rewards("y" * 15)

    run(test)


def test_rows_of_a_process_that_died_are_scored_again():
    async def test():
        scorer = StubScorer()
        deaths = iter([True])
        made, counted = batcher(scorer)
        scorer.problem = lambda batch: dies_with("")(batch) if next(deaths, False) else None
        words = [f"answer {i}" for i in range(5)]
        assert await ask(made, *words) == rewards(*words)
        assert scorer.starts == 1
        assert counted.failures == ["died"]

    run(test)


def test_a_row_that_ends_three_processes_is_given_up_and_its_neighbours_are_not():
    async def test():
        scorer = StubScorer()
        scorer.problem = dies_with("killer")
        made, counted = batcher(scorer)
        asked = [ask(made, w) for w in ("a", "killer", "b")]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert found[0] == rewards("a")
        assert found[2] == rewards("b")
        assert found[1].code == 500
        assert counted.failures == ["died"] * 3

    run(test)


def test_a_request_that_waits_too_long_is_told_to_come_again():
    async def test():
        scorer = StubScorer()
        scorer.free.clear()
        made, _ = batcher(scorer)
        with pytest.raises(RequestError) as e:
            await ask(made, "slow", seconds=0.02)
        assert (e.value.code, e.value.retry_after) == (503, 5)
        scorer.free.set()

    run(test)


def test_a_stalled_batch_shows_and_an_idle_server_does_not_look_stalled():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer)
        made.progress = time.monotonic() - 100
        assert not made.stalled(1)
        scorer.free.clear()
        asked = asyncio.create_task(ask(made, "slow"))
        await asyncio.sleep(0.05)
        assert not made.stalled(1)
        assert made.stalled(0.02)
        scorer.free.set()
        await asked
        assert not made.stalled(0.02)

    run(test)


def test_a_stop_answers_what_waits():
    async def test():
        scorer = StubScorer()
        made, _ = batcher(scorer, batch_rows=2)
        asked = [asyncio.create_task(ask(made, f"answer {i}")) for i in range(7)]
        await asyncio.sleep(0)
        await made.stop()
        assert await asyncio.gather(*asked) == [rewards(f"answer {i}") for i in range(7)]
        assert scorer.ended

    run(test)
