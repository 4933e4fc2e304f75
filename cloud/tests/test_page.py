"""The parents' page as it is served: everything it names is there, nothing is inline, and its words stay careful.

What it does is tested in a browser: `tests/test_browser.py`.
"""

import re
from pathlib import Path

import httpx
import pytest
from zenmoon_cloud.app import page_folder

# What npm brings is no page of ours, and may be absent.
FILES = sorted(path.name for path in page_folder().iterdir() if path.is_file())
TEXTS = [name for name in FILES if not name.endswith((".wasm", ".tflite"))]
SCRIPTS = [name for name in FILES if name.endswith(".js")]
VENDOR = {"vendor/uplot.js", "vendor/uplot.css"}
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm"}


def _text(name: str) -> str:
    return (page_folder() / name).read_text()


async def test_the_page_is_served_at_the_root_under_a_strict_policy(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert scripts == "script-src 'self' 'wasm-unsafe-eval'"  # WebAssembly may be compiled, text may not be run
    assert "unsafe" not in policy.replace(scripts, "")
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_with_its_type_and_names_only_files_that_exist(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(TYPES[Path(name).suffix])
    if name not in TEXTS:
        assert answer.content == (page_folder() / name).read_bytes()
        return
    named = re.findall(r"""(?:src|href)="([^"]+)"|(?:from |import\()"\./([^"]+)\"""", answer.text)
    for target in {first or second for first, second in named}:
        assert target in FILES or target in VENDOR or target == "/api/auth/session"  # asked for while the scripts load
    assert "://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", answer.text)  # nothing from elsewhere


async def test_what_the_page_takes_from_npm_is_served_from_the_same_place(client: httpx.AsyncClient) -> None:
    if not (page_folder() / "vendor").is_dir():
        pytest.skip("the chart library is not here: `python tools/web_assets.py` gets it")
    for name in VENDOR:
        answer = await client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(TYPES[Path(name).suffix])


def test_modules_import_what_the_others_export() -> None:
    export = re.compile(r"export (?:async )?(?:function|class|const) (\w+)")
    exports = {name: set(export.findall(_text(name))) for name in TEXTS}
    for name in TEXTS:
        for names, target in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', _text(name)):
            assert {each.strip() for each in names.split(",")} <= exports[target], name


def test_every_module_is_asked_for_at_once() -> None:
    """One that is only found inside of another costs a further way to the service and back; but what few ever open may wait."""
    preloaded = set(re.findall(r'rel="modulepreload" href="([^"]+)"', _text("index.html")))
    imported = {target for name in SCRIPTS for target in re.findall(r'from "\./([^"]+)"', _text(name))}
    later = {target for name in SCRIPTS for target in re.findall(r'import\("\./([^"]+)"\)', _text(name))} - {"vendor/uplot.js"}
    assert preloaded == imported | {"vendor/uplot.js"}
    assert set(SCRIPTS) == imported | later | {"page.js", "theme.js"}


def test_ids_templates_and_fields_that_scripts_use_are_in_the_page() -> None:
    page, scripts = _text("index.html"), "".join(map(_text, SCRIPTS))
    for identifier in re.findall(r'(?:element|getElementById)\("([\w-]+)"\)', scripts):
        assert f'id="{identifier}"' in page
    for identifier in re.findall(r'copy\("([\w-]+)"\)', scripts):
        assert f'<template id="{identifier}"' in page
    for one, other in re.findall(r'#?fields(?:\.(\w+)|\["([\w-]+)"\])', scripts):
        assert f'data-field="{one or other}"' in page


def test_no_module_grows_beyond_one_sitting() -> None:
    for name in SCRIPTS:
        assert len(_text(name).splitlines()) <= 200, name


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_speaks_of_emotion_or_diagnosis(name: str) -> None:
    text = re.sub("stress_level(_min|_max)?", "", _text(name).lower())
    for word in ("emotion", "stress", "anxi", "diagnos", "disorder", "mood"):
        assert word not in text


def test_the_page_says_what_strain_is_and_is_not() -> None:
    words = " ".join(_text("index.html").split())
    assert "this child's own usual" in words
    assert "not validated on children" in words
    assert "not a medical finding" in words


async def test_the_page_cannot_be_left_by_its_path(client: httpx.AsyncClient) -> None:
    for path in ("/../zenmoon_cloud/app.py", "/%2e%2e/pyproject.toml", "/web/index.html", "/vendor/../../pyproject.toml"):
        assert (await client.get(path)).status_code == 404
