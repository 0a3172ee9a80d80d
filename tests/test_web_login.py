"""The login page in a real browser, which has rules of its own for cookies and forms."""

import pytest

from page_browser import chromium, tab
from web_server import process

TOKEN = "a-token-that-is-long"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("login")
    (folder / "tokens").write_text(f"alice: {TOKEN}\n")
    with process(folder / "data", tokens=folder / "tokens") as (_, url):
        yield url


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def test_a_token_on_the_login_page_opens_the_studies(address, browser):
    with tab(browser) as page:
        page.goto(address)
        assert page.url == f"{address}login"
        page.get_by_label("Your token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector("#who:not(:empty)")
        assert page.url == address
        assert page.inner_text("#who").startswith("alice")
        assert page.evaluate("document.cookie") == ""


def test_a_link_with_a_token_opens_the_studies_and_forgets_it(address, browser):
    with tab(browser) as page:
        page.goto(f"{address}?token={TOKEN}")
        page.wait_for_selector("#who:not(:empty)")
        assert page.url == address
        page.reload()
        page.wait_for_selector("#who:not(:empty)")


def test_another_sites_form_does_nothing(address, browser):
    form = f"<form id=f method=post action='{address}logout'></form><script>f.submit()</script>"
    with tab(browser) as page:
        page.goto(f"{address}?token={TOKEN}")
        page.wait_for_selector("#who:not(:empty)")
        other = page.context.new_page()
        other.goto(f"data:text/html,{form}")
        other.wait_for_url(f"{address}logout")
        assert "another site sent this" in other.content()
        page.reload()
        page.wait_for_selector("#who:not(:empty)")
