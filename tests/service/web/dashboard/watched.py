"""Watched: a browser's page that remembers every complaint and every request."""

from __future__ import annotations

import time

from playwright.sync_api import ConsoleMessage, Page, Request

_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Watched:
    """A page, what its console complained of, and what it asked of others than the service."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.foreign_requests: list[str] = []
        page.add_init_script(_REPORT_VIOLATIONS)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note_request)

    def open(self, path: str) -> Page:
        """Goes to a page of the service and waits until its figures are drawn."""
        self.page.goto(self.url + path)
        self.wait_for(
            "[...document.querySelectorAll('[data-figure]')].every((plot) => plot.data !== undefined)", True
        )
        return self.page

    def wait_for(self, script: str, value: object, *, seconds: float = 60.0) -> None:
        """Waits until a script gives a value.

        Playwright's own way evaluates text inside the page, which the page's policy forbids.
        """
        deadline = time.monotonic() + seconds
        while (found := self.page.evaluate(script)) != value:
            assert time.monotonic() < deadline, f"{script} is {found!r}, not {value!r}"
            self.page.wait_for_timeout(50)

    def points(self, kind: str) -> int:
        """Returns how many marks of a kind the front's figure has."""
        found: int = self.page.evaluate(
            "kind => document.getElementById('front').data.find((t) => t.name === kind)?.x.length ?? 0", kind
        )
        return found

    def width_of_content(self) -> int:
        """Returns how wide the page would like to be, in pixels."""
        wanted: int = self.page.evaluate("document.documentElement.scrollWidth")
        return wanted

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.foreign_requests.append(request.url)
