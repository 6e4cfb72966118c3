"""The report in a real browser: it opens, shows its figures, asks for nothing, and runs nothing."""

import base64
import json

import numpy as np
import pytest
from helpers.chromium import chromium, driver_only, needs_chromium  # noqa: F401 - a fixture

from trueward import report
from trueward.data.log_reading import read_log
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.simulation import helpdesk, simulate

pytest.importorskip("altair", reason="figures need the extra `report`")
pytest.importorskip("selenium.webdriver", reason="driving a browser needs selenium")
pytestmark = needs_chromium
HOSTILE = (
    "</dd></pre><script>window.hacked = 'script'</script>"
    "<img src='http://example.org/x.png' onerror=\"window.hacked = 'image'\">"
    "<svg onload=\"window.hacked = 'svg'\"></svg><a href=\"javascript:window.hacked='link'\">x</a>"
    "{{ 7 * 7 }} ![x](http://example.org/y.png) \u202egnorw"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A report of two models on a log whose every answer ends in markup that means harm."""
    folder = tmp_path_factory.mktemp("browser")
    world = simulate(helpdesk(120, seed=4), rate=0.5, gold=100, seed=4)
    log = world.log.with_columns(response=world.log["response"] + HOSTILE)
    log = read_log(log.with_columns(prompt=log["prompt"] + HOSTILE))
    parts = encode(log).split(0.2)
    models = {"naive": fit("naive", *parts, epochs=2)}
    models["<b onclick=alert(1)>ips"] = fit("ips", *parts, epochs=2)
    report(models, log, command="trueward report '<script>'").save(folder / "report.html")
    report(models["naive"], log).save(folder / "one.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, file):
    """The page, opened afresh; the logs before it are dropped."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(file.as_uri())
    return browser


def test_it_opens_without_an_error_and_asks_for_nothing(opened, file):
    assert opened.get_log("browser") == []
    events = [json.loads(e["message"])["message"] for e in opened.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def test_hostile_text_does_not_run_and_is_read_as_it_was_written(opened):
    assert opened.execute_script("return window.hacked") is None
    assert opened.execute_script("return document.scripts.length") == 0
    assert opened.execute_script("return document.querySelectorAll('main img').length") == 0
    text = opened.execute_script("return document.body.innerText")
    assert "<script>window.hacked = 'script'</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert "<b onclick=alert(1)>ips" in text


def test_every_figure_is_visible_and_inside_the_page(opened):
    boxes = opened.execute_script(
        "return [...document.querySelectorAll('.drawing')].map(d => {"
        " const s = d.querySelector('svg').getBoundingClientRect();"
        " const m = d.querySelectorAll('path,line,text').length;"
        " return [s.width, s.height, m, d.getBoundingClientRect().width] })"
    )
    assert len(boxes) > 4
    for width, height, marks, place in boxes:
        assert width > 300
        assert height > 30
        assert marks > 10
        assert place <= 1100
    # what is drawn lies in what is shown: labels are cut off at neither side
    cut = opened.execute_script(
        "return [...document.querySelectorAll('.drawing text')].filter(t => {"
        " const d = t.closest('.drawing').getBoundingClientRect(), b = t.getBoundingClientRect();"
        " return b.left < d.left - 1 || b.right > d.right + 1}).map(t => t.textContent)"
    )
    assert cut == []


def test_names_of_lines_stand_at_the_lines_and_cover_no_other(opened):
    """Both models are named in the drawings, and no two names of one drawing overlap."""
    open_all(opened)
    covered = opened.execute_script(
        "return [...document.querySelectorAll('.drawing')].flatMap(d => {"
        " const t = [...d.querySelectorAll('text[fill*=\"--c\"]')];"
        " const b = t.map(e => e.getBoundingClientRect());"
        " return t.filter((e, i) => b.some((o, j) => j < i && o.left < b[i].right - 1 &&"
        " b[i].left < o.right - 1 && o.top < b[i].bottom - 4 && b[i].top < o.bottom - 4))"
        " .map(e => e.textContent)})"
    )
    assert covered == []
    named = opened.execute_script(
        "return [...document.querySelectorAll('.drawing text[fill*=\"--c\"]')].map(t => t.textContent)"
    )
    assert {"naive", "<b onclick=alert(1)>ips"} <= set(named)


def open_all(browser):
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


def test_the_verdict_is_on_the_first_screen_and_internals_are_folded(opened):
    top = opened.execute_script(
        "return document.getElementById('verdict').getBoundingClientRect().top"
    )
    assert top < 500
    shut = opened.execute_script(
        "return [...document.querySelectorAll('section > details:not([open]) h2')].map(h => h.textContent)"
    )
    assert "Who reacts" in shut
    opened.execute_script("location.hash = '#who-reacts'")
    height = opened.execute_script(
        "return document.getElementById('who-reacts').getBoundingClientRect().height"
    )
    assert height > 50, "a link unfolds what it leads to"


def test_a_table_that_scrolls_shows_that_it_does(opened):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        uncued = opened.execute_script(
            "return [...document.querySelectorAll('main .scroll')].filter(e => e.scrollWidth >"
            " e.clientWidth + 1 && !getComputedStyle(e).backgroundAttachment.includes('local')).length"
        )
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert uncued == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_lines_stand_out_in_both_themes(opened, theme):
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what is drawn."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    names = ["ink", "soft", "link", *(f"c{k}" for k in range(1, 7))]
    style = "getComputedStyle(document.documentElement)"
    value = {
        k: opened.execute_script(f"return {style}.getPropertyValue('--{k}').trim()")
        for k in ("paper", "shade", *names)
    }
    body = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, body[4:-1].split(","))) > 380) == (theme == "light")
    for name in names:
        for ground in ("paper", "shade"):
            # names at lines have their colours, and stand on paper
            wanted = 4.5 if name in ("ink", "soft", "link") or ground == "paper" else 3.0
            assert contrast(value[name], value[ground]) >= wanted, (name, ground)


def contrast(a, b):
    def luminance(text):
        digits = text.removeprefix("#")
        digits = digits if len(digits) == 6 else "".join(c + c for c in digits)
        v = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        v = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
        return float(v @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_keys_reach_the_content_and_what_scrolls(opened):
    from selenium.webdriver.common.keys import Keys

    active = "return document.activeElement.className || document.activeElement.tagName"
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert opened.execute_script(active) == "skip"
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert opened.execute_script(active) == "A"
    lost = opened.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " getComputedStyle(e).overflowX == 'auto' && e.tabIndex < 0).length"
    )
    assert lost == 0


def test_on_a_phone_the_page_itself_does_not_scroll_sideways(opened):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = opened.execute_script("return document.documentElement.scrollWidth")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 390


def test_it_prints_with_what_was_folded(opened):
    pdf = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"]
    assert len(base64.b64decode(pdf)) > 20_000
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    folded = opened.execute_script(
        "const d = document.querySelector('figure details table'); return d.getBoundingClientRect().height"
    )
    assert folded > 20


def test_one_model_has_its_best_and_worst_answers(browser, file):
    browser.get((file.parent / "one.html").as_uri())
    heads = browser.execute_script(
        "return [...document.querySelectorAll('article h3')].map(h => h.textContent)"
    )
    assert heads == [f"Best {k}" for k in range(1, 6)] + [f"Worst {k}" for k in range(1, 6)]
    assert browser.execute_script("return window.hacked") is None
