"""A test of a running sweep's Ray dashboard in a real browser: its page names each actor after its sweep and trial.

It takes half a minute, and needs a Chromium: `uv run pytest -m slow tests/sweeps/test_ray_dashboard.py`.
"""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from simulation import SLOW_SWEEP
from test_interruption import COMMAND, ENOUGH, HERE
from test_report import CHROMIUM, in_a_browser

from sweeps.cluster.tokens import token_path

pytestmark = [pytest.mark.slow, in_a_browser]
COOKIE = "ray-authentication-token"  # in which Ray's page keeps the token that a user typed


def test_each_actor_is_named_for_its_sweep_and_the_trial_it_began_with(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    (tmp_path / "slow.toml").write_text(SLOW_SWEEP.replace("trials = 8", "trials = 200"))
    sweep = subprocess.Popen(
        [COMMAND, "run", "slow.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert sweep.stdout is not None
        url = next(found[1] for line in sweep.stdout if (found := re.search(r"dashboard (http://\S+)", line)))
        assert next(line for line in sweep.stdout if "trial" in line)  # a trial has reported
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = browser.new_context()
            context.add_cookies([{"name": COOKIE, "value": token_path().read_text().strip(), "url": url}])
            page = context.new_page()
            page.goto(f"{url}/#/actors")
            named = page.get_by_text(re.compile(r"^slow #\d+ x=0\.\d+ \(first of this worker\)$"))
            expect(named.first).to_be_visible(timeout=ENOUGH * 1000)
            assert page.get_by_text("sweep_slow").count() == named.count() >= 1
            browser.close()
    finally:
        sweep.send_signal(signal.SIGINT)
        sweep.wait(ENOUGH)
