"""What the page takes from npm: pinned by hash, named without an address, fetched once, and missed without harm."""

import json
import os
import stat
from pathlib import Path

import pytest
import web_assets

NPM = """#!/bin/sh
if [ "$1" = --version ]; then echo {version}; exit 0; fi
echo "$@" >> {log}
{does}
"""
INSTALLS = """mkdir -p node_modules/uplot/dist && cd node_modules/uplot
for name in dist/uPlot.iife.min.js dist/uPlot.min.css LICENSE; do echo it > $name; done"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the real manifests and nothing else."""
    (tmp_path / "cloud" / "web").mkdir(parents=True)
    for name in web_assets.MANIFESTS:
        (tmp_path / "cloud" / name).write_bytes((web_assets.ROOT / "cloud" / name).read_bytes())
    return tmp_path


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an npm of our own first in the path; gives the file that notes its calls."""

    def put(does: str = INSTALLS, version: str = "11.19.1") -> Path:
        program, log = tmp_path / "bin" / "npm", tmp_path / "calls"
        program.parent.mkdir(exist_ok=True)
        program.write_text(NPM.format(version=version, log=log, does=does))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return log

    return put


def test_every_package_is_pinned_by_its_hash_and_by_no_address() -> None:
    text = (web_assets.ROOT / "cloud" / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    wanted = json.loads((web_assets.ROOT / "cloud" / "package.json").read_text())["dependencies"]
    assert wanted == {name.removeprefix("node_modules/"): entry["version"] for name, entry in packages.items() if name}


def test_the_files_come_once_and_without_install_scripts(checkout: Path, npm) -> None:
    calls = npm()
    assert web_assets.ensure(checkout)
    assert web_assets.ensure(checkout)
    assert calls.read_text().splitlines() == [" ".join(["ci", *web_assets.QUIET, *web_assets.PATIENCE])]
    assert "--ignore-scripts" in calls.read_text()
    vendor = checkout / "cloud" / "web" / "vendor"
    assert sorted(path.name for path in vendor.iterdir()) == sorted([*web_assets.FILES, "stamp"])
    assert (vendor / "uplot.js").read_text().endswith("export default uPlot;\n")
    assert [path.name for path in vendor.parent.iterdir()] == ["vendor"]


def test_a_new_version_is_fetched_and_a_lost_file_comes_back(checkout: Path, npm) -> None:
    calls = npm()
    web_assets.ensure(checkout)
    manifest = checkout / "cloud" / "package.json"
    manifest.write_text(manifest.read_text() + "\n")
    web_assets.ensure(checkout)
    (checkout / "cloud" / "web" / "vendor" / "uplot.css").unlink()
    assert web_assets.ensure(checkout)
    assert len(calls.read_text().splitlines()) == 3


def test_without_a_registry_the_cause_and_the_next_action_are_said(checkout: Path, npm, capsys: pytest.CaptureFixture[str]) -> None:
    npm("echo 'connect ECONNREFUSED' >&2; exit 1")
    assert not web_assets.ensure(checkout)
    said = capsys.readouterr().err
    assert "ECONNREFUSED" in said
    assert "The page runs without its charts" in said
    assert "Next:" in said
    assert list((checkout / "cloud" / "web").iterdir()) == []


def test_an_npm_that_cannot_read_the_lock_file_is_passed_over(npm) -> None:
    npm(version="6.14.18")
    assert web_assets.machine_npm() is None
    npm(version="9.2.0")
    assert web_assets.machine_npm() is not None


def test_the_wheels_npm_is_used_where_it_was_installed_before(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.touch()
    assert web_assets.wheel_npm(tmp_path) == str(program)
