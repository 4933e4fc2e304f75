"""The kernel in a real browser, on the real service under its policy: the integers are those of the portable engine."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge
from browser import chromium, opened
from browser_service import Service
from playwright.sync_api import Browser
from zenmoon_edge.core.tinylstm import TinyLSTM

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (Debian: `apt install chromium`)")

WEARABLE = Path(zenmoon_edge.__file__).parent / "models" / "wearable.tflite"
CALLS = 100

RUN = """
async ([model, x]) => {
  window.violations = [];
  addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
  const { TinyLSTM } = await import("/tinylstm.js");
  const one = await TinyLSTM.load("/tinylstm.wasm", Uint8Array.from(model));
  const outputs = Array.from(one.run(Int8Array.from(x)));
  one.reset();
  const again = Array.from(one.run(Int8Array.from(x)));
  let evaluated = "forbidden";
  try { evaluated = eval("'run'"); } catch { /* as it should be */ }
  return { outputs, again, evaluated, violations: violations.filter((each) => !each.startsWith("script-src")) };
}
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The real service."""
    with Service() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The real browser."""
    with opened() as running:
        yield running


def test_the_browser_gives_the_integers_of_the_portable_engine_and_still_runs_no_text(service: Service, browser: Browser) -> None:
    model = WEARABLE.read_bytes()
    runner = TinyLSTM(model, engine="portable")
    x = np.random.default_rng(3).integers(-128, 128, (CALLS, runner.input_size)).tolist()
    expected = [value for row in x for value in runner.step(row)]
    context = browser.new_context()
    page = context.new_page()
    page.goto(service.address)
    found = page.evaluate(RUN, [list(model), [value for row in x for value in row]])
    context.close()
    assert found["outputs"] == expected
    assert found["again"] == expected
    assert found["evaluated"] == "forbidden"
    assert found["violations"] == []
