"""What a notebook shows, tables in and out, scores of texts in every form, and `fit` on a log."""

import logging
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
import torch

import trueward as tw

CHAT = [
    {"role": "user", "content": "How do I do task 1?"},
    {"role": "assistant", "content": "No idea 1."},
]


class Tags(HTMLParser):
    """Names of the tags that are open at the end, and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.names, self.text = [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def results(narrow, small, log, test):
    labelled = tw.Labelled(small.x, small.y, group=small.group)
    return {
        "log": log,
        "test": test,
        "feedback": small,
        "labelled": labelled,
        "model": narrow,
        "scores": narrow.score_features(small.x),
        "inspection": tw.inspect(log),
        "metrics": tw.evaluate(narrow, labelled, draws=0),
        "audit": tw.audit(narrow, small),
        "plan": tw.plan(narrow, small, "good", 0.2),
        "sensitivity": tw.sensitivity(narrow, small),
        "bounds": tw.bounds(narrow, small),
        "refutation": tw.refute("naive", small, only=["duplicate_prompts"]),
        "asks": tw.plan_asks(1000, 0.1),
    }


NAMES = (
    *("log", "test", "feedback", "labelled", "model", "scores", "inspection", "metrics", "audit"),
    *("plan", "sensitivity", "bounds", "refutation", "asks"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_a_line_and_a_table_of_html(results, name):
    shown = results[name]
    assert re.fullmatch(rf"<{type(shown).__name__}: .+>", repr(shown))
    assert len(repr(shown)) < 400
    html = Tags(shown._repr_html_())
    assert html.open == []
    assert html.names <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert "table" in html.names


def test_texts_of_a_log_are_escaped_and_cut():
    rows = [
        {"prompt": "<script>alert(1)</script>", "response": "x" * 500, "feedback": k}
        for k in (0, 1)
    ]
    html = tw.read_log(rows)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "x" * 81 not in html


def test_a_log_goes_to_pandas_and_datasets_and_back(log):
    for table in (
        log.to_pandas(),
        log.to_dataset(),
        log.to_dataset().shuffle(seed=1),
    ):
        back = tw.read_log(table).frame
        assert back.sort("prompt", "response").equals(log.frame.sort("prompt", "response"))


@pytest.mark.parametrize("make", [list, dict, "pandas", "datasets", "splits"])
def test_a_log_is_read_from_every_table_in_memory(frame, make):
    import datasets

    table = frame.drop("label")
    source = {
        list: table.to_dicts(),
        dict: table.to_dict(as_series=False),
        "pandas": table.to_pandas(),
        "datasets": datasets.Dataset.from_polars(table),
        "splits": datasets.DatasetDict({"a": datasets.Dataset.from_polars(table)}),
    }[make]
    assert tw.read_log(source).frame.equals(tw.read_log(table).frame)


def test_a_dictionary_of_columns_of_two_lengths_is_refused():
    with pytest.raises(tw.TruewardError, match="columns of one length"):
        tw.read_log({"prompt": ["a"], "response": ["b", "c"], "feedback": [1]})


def test_splits_of_a_dataset_are_chosen_by_name():
    import datasets

    part = datasets.Dataset.from_dict({"prompt": ["a"], "response": ["b"], "feedback": [1]})
    with pytest.raises(
        tw.UsageError, match="splits 'x', 'y', and none was chosen: choose one with split=x"
    ):
        tw.read_log(datasets.DatasetDict({"x": part, "y": part}))
    assert len(tw.read_log(datasets.DatasetDict({"x": part, "y": part}), split="y")) == 1


@pytest.mark.parametrize(
    "texts",
    [
        [{"prompt": CHAT[0]["content"], "response": CHAT[1]["content"]}],
        [{"prompt": [CHAT[0]], "response": [CHAT[1]]}],
        pl.DataFrame({"prompt": [CHAT[0]["content"]], "response": [CHAT[1]["content"]]}),
        CHAT,
        [CHAT],
        [{"messages": CHAT}],
    ],
)
def test_one_response_has_one_score_in_every_form(model, texts):
    expected = model.score([CHAT[0]["content"]], [CHAT[1]["content"]]).preferred
    assert model.score(texts).preferred.equal(expected)
    assert model.predict_proba(texts)[0].tolist() == pytest.approx(
        [1 - float(expected), float(expected)]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a", "b"],), "a response for each prompt"),
        ((["a"], ["b", "c"]), "1 prompts and 2 responses"),
        ((CHAT[:1],), "ends with the response of the assistant"),
        ((torch.zeros(2, 2),), "score_features takes features"),
        (
            ([{"question": "a", "answer": "b"}],),
            r'mapping=\{"prompt": "question", "response": "answer"\}',
        ),
        ((["a"], [3]), "text or a list of messages"),
    ],
)
def test_texts_that_cannot_be_scored_are_a_sentence(model, arguments, words):
    with pytest.raises(tw.TruewardError, match=words):
        model.score(*arguments)


def test_probabilities_of_features_are_those_of_their_scores(model, feedback):
    p = model.predict_proba(feedback.x.numpy())
    assert np.allclose(p[:, 1], model.score_features(feedback.x).preferred.numpy())
    assert np.allclose(p.sum(1), 1)


def test_scores_are_a_table(model, feedback):
    scores = model.score_features(feedback.x)
    assert scores.frame().columns == list(scores.to_pandas().columns)
    assert len(scores.to_pandas()) == len(scores) == len(feedback)


def test_fit_encodes_and_splits_a_log_as_the_steps_one_by_one_and_says_so(log, feedback, caplog):
    with caplog.at_level(logging.WARNING):
        model = tw.fit("naive", log, val=0.25, epochs=1, seed=3)
    by_steps = tw.fit("naive", *feedback.split(0.25, seed=3), epochs=1, seed=3)
    assert model.score_features(feedback.x).reward.equal(by_steps.score_features(feedback.x).reward)
    line = "encoded 160 responses of the polars DataFrame with wordllama and held out 40 of 160 responses"
    assert [line in text for text in (caplog.text, model.card, model.report["prepared"])] == [
        True
    ] * 3
    assert "prepared" not in by_steps.report


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train": tw.Train()}, "give its fields as keywords"),
        ({"val": 2.0}, "between 0 and 1"),
        ({"val": None}, "the share of the prompts to hold out"),
        ({"backbone": "wordllama"}, "backbone is for texts"),
        ({"method": tw.Train}, "a method is given by its name"),
        ({"method": "causalrmm"}, "did you mean causalrm"),
    ],
)
def test_a_wrong_fit_is_a_sentence(small, arguments, words):
    with pytest.raises(tw.UsageError, match=words):
        tw.fit(**{"method": "naive", "train": small, **arguments})


def test_what_plainly_means_a_log_or_a_model_is_one(model, folder, feedback, test, frame):
    """A log is encoded with the model's backbone, a folder is loaded, one name is a list of one."""
    plans = [
        tw.plan(m, b, "good", 0.2).needed
        for m, b in (
            (model, replace(feedback, gold=None)),
            (folder, frame.drop("label", "gold").to_pandas()),
        )
    ]
    assert plans[0] == plans[1]
    assert (
        tw.evaluate(folder, test, draws=0)["auroc"] == tw.evaluate(model, frame, draws=0)["auroc"]
    )
    rated = frame.drop("label", "gold").head(40).to_dicts()
    assert tw.refute("naive", rated, only="leaked_label").checks[0].name == "leaked_label"
    assert tw.report(str(folder)).html() == tw.report(model).html()
    rated = frame.select("prompt", "response", "label")
    assert tw.simulate(rated.to_pandas()).log.equals(tw.simulate(rated).log)


def test_a_log_is_no_test(model, log):
    with pytest.raises(tw.UsageError, match="`audit` estimates the same metrics"):
        tw.evaluate(model, log)


def test_a_scorer_of_ones_own_is_audited(small):
    class First:
        """Takes the first feature for the reward."""

        backbone = None

        def score_features(self, x):
            from trueward.model.scores import Scores

            reward = x[:, 0].float()
            none = torch.zeros(len(x), dtype=torch.bool)
            return Scores(reward, torch.sigmoid(reward), torch.zeros(len(x)), none)

    assert tw.audit(First(), small)["auroc"].value is not None


@pytest.mark.parametrize("name", ["calibration", "scores", "sensitivity", "metrics"])
def test_a_model_draws_itself(model, name, feedback):
    labelled = tw.Labelled(feedback.x, feedback.y, group=feedback.group)
    data = labelled if name in {"calibration", "metrics"} else feedback
    assert (
        getattr(model.plot, name)(data).to_dict()["$schema"].startswith("https://vega.github.io/")
    )


def test_too_few_labels_draw_no_curve(narrow, small):
    with pytest.raises(tw.TruewardError, match="needs 40 labels, and found 30"):
        narrow.plot.calibration(small)
