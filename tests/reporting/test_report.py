"""The report: what it says of models and benchmarks, that nothing in a text can harm, and who can read it."""

import doctest
import importlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch
from helpers.commands import run

from trueward import report
from trueward.benchmark import Runs
from trueward.core.chart_layout import fitting_domain, line_widths, spread_out
from trueward.core.clustering import clusters
from trueward.core.errors import UsageError
from trueward.core.estimate import Estimate
from trueward.data.log_reading import read_log
from trueward.data.truth import read_test
from trueward.evaluation.log_signals import signal_probabilities
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.reporting import inputs
from trueward.reporting.charts import rounded_range
from trueward.reporting.fit_sections import outside_interval
from trueward.reporting.inputs import sample
from trueward.reporting.metric_table import best_cells, best_rows
from trueward.reporting.page import Callout, Figure, Markdown, Page, Prose, Section, Table, Tiles
from trueward.reporting.quality_sections import clustered_wilson, levels, reliability
from trueward.reporting.verdict_tiles import tiles
from trueward.simulation import helpdesk, simulate

VOID = ("meta", "link", "br", "hr", "img")
HOSTILE = "</pre><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>&amp;"


class Read(HTMLParser):
    """The elements of a page in their order, and the text outside of style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.inside = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.inside.pop() == tag

    def handle_data(self, data):
        if self.inside and self.inside[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module", autouse=True)
def signals():
    """Networks of the signals of a log, fitted once for all of its pages; the logs that have been fitted."""
    fitted = {}

    def once(log, seed):
        key = seed, *(v.numpy().tobytes() for v in (log.x, log.y, log.seen))
        if key not in fitted:
            fitted[key] = signal_probabilities(log, seed)
        return fitted[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "signal_probabilities", once)
        yield fitted


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A world with gold labels and ratings, a hostile answer in it, two models, and a folder of all."""
    folder = tmp_path_factory.mktemp("report")
    world = simulate(helpdesk(200, seed=3), rate=0.4, gold=120, seed=3)
    world.write(folder / "world")
    file = folder / "world" / "log.parquet"
    frame = pl.read_parquet(file)
    # as every answer: it is among the shown ones whatever the scores are
    frame.with_columns(pl.col("response") + HOSTILE).write_parquet(folder / "hostile.parquet")
    log = read_log(str(file))
    train, val = encode(log).split(0.2)
    models = {"plain": fit("naive", train, val, epochs=2)}
    models["noise-free"] = fit("causalrm", train, val, epochs=2, rho_01=0.05, rho_10=0.1)
    for name, model in models.items():
        model.save(folder / name)
    return folder, models, log, read_test(str(folder / "world" / "test.parquet"))


@pytest.fixture(scope="module")
def page(made):
    _, models, log, test = made
    return report(models["plain"], log, test, command="trueward report plain")


def blocks(page, kind):
    """Blocks of one kind, also those that are folded."""

    def inside(found):
        for b in found:
            if isinstance(b, kind):
                yield b
            yield from inside(getattr(b, "blocks", ()))

    return [b for s in page.sections for b in inside(s.blocks)]


def test_the_verdict_comes_first_with_three_numbers_and_what_they_mean(page):
    first = page.sections[0]
    assert first.title == "Verdict"
    (tiles,) = blocks(page, Tiles)
    assert tiles in first.blocks
    ranking, level, third = tiles.items
    assert ranking[1].endswith("% of the time")
    assert "chance is 50%" in ranking[2]
    assert "R2" in level[2]
    assert third[0] == "Feedback of the fit"  # naive has no naive beside it
    assert "Next:" in Read(page.html()).text


def test_internals_are_folded_and_warnings_are_not(page):
    folded = {s.title for s in page.sections if s.folded}
    assert folded == {
        *("Who reacts", "Noise in the feedback", "Bounds whoever reacts", "Model card", "Reproduce")
    }
    said = " ".join(b.text for b in page.sections[0].blocks if isinstance(b, Callout))
    for warning in page_warnings(page):
        assert warning in said


def page_warnings(page):
    """Messages of the findings of the log that are warnings."""
    (findings,) = (t for t in blocks(page, Table) if t.caption.startswith("Findings"))
    return [row[2] for row in findings.rows if row[0] == "warning"]


class Fitted:
    """A model with a record and a method, as far as a verdict reads them."""

    def __init__(self, **held):
        counts = {"rated": {"train": 30}, "rows": {"train": 90}}
        self.report = {**counts, **({"held_out": held} if held else {})}
        self.method = "anchored"


HELD = {
    "rated": 40,
    "auroc": 0.7,
    "auroc_low": 0.6,
    "auroc_high": 0.8,
    "spread": 0.1,
    "naive_auroc": 0.6,
    "difference": 0.1,
}


@pytest.mark.parametrize(
    ("ends", "said"),
    [((0.02, 0.2), "better than naive"), ((-0.1, 0.2), "about as well"), ((-0.2, -0.1), "worse")],
)
def test_naive_stands_beside_the_model_with_what_the_interval_shows(ends, said):
    model = Fitted(**HELD, low=ends[0], high=ends[1])
    ranking, level, beside = tiles(model, {}, "")
    assert said in beside[3]
    assert ranking[1] == "70% of the time"
    assert "40 held-out ratings" in ranking[2]
    assert level[1] == "not known"


def test_a_scale_that_is_of_no_use_is_said_in_the_tile():
    r2 = {"r2": Estimate(-0.4, -0.6, -0.2)}
    assert tiles(Fitted(), r2, "on 9 clean responses")[1][1:] == (
        "none",
        "R2 -0.40 [-0.60, -0.20], on 9 clean responses",
        "Worse than one constant for all: use the order only, or calibrate.",
    )
    shifted = {"r2": Estimate(0.4, 0.2, 0.6), "bias": Estimate(0.2, 0.1, 0.3)}
    assert "calibrate it before" in tiles(Fitted(), shifted, "")[1][3]
    unsure = {"auroc": Estimate(0.55, 0.45, 0.65)}
    assert "do not rank by it yet" in tiles(Fitted(), unsure, "")[0][3]


def test_a_record_that_is_not_whole_gives_no_number():
    assert tiles(Fitted(rated=3, auroc="high"), {}, "")[0][1] == "not known"


def test_the_best_value_of_every_metric_is_marked():
    results = {
        "oracle": {"auroc": Estimate(0.95), "brier": Estimate(0.1), "bias": Estimate(0.0)},
        "one": {"auroc": Estimate(0.9), "brier": Estimate(0.3), "bias": Estimate(0.1)},
        "two": {"auroc": Estimate(0.8), "brier": Estimate(0.2), "bias": Estimate(0.0)},
    }
    found = best_cells(results, ["auroc", "brier", "bias"], ["oracle"])
    assert found == {(0, 2), (1, 3)}  # bias has no better direction
    assert best_rows([0.5, None], True) == set()
    assert best_rows([0.5, 0.50001], True) == {0, 1}
    table = Table("c", ["m", "a", "b"], [["auroc", "1", "2"]], best=frozenset({(0, 2)}))
    html = Page("t", "l", [Section("s", [table])]).html()
    assert '<strong class="best">2</strong>' in html
    assert '<strong class="best">1</strong>' not in html


@pytest.mark.parametrize(
    ("rate", "source", "said"),
    [
        ((0.17, 0.18, 0.34), "extremes", "an extreme of the proxy"),
        ((0.0, 0.1, 0.3), "levels", "set to 0"),
        ((0.4, 0.1, 0.3), "levels", "which disagree with the rate"),
    ],
)
def test_a_noise_rate_outside_of_its_interval_is_explained(rate, source, said):
    value, low, high = rate
    found = outside_interval(
        "rho_10", "P(good)", {"value": value, "low": low, "high": high, "source": source}
    )
    assert said in found
    assert f"-o rho_10={low if value < low else high:.2f}" in found
    inside = {"value": 0.2, "low": 0.1, "high": 0.3}
    assert outside_interval("rho_10", "P(good)", inside) == ""


def test_axes_fit_the_data_and_labels_do_not_cover_each_other():
    assert rounded_range(np.array([0.08, 0.31])) == pytest.approx((0.05, 0.35))
    assert rounded_range(np.array([1.0, 1.0])) == pytest.approx((0.95, 1.0))
    assert fitting_domain([2.0, 4.0]) == pytest.approx((1.9, 4.1))
    assert spread_out([0.9, 0.1, 0.91, 0.9], 0.1, (0.0, 1.0)) == pytest.approx([0.8, 0.1, 1.0, 0.9])
    widths = line_widths(3)
    assert widths == sorted(widths, reverse=True)
    assert line_widths(1) == [2.0]


def titles(page):
    return [s.title for s in page.sections]


def test_a_model_is_shown_from_its_fit_to_the_command_that_makes_the_page_again(page):
    assert titles(page) == [
        "Verdict",
        "What was fitted",
        "The log",
        "Who reacts",
        "Noise in the feedback",
        "On clean responses",
        "Audit on the log",
        "Calibration",
        "Scores by rating",
        "Sensitivity to who reacts",
        "Bounds whoever reacts",
        "Scores",
        "Best and worst responses",
        "Model card",
        "Reproduce",
    ]
    text = Read(page.html()).text
    for words in (
        "trueward report plain",
        "auroc",
        "gold label",
        "L = mean over rated rows",
        "Best 5",
        "Worst 5",
    ):
        assert words in text


def test_without_a_log_and_a_test_the_fit_is_shown_and_the_rest_said_to_be_missing(made):
    found = report(made[1]["plain"])
    assert titles(found) == [
        "Verdict",
        "What was fitted",
        "Who reacts",
        "Noise in the feedback",
        "Model card",
        "Reproduce",
    ]
    assert "No log was given" in found.lead
    assert "No clean test was given" in found.lead


def test_models_are_shown_beside_each_other_and_where_they_differ(made):
    _, models, log, test = made
    found = report(models, log, test)
    assert "Where the models differ" in titles(found)
    assert "Best and worst responses" not in titles(found)
    text = Read(found.html()).text
    assert "plain, noise-free" in text
    assert "noise-free was fitted with rho_01 = 0.05" in text
    assert "effective" in text


def test_a_model_that_identifies_an_interval_says_so_where_a_score_is_needed(made):
    _, _, log, test = made
    train, val = encode(log).split(0.2)
    bound = fit("implicitrm", train, val, epochs=1, identify="none", allow_unidentified=True)
    text = Read(report(bound, log, test).html()).text
    assert "only an interval" in text
    assert "Best 1" in text  # by the lower end


def test_hostile_text_is_shown_and_is_not_markup(made):
    folder, models, *_ = made
    found = Read(report(models["plain"], read_log(str(folder / "hostile.parquet"))).html())
    assert HOSTILE in found.text
    assert not found.all("script")
    assert not [a for _, a in found.elements if any(k.startswith("on") for k in a)]
    assert (
        Read(Page("<b>", "<i>", [Section("<u>", [Markdown("<img src=x>")])]).html()).all("img")
        == []
    )


def test_the_page_needs_nothing_else(page):
    html = page.html()
    assert len(html.encode()) < 5_000_000
    found = Read(html)
    assert not found.all("script")
    for _, attrs in found.elements:
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    assert "url(" not in html
    assert "@import" not in html
    policy = [a["content"] for a in found.all("meta") if a.get("http-equiv")]
    assert policy[0].startswith("default-src 'none'")


def test_who_listens_and_who_uses_keys_can_read_it(page):
    found = Read(page.html())
    assert found.all("html")[0]["lang"] == "en"
    heads = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert heads[0] == 1
    assert heads.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(heads))
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in found.all("a")} <= set(ids)
    order = [tag for tag, _ in found.elements if tag in ("table", "caption", "svg")]
    assert order.count("table") - order.count("caption") == sum("|---" in s for s in cards(page))
    for tag, a in found.elements:
        if "scroll" in a.get("class", ""):
            assert a["tabindex"] == "0"
            assert a["aria-label"]
        if tag == "th" and "scope" in a:
            assert a["scope"] in ("row", "col")


def cards(page):
    return [b.text for s in page.sections for b in s.blocks if isinstance(b, Markdown)]


def test_a_figure_has_its_numbers_as_a_table(page):
    figures = [b for s in page.sections for b in s.blocks if isinstance(b, Figure)]
    assert len(figures) > 4
    for f in figures:
        assert f.caption
        assert f.table.rows


def test_without_the_drawing_library_the_tables_stand_for_the_figures(made, monkeypatch):
    from trueward.core.errors import TruewardError
    from trueward.evaluation import plotting as figures

    def absent():
        raise TruewardError("not installed")

    monkeypatch.setattr(figures, "altair", absent)
    found = Read(report(made[1]["plain"], *made[2:]).html())
    assert not found.all("svg")
    assert "Quantiles of P(feedback given the text)" in found.text


def test_a_calibration_curve_by_hand():
    p = np.repeat([0.2, 0.8], 20)
    y = np.concatenate([np.repeat([0.0, 1.0], [15, 5]), np.repeat([0.0, 1.0], [10, 10])])
    (a, share, low, high), (b, *_) = reliability(p, y, clusters(40))
    assert (a, b) == pytest.approx((0.2, 0.8))
    assert share == pytest.approx(0.25)
    # Wilson with n = 20: centre (.25 + z/2) / (1 + z), z = 1.96^2 / 20
    z = 1.96**2 / 20
    assert (low + high) / 2 == pytest.approx((0.25 + z / 2) / (1 + z))
    assert 0 < low < share < high < 1


def test_answers_to_one_prompt_that_share_a_fate_count_as_one():
    y = np.repeat([0.0, 1.0, 0.0, 1.0], 10)
    _, low, high = clustered_wilson(y, clusters(40, group=np.repeat(np.arange(4), 10)))
    _, narrow, wide = clustered_wilson(y, clusters(40))
    # 4 prompts: n = m (1 - m) / (sum of squared prompt sums / n^2) = .25 / (4 * 25 / 1600) = 4
    z = 1.96**2 / 4
    assert high - low == pytest.approx(2 * np.sqrt(z * (0.25 + z / 4)) / (1 + z))
    assert high - low > wide - narrow
    user = clusters(40, group=np.arange(40), user=np.repeat(np.arange(4), 10))
    assert clustered_wilson(y, user)[1:] == pytest.approx((low, high)), "users as well as prompts"


def test_few_labels_give_no_curve():
    assert list(reliability(np.full(30, 0.5), np.ones(30), clusters(30))) == []


def test_many_ratings_are_shown_in_tenths():
    found = list(levels(np.arange(100.0)))
    assert len(found) == 10
    assert found[0][0] == pytest.approx(4.5)
    assert [at for at, _ in levels(np.array([2.0, 1.0, np.nan, 2.0]))] == [1.0, 2.0]


def test_of_a_large_log_whole_prompts_are_read_those_with_gold_labels_first(made):
    log = made[2]
    part = sample(log, 0, 300)
    assert 200 < len(part) <= 300
    counts = dict(log.frame["prompt_id"].value_counts().rows())
    assert all(counts[k] == n for k, n in part.frame["prompt_id"].value_counts().rows())
    gold = log.frame.filter(pl.col("gold").is_not_null())["prompt_id"].unique()
    there = set(part.frame["prompt_id"])
    assert there <= set(gold) or set(gold) <= there
    found = report(made[1]["plain"], log, rows=300)
    assert f"Of {len(log):,} logged responses the report reads {len(part):,}" in found.lead


def test_a_long_response_is_cut_and_said_to_be(made):
    _, models, log, _ = made
    frame = log.frame.with_columns(pl.col("response") + "x" * 5000)
    text = Read(report(models["plain"], read_log(frame)).html()).text
    assert "more characters)" in text
    assert "x" * 2000 not in text


def test_the_same_input_gives_the_same_page(made, page, signals):
    _, models, log, test = made
    signals.clear()
    again = report(models["plain"], log, test, command="trueward report plain")
    assert again.html() == page.html()


def test_a_benchmark_needs_no_log(made):
    with pytest.raises(UsageError, match="takes no log"):
        report(Runs(made[0], {}), made[2])


def test_cells_are_escaped():
    table = Table("<c>", ["<h>", "n"], [["<a>", "<1>"]])
    found = Read(Page("t", "l", [Section("s", [table, Prose("<p>")])]).html())
    for words in ("<c>", "<h>", "<a>", "<1>", "<p>"):
        assert words in found.text


@pytest.fixture
def told(made, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*words, code=0):
        got, out, err = run(["report", *map(str, words)], capsys)
        assert got == code, out + err
        assert "Traceback" not in err
        return out + err

    return command


def test_the_command_writes_the_page_and_says_what_it_read(made, told, tmp_path):
    folder = made[0]
    said = told(folder / "plain", "--log", folder / "world/log.parquet", "--rows", "200")
    assert "report.html" in said
    assert "the report reads" in said
    text = Read((tmp_path / "report.html").read_text()).text
    assert "--rows 200" in text


def test_the_log_of_the_fit_is_found_again(made, told, tmp_path, capsys, monkeypatch):
    folder = made[0]
    monkeypatch.chdir(folder)
    fitted = [
        "fit",
        "naive",
        folder / "world/log.parquet",
        "--out",
        tmp_path / "rm",
        "--epochs",
        "1",
    ]
    assert run(list(map(str, fitted)), capsys)[0] == 0
    told(tmp_path / "rm", "--out", tmp_path / "again.html")
    text = Read((tmp_path / "again.html").read_text()).text
    assert "Best 1" in text
    assert "trueward fit naive" in text
    code, out, _ = run(["sensitivity", str(tmp_path / "rm")], capsys)
    assert code == 0
    assert "odds ratio" in out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nowhere"], 1, "no reward model"),
        (["plain", "--out", "page.txt"], 2, "must end in .html"),
        (["plain", "plain"], 2, "given twice"),
        (["plain", "--log", "absent.parquet"], 1, "absent.parquet"),
        (["plain", "--gold", "world/gold.csv"], 1, "fitted in Python"),
        (["plain", "--rows", "3"], 2, "100"),
    ],
)
def test_a_report_that_cannot_be_made_says_why(made, told, monkeypatch, words, code, sentence):
    monkeypatch.chdir(made[0])
    assert sentence in told(*words, code=code)
    assert not (made[0] / "report.html").exists()


def test_features_from_outside_are_refused_where_text_must_be_read(made, tmp_path):
    _, _, log, _ = made
    data = encode(log)
    data = type(data)(x=data.x[:, :8].float(), y=data.y, o=data.o, group=data.group)
    model = fit("naive", *data.split(0.2), epochs=1)
    text = Read(report(model, log).html()).text
    assert "features of unknown origin" in text
    assert torch.is_tensor(data.x)


def test_the_example_of_report_holds():
    result = doctest.testmod(importlib.import_module("trueward.reporting"))
    assert result.attempted
    assert not result.failed
