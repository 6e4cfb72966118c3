"""The label page in a real browser: by keys, through a reload, offline, with hostile texts, on a phone."""

import json
import time

import polars as pl
import pytest
from helpers.chromium import chromium, driver_only, needs_chromium  # noqa: F401 - a fixture

import trueward as tw
from trueward.asking.labels.batch import plan_table, read_batch
from trueward.asking.labels.label_files import read_labels

pytest.importorskip("selenium.webdriver", reason="driving a browser needs selenium")
pytestmark = needs_chromium
HOSTILE = (
    "</script><script>window.hacked = 'script'</script><img src='http://example.org/x.png' "
    "onerror=\"window.hacked = 'image'\"><a href=\"javascript:window.hacked='link'\">x</a> \u202egnorw <!--"
)
N = 50


def rows():
    chat = "system: Help.\nuser: Hi\nassistant: Hello!\nuser: And number {}?" + HOSTILE
    return pl.DataFrame(
        {
            "prompt": [
                chat.format(i)
                if i % 2
                else f"Question {i}? {'because ' * (300 if i % 10 == 4 else 1)}"
                for i in range(N)
            ],
            "response": [
                f"Answer {i}. {HOSTILE}\n```\ncode {'x' * 300}\n```\nمرحبا {'long ' * 500}"
                if i % 5 == 0
                else f"Answer {i}."
                for i in range(N)
            ],
            "gold_weight": [2 + i / 7 for i in range(N)],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    plan_table(rows()).write_csv(place / "next.csv")
    tw.label_page(place / "next.csv").save(place / "label.html")
    tw.label_page(place / "next.csv", annotators=["Anna", "Ben"]).save(place / "shared.html")
    return place


@pytest.fixture(scope="module")
def browser(tmp_path_factory, folder):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        where = {"behavior": "allow", "downloadPath": str(folder)}
        driver.execute_cdp_cmd("Page.setDownloadBehavior", where)
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield driver


@pytest.fixture
def page(browser, folder):
    """The page without labels, opened afresh."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get((folder / "label.html").as_uri())
    browser.execute_script("localStorage.clear()")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.refresh()
    return browser


def text(page, name):
    return page.execute_script("return document.getElementById(arguments[0]).textContent", name)


def press(page, *keys):
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def begin(page, name="Anna"):
    page.find_element("id", "name").send_keys(name + "\n")


def downloaded(page, path):
    path.unlink(missing_ok=True)
    page.find_element("id", "save").click()
    for _ in range(100):
        if path.exists() and path.stat().st_size:
            return read_labels(path)
        time.sleep(0.05)
    raise AssertionError(f"{path} was not downloaded")


def test_fifty_responses_by_keys_with_a_reload_in_the_middle(page, folder):
    begin(page)
    given = {}
    for i in range(N):
        if i == 25:
            page.refresh()
            assert text(page, "count") == "25 of 50 done"
        shown = text(page, "response")
        assert shown not in given, "every response is shown once"
        given[shown] = i % 3 > 0
        press(page, "1" if i % 3 else "0")
    assert text(page, "count") == "50 of 50 done"
    assert page.find_element("id", "end").is_displayed()
    file = downloaded(page, folder / "labels-Anna.jsonl")
    assert len(file.labels) == N
    merged = tw.merge_labels([file.path], plan=folder / "next.csv")
    first = {
        r.split(".")[0]: g
        for r, g in zip(merged.frame["response"], merged.frame["gold"], strict=True)
    }
    assert first == {shown.split(".")[0]: float(good) for shown, good in given.items()}
    batch = {item.response: item.gold_weight for item in read_batch(folder / "next.csv").items}
    assert dict(zip(merged.frame["response"], merged.frame["gold_weight"], strict=True)) == batch
    assert page.get_log("browser") == []
    events = [json.loads(e["message"])["message"] for e in page.get_log("performance")]
    asked = {
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("blob:")} == {
        (folder / "label.html").as_uri()
    }
    assert page.execute_script("return window.hacked") is None


def test_hostile_texts_are_read_as_they_were_written(page):
    begin(page)
    while "gnorw" not in text(page, "response") + text(page, "prompt"):
        press(page, "1")
    assert HOSTILE in text(page, "response") + text(page, "prompt")
    assert page.execute_script("return document.images.length + document.links.length") == 0
    assert page.execute_script("return document.scripts.length") == 2
    assert page.execute_script("return window.hacked") is None


def test_a_long_conversation_is_folded_and_the_earlier_turns_are_apart(page):
    begin(page)
    while "because because" not in text(page, "prompt"):
        press(page, "1")
    height = "return document.getElementById('prompt').getBoundingClientRect().height"
    folded = page.execute_script(height)
    assert page.execute_script("return document.getElementById('prompt').tabIndex") == 0
    button = page.find_element("id", "unfold")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert page.execute_script(height) > folded
    while "And number" not in text(page, "prompt"):
        press(page, "1")
    roles = "return [...document.querySelectorAll('#item .role')].map(e => e.textContent)"
    assert page.execute_script(roles) == ["Instructions", "User", "Assistant", "User"]
    assert text(page, "earlier-count") == "3 earlier turns"


def test_undo_shows_the_response_again_and_a_skip_needs_a_reason(page, folder):
    begin(page, "Ben")
    first = text(page, "response")
    press(page, "0", "u")
    assert text(page, "response") == first
    assert text(page, "count") == "0 of 50 done"
    press(page, "s", "2")
    assert text(page, "count") == "1 of 50 done"
    press(page, "s", "\ue00c")  # Escape
    assert text(page, "count") == "1 of 50 done", "no reason, no skip"
    page.find_element("id", "skip").click()
    page.find_element("id", "other").send_keys(
        "in Dutch 1\n"
    )  # Enter takes the text, no listed reason
    labels = [*downloaded(page, folder / "labels-Ben.jsonl").labels.values()]
    assert [v.skipped for v in labels] == ["The text is incomplete or broken", "in Dutch 1"]
    assert all(v.gold is None for v in labels)


def test_every_annotator_has_an_order_of_their_own_that_is_the_same_again(page):
    orders = []
    for name in ("Anna", "Ben", "anna"):
        page.execute_script("localStorage.clear()")
        page.refresh()
        begin(page, name)
        seen = []
        for _ in range(3):
            seen.append(text(page, "response")[:10])
            press(page, "1")
        orders.append(seen)
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


def test_another_person_can_go_on_in_the_same_browser_and_the_first_comes_back(page):
    begin(page)
    press(page, "1", "1")
    page.find_element("id", "leave").click()
    begin(page, "Ben")
    assert text(page, "count") == "0 of 50 done"
    page.find_element("id", "leave").click()
    buttons = page.find_elements("css selector", "#again button")
    assert [b.text for b in buttons] == ["Anna, 2 done", "Ben, 0 done"]
    buttons[0].click()
    assert text(page, "count") == "2 of 50 done"


def test_a_second_annotator_can_take_only_those_that_are_labelled_twice(page):
    page.find_element("css selector", "input[value=twice]").click()
    begin(page, "Cleo")
    assert text(page, "count") == "0 of 8 done"


def test_shared_responses_go_to_the_annotator_who_is_chosen(browser, folder):
    browser.get((folder / "shared.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    names = browser.execute_script(
        "return [...document.querySelectorAll('option')].map(o => o.textContent)"
    )
    assert names == ["Anna", "Ben"]
    browser.find_element("css selector", "#who button").click()
    assert text(browser, "count") == "0 of 29 done"  # half of 50 + 8


def test_it_can_be_used_without_seeing_it(page):
    """Names of controls, a live region, focus on the next response, and keys for what scrolls."""
    begin(page)
    press(page, "1")
    assert text(page, "said") == "Good. 1 of 50 done."
    assert page.execute_script("return document.activeElement.id") == "item-head"
    assert text(page, "item-head") == "Response 2"
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if "role" in n}
    for role, name in (
        ("button", "1 Good"),
        ("button", "0 Bad"),
        ("button", "s Skip"),
        ("progressbar", "1 of 50 done"),
        ("heading", "Response to label"),
    ):
        assert (role, name) in named
    lost = page.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " getComputedStyle(e).overflowX == 'auto' && e.tabIndex < 0).length"
    )
    assert lost == 0


@pytest.mark.parametrize(("theme", "width"), [("dark", 390), ("light", 1100)])
def test_it_fits_a_phone_and_a_desk_in_both_themes(page, theme, width):
    features = [{"name": "prefers-color-scheme", "value": theme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        begin(page)
        while "long" not in text(page, "response"):
            press(page, "1")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        bar = page.execute_script(
            "return document.getElementById('answers').getBoundingClientRect().bottom"
        )
        assert bar <= 800, "the answers stay in view"
        assert page.execute_script("return document.body.scrollHeight") > 800
        body = page.execute_script(
            "return getComputedStyle(document.documentElement).backgroundColor"
        )
        assert (sum(map(int, body[4:-1].split(","))) > 380) == (theme == "light")
        sides = page.execute_script(
            "return [...document.querySelectorAll('#response .turn-text')].map(e =>"
            " getComputedStyle(e).direction)"
        )
        assert sides == ["ltr", "rtl"]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
