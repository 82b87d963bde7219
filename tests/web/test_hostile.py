"""What hostile pages and files get of a real browser and of the page."""

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.service import IpamdProcess
from tests.web.windows import PATIENCE, Watched

ELSEWHERE = "http://elsewhere.example/"
MILLION_LINES = b"owner,address\n" + b"vm,10.64.0.9\n" * 1_000_000


def at_another_site(page: Page, body: str) -> None:
    """Open a page of another site with this content."""
    page.route(ELSEWHERE, lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(ELSEWHERE)


def test_no_other_site_shows_the_page_in_a_frame(chromium: Browser, filled: IpamdProcess) -> None:
    page = chromium.new_page()
    at_another_site(page, f"<iframe src='{filled.tcp_endpoint}/ui/delete/pool/pods'></iframe>")

    frame = page.frames[1]
    frame.wait_for_load_state()

    assert "Delete" not in frame.content()
    page.close()


def test_a_form_that_another_site_sends_changes_nothing(chromium: Browser, filled: IpamdProcess) -> None:
    filled.create_pool("target", "10.30.0.0/24")
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    action = f"{filled.tcp_endpoint}/ui/delete/pool/target"
    at_another_site(page, f"<form method=post action='{action}'><button>Win a prize</button></form>")
    page.get_by_role("button").click()

    expect(page.get_by_role("alert")).to_contain_text("not sent by a page of ipamd")
    assert filled.http.get("/v1/pools/target").is_success
    page.close()


def tables(chromium: Browser, filled: IpamdProcess) -> Page:
    context = chromium.new_context()
    page = Watched(context, filled.tcp_endpoint).open("/ui/tables")
    page.get_by_label("What it lists").select_option("allocations")
    return page


def test_a_file_with_marks_and_semicolons_is_read_and_formulas_stay_text(
    chromium: Browser, filled: IpamdProcess, scratch: Path
) -> None:
    file = scratch / "excel.csv"
    file.write_bytes("\ufeffowner;address\r\n'=cmd|' /C calc'!A0;10.64.0.150\r\n".encode())
    page = tables(chromium, filled)

    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_label("Table", exact=True)).to_have_value(
        "owner;address\n'=cmd|' /C calc'!A0;10.64.0.150\n"
    )
    page.get_by_role("button", name="Dry run").click()

    expect(page.get_by_role("status")).to_contain_text("1 change")
    expect(page.get_by_role("cell", name="10.64.0.150")).to_contain_text("=cmd|' /C calc'!A0")
    page.get_by_role("button", name="Apply 1 change").click()

    expect(page.get_by_role("status")).to_contain_text("Done.")
    assert [held["address"] for held in filled.allocations(owner="=cmd|' /C calc'!A0")] == ["10.64.0.150"]
    page.context.close()


def test_a_million_lines_are_refused_in_a_sentence_before_they_are_read(
    chromium: Browser, filled: IpamdProcess, scratch: Path
) -> None:
    file = scratch / "large.csv"
    file.write_bytes(MILLION_LINES)
    page = tables(chromium, filled)

    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_role("alert")).to_have_text("large.csv has 12.4 MiB: it is not read.")
    expect(page.get_by_label("Table", exact=True)).to_have_value("")

    page.evaluate(
        """size => {
            const field = document.createElement("input");
            Object.assign(field, {type: "hidden", name: "text", value: "a".repeat(size)});
            document.querySelector("form.sheet").append(field);
        }""",
        len(MILLION_LINES),
    )
    page.get_by_label("Table", exact=True).fill("a")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Too large")).to_be_visible()
    page.context.close()
