"""What a look costs: CPU of an idle scheduler with and without Chromium at its status page."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import urllib.request

import systems
from accounting import cpu_seconds

from workloads.program import expect, run

TITLE = "the dashboard of two idle workers, looked at by one Chromium"
SYSTEMS = ["shoal", "dask-pages"]
FIGURES = {
    "alone": ("% of a core, nobody looks", "lower"),
    "looked_at": ("% of a core, one viewer", "lower"),
}
SECONDS = 20.0


def share(pids, seconds=SECONDS):
    """Return the percent of a core that processes take over some seconds."""
    before, start = sum(map(cpu_seconds, pids)), time.perf_counter()
    time.sleep(seconds)
    return 100 * (sum(map(cpu_seconds, pids)) - before) / (time.perf_counter() - start)


def main(name):
    """Measure both."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    expect("Chromium", chromium is None, False)
    with systems.start(name, workers=2) as system, tempfile.TemporaryDirectory() as profile:
        roles = system.roles()
        # The incumbent's scheduler is in the client's process, which does nothing meanwhile.
        pids = roles.get("scheduler", roles["client"])
        link = system.client.dashboard_link
        urllib.request.urlopen(link).read()  # what is loaded at the first visit is loaded
        time.sleep(3)
        alone = share(pids)
        command = [chromium, "--headless", "--no-sandbox", f"--user-data-dir={profile}"]
        browser = subprocess.Popen(
            [*command, "--remote-debugging-port=0", link],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(8)
            looked_at = share(pids)
        finally:
            browser.terminate()
            browser.wait()
    return {"alone": alone, "looked_at": looked_at}


if __name__ == "__main__":
    run(main)
