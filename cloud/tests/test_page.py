"""The parents' page as it is served: everything it names is there, nothing is inline, and its words stay careful."""

import re
from pathlib import Path

import httpx
import pytest
from zenmoon_cloud.app import page_folder

FILES = sorted(path.name for path in page_folder().iterdir())
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


async def test_the_page_is_served_at_the_root_under_a_strict_policy(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_with_its_type_and_names_only_files_that_exist(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(TYPES[Path(name).suffix])
    named = re.findall(r"""(?:src|href)="([^"]+)"|from "\./([^"]+)\"""", answer.text)
    for target in {first or second for first, second in named}:
        assert target in FILES
    assert "://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", answer.text)  # nothing from elsewhere


def test_modules_import_what_the_others_export() -> None:
    export = re.compile(r"export (?:async )?(?:function|class|const) (\w+)")
    exports = {name: set(export.findall((page_folder() / name).read_text())) for name in FILES}
    for name in FILES:
        for names, target in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', (page_folder() / name).read_text()):
            assert {each.strip() for each in names.split(",")} <= exports[target], name


def test_ids_and_fields_that_scripts_use_are_in_the_page() -> None:
    page = (page_folder() / "index.html").read_text()
    scripts = "".join((page_folder() / name).read_text() for name in FILES if name.endswith(".js"))
    for identifier in re.findall(r'(?:element|getElementById)\("([\w-]+)"\)', scripts):
        assert f'id="{identifier}"' in page
    for one, other in re.findall(r'#fields(?:\.(\w+)|\["([\w-]+)"\])', scripts):
        assert f'data-field="{one or other}"' in page


@pytest.mark.parametrize("name", FILES)
def test_no_text_speaks_of_emotion_or_diagnosis(name: str) -> None:
    text = (page_folder() / name).read_text().lower().replace("stress_level", "")
    for word in ("emotion", "stress", "anxi", "diagnos", "disorder", "mood"):
        assert word not in text


async def test_the_page_cannot_be_left_by_its_path(client: httpx.AsyncClient) -> None:
    for path in ("/../zenmoon_cloud/app.py", "/%2e%2e/pyproject.toml", "/web/index.html"):
        assert (await client.get(path)).status_code == 404
