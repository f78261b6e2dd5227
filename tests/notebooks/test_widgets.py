"""Tests of the panel in a browser: a click on Train in JupyterLab, and a curve that grows until the bar is full."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOKEN = "only-for-this-test"
PATIENCE = 60_000  # milliseconds for any single step, on two busy cores

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the system's package `chromium`")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a one-cell notebook in JupyterLab on loopback, with temporary folders for all its files."""
    root = tmp_path_factory.mktemp("jupyter")
    (root / "notebooks").mkdir()
    cell = new_code_cell("import study\n\npanel = study.Panel()\npanel.widget")
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(new_notebook(cells=[cell], metadata=kernel), root / "notebooks" / "panel.ipynb")
    quiet = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    options = ("--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", f"--IdentityProvider.token={TOKEN}")
    with subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options, f"--ServerApp.root_dir={root / 'notebooks'}"],
        env={**os.environ, **{name: str(root / folder) for name, folder in folders.items()}},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield f"{_said_address(server)}/lab/tree/panel.ipynb?token={TOKEN}"
        finally:
            server.terminate()


def _said_address(server: "subprocess.Popen[str]") -> str:
    """Return the address that the server prints once it listens."""
    said = []
    assert server.stderr is not None
    for line in server.stderr:
        said.append(line)
        if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()  # a full pipe would block the server
            return found[1]
    pytest.fail("JupyterLab ended: " + "".join(said))


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """Yield the page of the opened notebook, once its cell has run and the panel is shown."""
    arguments = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_page(viewport={"width": 1280, "height": 1100})
        opened.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        opened.goto(address)
        opened.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # a cell that is run before that is lost
        opened.locator(".jp-CodeCell .cm-content").first.click()
        opened.keyboard.press("Shift+Enter")
        opened.get_by_role("button", name="Train").wait_for()
        yield opened
        browser.close()


def choose(page: Page, name: str, value: str) -> None:
    """Fill in the panel's field next to the label `name`."""
    box = page.locator(".jupyter-widgets.widget-inline-hbox", has_text=name).locator("input")
    box.fill(value)
    box.press("Tab")


def test_a_click_trains_and_the_curve_grows_until_the_bar_is_full(page: Page, tmp_path: Path) -> None:
    choose(page, "epochs", "2")
    page.get_by_role("button", name="Train").click()
    curve = page.locator(".jp-OutputArea img.widget-image")
    curve.wait_for()
    first = curve.get_attribute("src")

    expect(page.get_by_text(re.compile(r"done: step 126 of 126, validation loss"))).to_be_visible()
    expect(page.locator(".progress-bar")).to_have_attribute("style", re.compile(r"width: 100%"))
    expect(curve).to_be_visible()
    assert curve.get_attribute("src") != first
    page.screenshot(path=tmp_path / "panel.png")


def test_a_wrong_choice_is_one_line_that_is_seen(page: Page) -> None:
    choose(page, "learning rate", "0")
    page.get_by_role("button", name="Train").click()

    expect(page.get_by_text("learning_rate: must be greater than 0, but got 0.0", exact=True)).to_be_visible()
    expect(page.locator(".jp-OutputArea").get_by_text("Traceback")).to_have_count(0)


def test_stop_ends_a_run_before_its_end(page: Page) -> None:
    choose(page, "learning rate", "0.05")
    choose(page, "epochs", "500")
    page.get_by_role("button", name="Train").click()
    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_text(re.compile(r"stopped: step \d+ of 31500"))).to_be_visible()
