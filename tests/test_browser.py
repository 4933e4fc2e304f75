"""The parents' page as a parent has it: a real browser on a real service, whose wristbands deliver through the real door.

What the pages of other kinds of tests cannot see: that something is visible, arrives without reload, and can be pressed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest
from browser import chromium, opened
from browser_service import PASSWORD, STEP, Household, Service, households
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Route, expect

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (Debian: `apt install chromium`)")

# The service looks for a lost session every 5 s and for what other processes wrote every 2 s; this machine may be busy.
expect.set_options(timeout=20_000)

ABOVE = [0.9] * 160  # a little more than ten minutes, from which on it is an alarm
VIOLATIONS = (
    "window.violations = []; addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));"
)
NOT_SIGNED_IN = "status of 401"


class Visit:
    """A browser's context with the page open, and everything that went wrong in it.

    Attributes:
        problems: Errors of scripts and console, and whatever the security policy has forbidden.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context, self.address = context, address
        self.problems: list[str] = []
        context.add_init_script(VIOLATIONS)
        self.page: Page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # Asking who is signed in is how the page finds out that nobody is.
        asked_who = message.location.get("url", "").endswith("/api/auth/session") and NOT_SIGNED_IN in message.text
        if message.type in ("error", "warning") and not asked_who:
            self.problems.append(message.text)

    def sign_in(self, household: Household) -> Page:
        """Signs the household's guardian in."""
        self.page.goto(self.address)
        self.page.get_by_label("E-mail").fill(household.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("#connection")).to_have_text("Live.")
        return self.page

    def assert_nothing_went_wrong(self) -> None:
        """Neither an error nor a violation of the policy so far."""
        assert self.problems == []
        assert self.page.evaluate("violations") == []


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One service for all tests of this module."""
    with Service() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; each visit has a context of its own."""
    with opened() as running:
        yield running


@pytest.fixture
def household(service: Service) -> Iterator[Callable[..., Household]]:
    """Registers families."""
    with households(service) as register:
        yield register


@pytest.fixture
def visit(service: Service, browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens browsers as on different devices; settings as for Playwright's contexts."""
    with ExitStack() as stack:

        def make(**settings: object) -> Visit:
            context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, "service_workers": "block", **settings})
            stack.callback(context.close)
            return Visit(context, service.address)

        yield make


@pytest.fixture(scope="module")
def charts(service: Service) -> None:
    """Skips where the set-up could not get the chart library."""
    if httpx.get(f"{service.address}/vendor/uplot.js", trust_env=False).status_code != httpx.codes.OK:
        pytest.skip("the chart library is not here: `python tools/web_assets.py` gets it")


def field(page: Page | Locator, name: str) -> Locator:
    """A named part of a card."""
    return page.locator(f'[data-field="{name}"]')


def test_a_parent_signs_in_and_sees_a_value_change_without_reload(service: Service, household, visit) -> None:
    family = household()
    now = service.now()
    family.first.deliver([0.4] * 30, now - STEP)
    seen = visit()
    page = seen.sign_in(family)
    expect(page.get_by_role("heading", name="Robin")).to_be_visible()
    expect(field(page.locator(".now"), "strain")).to_have_text("40")
    expect(page.get_by_text("about as usual").first).to_be_visible()
    page.evaluate("window.notReloaded = true")
    family.first.deliver([0.7], now, heart_rate=101)
    expect(field(page.locator(".now"), "strain")).to_have_text("70")
    expect(field(page.locator(".now"), "heart-rate")).to_have_text("101")
    expect(page.get_by_text("somewhat above usual").first).to_be_visible()
    family.first.deliver([0.1], now - timedelta(minutes=5))  # late: it is not now
    family.first.deliver([0.6], now + STEP)
    expect(field(page.locator(".now"), "strain")).to_have_text("60")
    assert page.evaluate("window.notReloaded")
    seen.assert_nothing_went_wrong()


def test_a_wrong_password_is_refused_with_a_reason(household, visit) -> None:
    family = household()
    page = visit().page
    page.goto(family.service.address)
    page.get_by_label("E-mail").fill(family.email)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")


def test_why_nothing_is_shown_is_said(service: Service, household, visit) -> None:
    family = household()
    page = visit().sign_in(family)
    expect(field(page.locator(".chart"), "summary")).to_contain_text("Nothing was measured")
    family.first.deliver([None], service.now(), quality=0b110010)
    expect(field(page.locator(".now"), "quality")).to_have_text("The wristband is not worn.")
    expect(field(page.locator(".now"), "strain")).to_have_text("–")


def test_the_chart_follows_live_and_shows_gaps_as_gaps(service: Service, household, visit, charts) -> None:
    family = household()
    now = service.now()
    family.first.deliver([0.4] * 100, now - timedelta(minutes=40))
    family.first.deliver([0.6] * 100, now - STEP)
    seen = visit()
    page = seen.sign_in(family)
    chart = page.locator(".chart")
    chart.get_by_role("button", name="1 hour").click()
    expect(field(chart, "summary")).to_contain_text("strain was 50 on average")
    expect(field(chart, "summary")).to_contain_text("Nothing was measured for")
    expect(chart.locator("canvas")).to_have_count(2)
    chart.get_by_text("The same as a table").click()
    expect(chart.get_by_role("row").filter(has_text="nothing").first).to_be_visible()
    expect(field(chart, "reading")).to_contain_text("strain 60")
    slider = chart.get_by_role("slider")
    before = int(slider.get_attribute("aria-valuemax") or 0)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    family.first.deliver([0.8], now)
    expect(field(chart, "reading")).to_contain_text("strain 80")
    expect(slider).to_have_attribute("aria-valuemax", str(before + 1))
    assert requests == []  # appended, not fetched again
    seen.assert_nothing_went_wrong()


@pytest.mark.parametrize("label", ["1 hour", "24 hours", "7 days", "60 days"])
def test_every_range_is_drawn_and_kept_over_a_reload(service: Service, household, visit, charts, label: str) -> None:
    family = household()
    family.first.deliver([0.5] * 30, service.now())
    seen = visit()
    page = seen.sign_in(family)
    page.get_by_role("button", name=label).click()
    page.reload()
    expect(page.get_by_role("button", name=label)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".chart canvas")).to_have_count(2)
    expect(field(page.locator(".chart"), "summary")).to_contain_text(f"the last {label.removeprefix('1 ')}")
    expect(field(page.locator(".chart"), "failure")).to_have_text("")
    seen.assert_nothing_went_wrong()


def test_the_chart_is_read_by_key_by_finger_and_by_mouse(service: Service, household, visit, charts) -> None:
    family = household()
    family.first.deliver([0.2, 0.3, 0.4], service.now())
    page = visit(has_touch=True).sign_in(family)
    page.get_by_role("button", name="1 hour").click()
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 40"))
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 30"))
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 20"))
    page.keyboard.press("Escape")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 40"))
    page.locator(".u-over").first.tap(position={"x": 2, "y": 20})
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 20"))
    page.locator(".u-over").last.hover(position={"x": 2, "y": 20})
    page.get_by_role("heading", name="Robin").hover()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("strain 40"))


def test_without_the_chart_library_the_page_works_and_says_so(service: Service, household, visit) -> None:
    family = household()
    family.first.deliver([0.5] * 30, service.now())
    seen = visit()

    def missing(route: Route) -> None:
        route.fulfill(status=404)

    seen.context.route("**/vendor/*", missing)
    page = seen.sign_in(family)
    expect(page.get_by_text("The charts are missing")).to_be_visible()
    expect(field(page.locator(".now"), "strain")).to_have_text("50")
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("cell", name=re.compile("^50")).first).to_be_visible()


def test_a_suggestion_arrives_live_and_a_thumb_stays_after_a_reload(service: Service, household, visit) -> None:
    family = household()
    family.first.deliver([0.8] * 60, service.now())
    seen = visit()
    page = seen.sign_in(family)
    card = page.locator(".recommendation")
    expect(field(card, "said")).to_contain_text("Nothing has been suggested yet")
    family.decide(0.999)  # the last of the options: an activity
    expect(field(card, "activity")).to_contain_text("minutes")
    card.get_by_text("Why this?").click()
    expect(field(card, "reasons")).to_contain_text("in 100, by rule-1")
    yes, no = card.get_by_role("button", name="Yes"), card.get_by_role("button", name="No", exact=True)
    yes.click()
    expect(yes).to_have_attribute("aria-pressed", "true")
    expect(card.get_by_text("Thank you.")).to_be_visible()
    page.reload()
    expect(yes).to_have_attribute("aria-pressed", "true")
    no.click()
    expect(no).to_have_attribute("aria-pressed", "true")
    expect(yes).to_have_attribute("aria-pressed", "false")
    no.click()  # taken back
    expect(no).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(field(card, "activity")).to_contain_text("minutes")
    expect(no).to_have_attribute("aria-pressed", "false")
    answer = family.client.get(f"/api/recommendation/{family.first.child_id}").json()
    assert answer["seen_at"] is not None
    assert answer["helpful"] is None
    seen.assert_nothing_went_wrong()


def test_a_parent_asks_for_a_suggestion(service: Service, household, visit) -> None:
    family = household()
    family.first.deliver([0.8] * 60, service.now())
    seen = visit()
    page = seen.sign_in(family)
    page.get_by_role("button", name="Suggest something now").click()
    expect(field(page.locator(".recommendation"), "said")).to_contain_text("Over the last 10 minutes")
    expect(field(page.locator(".recommendation"), "given")).to_contain_text("Wed 15:")
    seen.assert_nothing_went_wrong()


def test_an_alarm_arrives_without_reload_and_is_acknowledged_for_every_device(service: Service, household, visit) -> None:
    family = household("Robin", "Kim")
    here, there = visit(), visit()
    page, other = here.sign_in(family), there.sign_in(family)
    expect(page.get_by_role("alert")).to_have_count(0)
    family.first.deliver(ABOVE, service.now())
    for each in (page, other):
        expect(each.get_by_role("alert")).to_contain_text("Robin: strain is above the usual")
    family.wristbands[1].deliver(ABOVE, service.now())
    expect(page.get_by_role("alert").filter(has_text="Kim")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(2)
    page.get_by_role("alert").filter(has_text="Robin").get_by_role("button", name="Acknowledge").click()
    for each in (page, other):
        expect(each.get_by_role("alert")).to_have_count(1)
        expect(each.get_by_role("alert")).to_contain_text("Kim")
    page.reload()
    expect(page.get_by_role("alert")).to_have_count(1)
    robin = page.locator(f'[data-child="{family.first.child_id}"]')
    robin.get_by_text("Alarms so far").click()
    expect(robin.get_by_role("listitem").filter(has_text="Acknowledged by A guardian.")).to_be_visible()
    for each in (here, there):
        each.assert_nothing_went_wrong()


def test_colours_follow_the_system_until_a_parent_chooses(household, visit) -> None:
    family = household()
    seen = visit(color_scheme="dark")
    page = seen.sign_in(family)

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = ground()
    page.emulate_media(color_scheme="light")
    light = ground()
    assert dark != light
    page.get_by_role("button", name="Dark colours").click()
    assert ground() == dark
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    assert ground() == dark
    page.get_by_role("button", name="Light colours").click()
    assert ground() == light
    seen.assert_nothing_went_wrong()


def test_a_phone_shows_everything_without_scrolling_sideways(service: Service, household, visit) -> None:
    family = household("A child whose name is long, long enough for a line of its own")
    family.first.deliver(ABOVE, service.now())
    family.decide(0.999)
    seen = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = seen.page
    page.goto(service.address)
    expect(page.get_by_label("E-mail")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    seen.sign_in(family)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(field(page.locator(".recommendation"), "activity")).to_contain_text("minutes")
    for summary in page.locator("summary").all():
        summary.click()
    expect(field(page.locator(".chart"), "rows").get_by_role("row").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    seen.assert_nothing_went_wrong()


def test_signing_out_leaves_nothing_of_the_child_behind(service: Service, household, visit) -> None:
    family = household()
    family.first.deliver(ABOVE, service.now())
    seen = visit()
    page = seen.sign_in(family)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "Robin" not in page.content()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_session_that_ends_elsewhere_ends_here(household, visit) -> None:
    family = household()
    seen = visit()
    page = seen.sign_in(family)
    cookie = {each["name"]: each["value"] for each in seen.context.cookies()}
    with httpx.Client(base_url=seen.address, cookies=cookie, headers={"Origin": seen.address}, trust_env=False) as elsewhere:
        elsewhere.headers["X-CSRF-Token"] = elsewhere.get("/api/auth/session").json()["csrf_token"]
        elsewhere.post("/api/auth/logout").raise_for_status()
    expect(page.get_by_text("Your session is over. Sign in again.")).to_be_visible()
    assert "Robin" not in page.content()


def test_a_lost_connection_is_said_and_made_good(service: Service, household, visit) -> None:
    family = household()
    family.first.deliver([0.4], service.now())
    seen = visit()
    page = seen.sign_in(family)
    expect(field(page.locator(".now"), "strain")).to_have_text("40")
    service.stop()
    expect(page.locator("#connection")).to_have_text("Connection lost. Trying again …")
    service.start()
    family.first.deliver(ABOVE, service.now())
    expect(page.locator("#connection")).to_have_text("Live.")
    expect(field(page.locator(".now"), "strain")).to_have_text("90")
    expect(page.get_by_role("alert")).to_contain_text("above the usual")


MINUTES = """
async () => {
  const { columns, stretches } = await import("/chart_columns.js");
  const { merge } = await import("/points.js");
  const value = (mean) => ({ mean, low: mean - 5, high: mean + 5 });
  const point = (start, seconds, mean, share = 1, worn = true) => ({
    start, end: start + seconds, at: start + seconds / 2, share, worn,
    strain: mean === null ? { mean: null, low: null, high: null } : value(mean), heartRate: value(80),
  });
  const unworn = point(180, 60, null, 0, false);
  const minutes = [point(0, 60, 10), point(60, 60, 20, 0.2), point(120, 60, null), unworn, point(600, 60, 60)];
  const merged = merge(minutes, [point(606, 4, 61), point(610, 4, 62)]);
  return {
    columns: columns(minutes, "strain").data,
    stretches: stretches(minutes, "strain", { from: 0, to: 720 }),
    merged: merged.map(({ start }) => start),
  };
}
"""


def test_no_line_crosses_a_gap_and_records_take_the_place_of_their_minute(service: Service, visit) -> None:
    page = visit().page
    page.goto(service.address)
    drawn = page.evaluate(MINUTES)
    times, whole, partly, low, _ = drawn["columns"]
    assert times == [30, 90, 150, 210, 420, 630]  # the fifth row is the gap's
    assert whole == [10, None, None, None, None, 60]
    assert partly == [10, 20, None, None, None, None]  # faint, and joined to its whole neighbour
    assert low == [5, 15, None, None, None, 55]
    assert drawn["stretches"] == [
        {"kind": "unsure", "from": 120, "to": 180},
        {"kind": "nothing", "from": 180, "to": 600},
        {"kind": "nothing", "from": 660, "to": 720},
    ]
    assert drawn["merged"] == [0, 60, 120, 180, 606, 610]
