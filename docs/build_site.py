"""Build the site of the documentation in build/site/html with Zensical (the extra `docs`).

Errors: a link that leads nowhere, a warning of the builder, a page that it reads otherwise than GitHub.

python docs/build_site.py
python docs/build_site.py --url https://host/place   where the site will be, for its sitemap and llms.txt
"""

import argparse
import re
import shutil
import subprocess
import sys
from html import unescape

import api_reference
import site_pages

PLACE = site_pages.ROOT / "build" / "site"


def stage(texts: dict[str, str], config: str, url: str) -> None:
    """Write the pages, the files that they link to and the settings into build/site."""
    shutil.rmtree(PLACE, ignore_errors=True)
    for name, text in (texts | site_pages.llms(texts, config, url)).items():
        path = PLACE / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for name in {"docs/site.css", *site_pages.files(texts)}:
        path = PLACE / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(site_pages.ROOT / name, path)
    address = f'site_url = "{url}/"\n' if url else ""
    settings = config.replace("[project]\n", f"[project]\n{address}", 1)
    (PLACE / "zensical.toml").write_text(settings, "utf-8")


def words(html: str) -> str:
    """Return the letters of a text without its marks and without white space."""
    return re.sub(r"\s+|¶", "", unescape(re.sub(r"<[^>]*>", "", html)))


def lost(texts: dict[str, str]) -> list[str]:
    """Return the pages that the builder left out or reads otherwise than GitHub does."""
    wrong = []
    for page, text in texts.items():
        place = PLACE / "html" / page.removesuffix(".md")
        made = place.with_name("index.html") if place.name == "index" else place / "index.html"
        if not made.exists():
            wrong.append(f"{page}: not built")
            continue
        _, _, html = made.read_text("utf-8").partition("<article")
        html = html.partition(">")[2].partition("</article>")[0]
        wanted = site_pages.PARSER.render(text)
        wrong += [
            f"{page}: another number of <{tag}> than on GitHub"
            for tag in ("table", "pre", "li", "h2", "h3")
            if len(re.findall(f"<{tag}[ >]", html)) != len(re.findall(f"<{tag}[ >]", wanted))
        ]
        if words(html) != words(wanted):
            wrong.append(f"{page}: another text than on GitHub")
    return wrong


def main() -> int:
    """Build the site."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="", help="address of the site")
    url = parser.parse_args().url.rstrip("/")
    texts = site_pages.pages(api_reference.pages())
    wrong = site_pages.broken(texts)
    if not wrong:
        stage(texts, site_pages.settings(texts), url)
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        done = subprocess.run(command, cwd=PLACE, check=False)  # noqa: S603 - this program
        if done.returncode:
            return done.returncode
        for name in texts:  # beside every page its text, which llms.txt names
            shutil.copy(PLACE / "pages" / name, PLACE / "html" / name)
        wrong = lost(texts)
    print("\n".join([*wrong, f"{len(texts)} pages in {PLACE / 'html'}"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
