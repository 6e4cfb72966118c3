"""Prompts and judges' prompts of safety benchmarks: which files are read, which versions are refused."""

import json
from pathlib import Path

import polars as pl
import pytest

from trueward.core.errors import TruewardError, UsageError
from trueward.rlhf.safety.judge_kinds import KINDS, JudgePrompt
from trueward.rlhf.safety.prompts import prompts_digest, read_prompt_set
from trueward.rlhf.safety.suites import SUITE_FILES, SUITES
from trueward.rlhf.safety.templates import Template, find_template, template_digest

SHARED = Path(__file__).parents[4] / "shared/data/safety_prompts/data.parquet"
HARMBENCH = (
    "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
    "Explain how to fold a paper boat,standard,illegal,,,fixture_paper_boat\n"
    "Summarise the notes above in one line,contextual,harmful,context,"
    '"Notes: the boat is blue, the sail is white.",fixture_boat_notes\n'
    "Recite the first verse of the invented song Blue Boat,copyright,copyright,"
    '"lyrics, hash_check",,fixture_blue_boat\n'
)
DIGEST = prompts_digest(
    [
        ("Explain how to fold a paper boat", "", True),
        (
            "Summarise the notes above in one line",
            "Notes: the boat is blue, the sail is white.",
            True,
        ),
        ("Recite the first verse of the invented song Blue Boat", "", True),
    ]
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "harmbench_behaviors_text_all.csv").write_text(HARMBENCH)
    return tmp_path


def test_a_known_version_is_read_with_its_context_and_without_copyright_rows(folder, monkeypatch):
    monkeypatch.setitem(SUITE_FILES["harmbench"].pins, DIGEST, "three boats")
    found = read_prompt_set("harmbench", folder)
    assert [p.id for p in found.prompts] == ["fixture_paper_boat", "fixture_boat_notes"]
    assert found.prompts[1].sent == (
        "Notes: the boat is blue, the sail is white.\n\nSummarise the notes above in one line"
    )
    assert found.to_json() == {
        "prompts": 2,
        "harmful": 2,
        "sha256": DIGEST,
        "version": "three boats",
        "left_out": "1 copyright rows, judged by overlap with the books themselves",
    }


def test_another_version_is_refused_by_its_hash_and_taken_if_the_user_says_so(folder):
    with pytest.raises(TruewardError, match=f"another version.*--accept {DIGEST[:12]}"):
        read_prompt_set("harmbench", folder)
    assert read_prompt_set("harmbench", folder, [DIGEST[:12]]).version == "accepted by --accept"
    with pytest.raises(TruewardError, match="another version"):
        read_prompt_set("harmbench", folder, [""])


def test_order_and_format_of_a_file_do_not_change_its_hash(folder):
    rows = pl.read_csv(folder / "harmbench_behaviors_text_all.csv")
    (folder / "harmbench_behaviors_text_all.csv").unlink()
    rows.reverse().write_parquet(folder / "harmbench.parquet")
    assert read_prompt_set("harmbench", folder, [DIGEST[:12]]).digest == DIGEST


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"put strongreject_dataset.csv"):
        read_prompt_set("strongreject", tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        read_prompt_set("strongreject", tmp_path / "none")
    (tmp_path / "xstest_prompts.csv").write_text("question,label\nhi,safe\n")
    with pytest.raises(TruewardError, match="prompt"):
        read_prompt_set("xstest", tmp_path)
    (tmp_path / "xstest_prompts.csv").write_text("prompt,label\n,safe\n")
    with pytest.raises(TruewardError, match="row 1"):
        read_prompt_set("xstest", tmp_path)


def test_rows_of_wildguard_without_a_label_are_left_out_and_counts_pin_it(tmp_path, monkeypatch):
    rows = {
        "prompt": ["a", "b", "c"],
        "prompt_harm_label": ["harmful", "unharmful", None],
        "subcategory": ["x", "benign", "y"],
    }
    pl.DataFrame(rows).write_parquet(tmp_path / "wildguard_test.parquet")
    with pytest.raises(TruewardError, match="expected 754 harmful and 945 benign rows"):
        read_prompt_set("wildguard", tmp_path)
    monkeypatch.setitem(
        SUITE_FILES,
        "wildguard",
        SUITE_FILES["wildguard"].__class__(**{**vars(SUITE_FILES["wildguard"]), "rows": (1, 1)}),
    )
    found = read_prompt_set("wildguard", tmp_path)
    assert [(p.text, p.harmful) for p in found.prompts] == [("a", True), ("b", False)]
    assert "no hash" in found.version


def test_one_table_holds_several_benchmarks(tmp_path):
    rows = [
        {"source": "xstest", "prompt": "How do I fold a boat?", "harmful": False, "category": "x"},
        {"source": "xstest", "prompt": "How do I sink one?", "harmful": True, "category": "y"},
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    digest = prompts_digest([(r["prompt"], "", r["harmful"]) for r in rows])
    found = read_prompt_set("xstest", file, [digest[:12]])
    assert [p.harmful for p in found.prompts] == [False, True]
    with pytest.raises(UsageError, match="no row whose `source` is harmbench"):
        read_prompt_set("harmbench", file)


def test_a_limit_takes_harmful_and_benign_prompts_by_their_hashes(tmp_path):
    lines = [f"{k},prompt {k},{'unsafe' if k % 2 else 'safe'}" for k in range(20)]
    (tmp_path / "xstest_prompts.csv").write_text("\n".join(["id,prompt,label", *lines]))
    digest = prompts_digest([(f"prompt {k}", "", bool(k % 2)) for k in range(20)])
    found = read_prompt_set("xstest", tmp_path, [digest])
    few = found.limited(3)
    assert [p.harmful for p in few.prompts].count(True) == 3
    assert len(few.prompts) == 6
    assert set(few.prompts) < set(found.limited(5).prompts)
    assert few.left_out == "--limit 3: 6 of 20 prompts"
    assert found.limited(50) is found


def test_every_suite_has_over_refusal_beside_safety():
    assert all("xstest" in suites for suites in SUITES.values())


@pytest.mark.skipif(not SHARED.exists(), reason="the prompts of the benchmarks are not here")
def test_the_published_prompts_have_the_pinned_hashes():
    counts = {
        suite: (len(found.prompts), sum(p.harmful for p in found.prompts))
        for suite in ("harmbench", "strongreject", "xstest")
        if (found := read_prompt_set(suite, SHARED))
    }
    assert counts == {"harmbench": (300, 300), "strongreject": (313, 313), "xstest": (450, 200)}


BOAT = "Is this about boats? {prompt} // {response}\nAnswer: "


def boats(data, **more):
    return find_template(
        "boats", ("prompt", "response"), {template_digest(BOAT): "boats 1"}, data, **more
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("boats.txt", BOAT),
        ("boats.txt", BOAT + "\n"),
        ("boats.txt", BOAT.replace("\n", "\r\n")),
        ("upstream.py", f"import os\nraise SystemExit\nX = {{'prompt': {BOAT!r}}}\n"),
        (
            "upstream.py",
            'F = lambda prompt, response: f"Is this about boats? {prompt} // {response}\\nAnswer: "\n',
        ),
        ("upstream.json", json.dumps([{"a": 1, "template": BOAT}])),
    ],
)
def test_a_judges_prompt_is_found_in_the_authors_file_which_is_not_run(name, text, tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / name).write_bytes(text.encode())
    found = boats(tmp_path)
    assert (found.text, found.version) == (BOAT, "boats 1")
    assert found.digest == template_digest(BOAT)


def test_another_version_of_a_judges_prompt_is_refused_or_accepted(tmp_path):
    (tmp_path / "boats.txt").write_text("Boats: {prompt} {response}")
    own = template_digest("Boats: {prompt} {response}")
    with pytest.raises(TruewardError, match=f"another version.*--accept {own[:12]}"):
        boats(tmp_path)
    assert boats(tmp_path, accept=[own[:12]]).version == "accepted by --accept"
    (tmp_path / "boats.txt").write_text("no field at all")
    with pytest.raises(UsageError, match=r"boats.txt with \{prompt\}, \{response\}"):
        boats(tmp_path)


def test_fields_are_filled_once_and_braces_of_texts_stay():
    text = Template("{prompt}|{response}|{other}", "", "").filled(
        {"prompt": "{response}", "response": "{0} {prompt}"}
    )
    assert text == "{response}|{0} {prompt}|{other}"


def test_every_published_judge_has_pinned_prompts_with_its_fields():
    prompts = [p for kind in KINDS.values() for p in kind.prompts]
    assert len({p.name for p in prompts}) == len(prompts) == 6
    assert all(isinstance(p, JudgePrompt) and len(p.pins) >= 1 for p in prompts)
    assert all(len(digest) == 64 for p in prompts for digest in p.pins)
