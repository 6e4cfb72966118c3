"""The site of the documentation, without its builder: pages, links, navigation, reference, llms.txt."""

import re
import sys
from pathlib import Path

import pytest

import trueward as tw

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def site():
    """The modules of docs/, and all pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import api_reference
        import site_pages

        yield site_pages, site_pages.pages(api_reference.pages())
    for name in ("api_reference", "site_pages"):
        sys.modules.pop(name)


def test_every_link_leads_to_a_page_a_file_or_a_heading(site):
    pages, texts = site
    assert pages.broken(texts) == []


def test_a_link_to_nothing_and_to_no_heading_is_found(site):
    pages, _ = site
    texts = {
        "a.md": "# A\n\n[b](b.md#two-words) [c](c.md) [d](b.md#three)",
        "b.md": "# B\n\n## Two words",
    }
    assert pages.broken(texts) == [
        "a.md: c.md is neither a page nor a file",
        "a.md: b.md has no heading #three",
    ]


def test_headings_that_the_builder_and_github_name_differently_are_no_anchors(site):
    pages, _ = site
    assert pages.anchors(
        "# A\n\n## Asked / found\n\n## Twice\n\n## Twice\n\n## `fit`: one, two"
    ) == {
        "a",
        "fit-one-two",
    }


def test_every_page_is_in_the_navigation_once(site):
    pages, texts = site
    listed = [p for _, group in pages.navigation(pages.settings(texts)) for _, p in group]
    assert sorted(listed) == sorted(texts)


def test_a_page_that_the_settings_do_not_name_is_under_more(site):
    pages, texts = site
    config = pages.settings(texts | {"docs/new_page.md": "# New"})
    (more,) = [line for line in config.splitlines() if '"More" =' in line]
    assert '"docs/new_page.md"' in more


def test_every_public_name_has_an_entry_with_its_parameters(site):
    _, texts = site
    reference = "\n".join(t for p, t in texts.items() if p.startswith("docs/api/"))
    for name in tw.__all__:
        kind = " (class)" if isinstance(getattr(tw, name), type) else ""
        assert f"\n## {name}{kind}\n" in reference
    fit = reference.partition("\n## fit\n")[2].partition("\n## ")[0]
    assert "```python\ntrueward.fit(\n    method,\n    train,\n    val=0.2,\n    *,\n" in fit
    assert "| `checkpoint` | str or Path, optional | Folder of checkpoints." in fit
    assert "[RewardModel](models.md#rewardmodel-class)" in fit
    assert "# doctest" not in reference


def test_llms_txt_names_every_page_as_markdown(site):
    pages, texts = site
    made = pages.llms(texts, pages.settings(texts), "https://host/place")
    short = made["llms.txt"]
    assert short.startswith("# trueward\n\n> Reward models from the feedback")
    linked = re.findall(r"^- \[[^\]]+\]\(https://host/place/([^)]+)\)", short, re.MULTILINE)
    assert sorted(linked) == sorted(texts)
    assert all(text.strip() in made["llms-full.txt"] for text in texts.values())


def test_the_first_page_has_no_pictures_from_elsewhere(site):
    _, texts = site
    assert "https://img.shields.io" not in texts["index.md"]
    assert "# trueward" in texts["index.md"]
