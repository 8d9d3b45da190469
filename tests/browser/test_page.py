"""The page, in Chromium: newsgroups, articles, posting, as a person does."""
import glob
import os
import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from support.nntp import Client
from support.server import TOP, Server, free_port
from support.wait import wait_until


FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--window-size=1200,800"]
PATIENCE = 30


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """A server with the articles of tests/data and a hostile one."""
    port = free_port()
    one = Server("--group", "local.test", "--group", "local.other",
                 "--http-port", str(port), "--peer", "127.0.0.1",
                 conf=["artcutoff = 0"])
    one.http = port
    articles = tmp_path_factory.mktemp("articles")
    for path in glob.glob(os.path.join(TOP, "tests", "data", "articles", "*")):
        if os.path.basename(path) != "cancel":
            shutil.copy(path, articles)
    (articles / "hostile").write_bytes(HOSTILE)
    try:
        one.start()
        done = one.newsimport("--quiet", str(articles))
        assert done.returncode == 0, done.stderr
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="module")
def members():
    """A server that nobody reads without an account."""
    port = free_port()
    one = Server("--group", "local.members", "--http-port", str(port),
                 "--anonymous", "none", "--user", "alice:geheim",
                 "--user", "rita:geheim:reader")
    one.http = port
    try:
        yield one.start()
    finally:
        one.remove()


HOSTILE = b"""Path: not-for-mail
From: <img src=x onerror=document.title='owned'> <evil@example.org>
Newsgroups: local.test
Subject: <script>document.title='owned'</script>
Date: Mon, 23 Nov 2026 10:30:00 +0000
Message-ID: <hostile.1@test.invalid>
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<p>Hello <b>there</b></p><script>document.title='owned'</script>
<img src=x onerror="document.title='owned'">
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS, "--user-data-dir="
                 + str(tmp_path_factory.mktemp("chromium"))]:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        service=Service(shutil.which("chromedriver")), options=options)
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver, place):
        self.driver = driver
        self.place = place
        driver.get_log("browser")

    def open(self, bridge):
        self.driver.get(f"http://127.0.0.1:{bridge.http}/")
        return self

    def wait(self, what):
        """Until what() is true.  The page may draw itself anew at any moment:
        an element that is no longer in it is looked for again."""
        return WebDriverWait(
            self.driver, PATIENCE,
            ignored_exceptions=[StaleElementReferenceException]).until(
                lambda _: what())

    def find(self, selector):
        return self.wait(lambda: next(iter(self.driver.find_elements(
            By.CSS_SELECTOR, selector)), None))

    def text(self, selector):
        return self.wait(lambda: [self.find(selector).get_attribute(
            "textContent")])[0]

    def click(self, selector):
        self.wait(lambda: [self.find(selector).click()])

    def subjects(self):
        return self.wait(lambda: [[
            one.get_attribute("textContent") for one in
            self.driver.find_elements(By.CSS_SELECTOR, "#threads .subject")
        ]])[0]

    def group(self, name):
        self.click(f'[data-group="{name}"]')
        self.wait(lambda: self.driver.find_elements(
            By.CSS_SELECTOR, "#threads button, #threads .empty"))

    def thread(self, subject):
        """The button of the article with this Subject."""
        for one in self.driver.find_elements(By.CSS_SELECTOR,
                                             "#threads button"):
            if one.find_element(By.CSS_SELECTOR, ".subject").get_attribute(
                    "textContent") == subject:
                return one
        return None

    def article(self, subject):
        """Open the article with this Subject."""
        self.wait(lambda: [self.driver.execute_script(
            "arguments[0].click()", self.thread(subject))])
        self.wait(lambda: self.thread(subject).get_attribute("aria-current")
                  is not None)

    def fill(self, dialog, **values):
        for name, value in values.items():
            field = self.find(f'#{dialog} [name="{name}"]')
            field.clear()
            field.send_keys(value)

    def submit(self, dialog):
        self.click(f'#{dialog} [type="submit"]')

    def picture(self, name):
        self.driver.save_screenshot(str(self.place / f"{name}.png"))

    def log_in(self, user, password):
        self.wait(lambda: self.find("#login").get_attribute("open"))
        self.fill("login", user=user, password=password)
        self.submit("login")

    def is_shown(self, selector):
        return self.wait(lambda: [self.find(selector).is_displayed()])[0]

    def faults(self):
        """What the browser complained of: scripts, the policy."""
        return [one["message"] for one in self.driver.get_log("browser")
                if one["level"] == "SEVERE"
                and "favicon.ico" not in one["message"]]


@pytest.fixture
def browser(chromium, tmp_path):
    one = Page(chromium, tmp_path)
    yield one
    assert one.faults() == []


@pytest.fixture
def page(browser, bridge):
    return browser.open(bridge)


def test_newsgroups_are_listed_and_an_8_bit_article_is_read(page):
    page.group("local.test")
    page.article("Grüße")
    page.picture("latin-1")
    assert "Jörg Müller" in page.text("#article dd")
    assert "Ohne MIME, wie 1993: Grüße." in page.text("#article pre")


def test_an_article_in_utf_8_is_read(page):
    page.group("local.test")
    page.article("Grüße aus Köln")
    assert page.text("#article pre").startswith("Schöne Grüße — und 5 €.")


def test_a_mime_article_is_decoded_and_its_attachment_is_named(page):
    page.group("local.test")
    page.article("Grüße with an attachment")
    page.picture("mime")
    assert "Jörg Müller <joerg@example.org>" == page.text("#article dd")
    assert "Schöne Grüße" in page.text("#article pre")
    assert "no MIME" not in page.text("#article pre")
    assert "dots.bin (application/octet-stream)" in page.text(".parts")


def test_what_an_article_says_is_text_and_runs_nothing(page):
    page.group("local.test")
    page.article("<script>document.title='owned'</script>")
    page.picture("hostile")
    assert "Hello there" in page.text("#article pre")
    assert page.driver.title == "News"
    assert page.driver.find_elements(
        By.CSS_SELECTOR, "#article img, #article script, #article b") == []


def test_dots_at_the_begin_of_lines_are_those_of_the_article(page):
    with open(os.path.join(TOP, "tests/data/articles/dots"), "rb") as file:
        head, body = file.read().decode().split("\n\n", 1)
    page.group("local.test")
    page.article(next(line[len("Subject: "):] for line in head.split("\n")
                      if line.startswith("Subject: ")))
    assert page.text("#article pre").rstrip("\n") == body.rstrip("\n")


def test_a_post_and_its_follow_up_are_seen_in_a_thread(page, bridge):
    page.group("local.other")
    page.click("#post-open")
    page.fill("post", **{"from": "Zoë <zoe@example.org>",
                         "subject": "Schöne Grüße, 日本語",
                         "text": "first line\n.\n.dotted\nlast: ü"})
    page.submit("post")
    page.wait(lambda: "Schöne Grüße, 日本語" in page.subjects())
    page.article("Schöne Grüße, 日本語")
    page.picture("posted")
    assert page.text("#article dd") == "Zoë <zoe@example.org>"
    assert page.text("#article pre").startswith(
        "first line\n.\n.dotted\nlast: ü")

    page.click(".follow-up")
    text = page.find('#post [name="text"]').get_attribute("value")
    assert "> first line" in text and "> .dotted" in text
    page.submit("post")
    page.wait(lambda: "Re: Schöne Grüße, 日本語" in page.subjects())
    page.picture("thread")
    assert page.find("#threads ol ol .subject").text.startswith("Re: ")
    with Client(bridge.port) as reader:
        reader.command("GROUP local.other")
        first, second = reader.long("OVER 1-2")[1]
    assert first.split(b"\t")[4] == second.split(b"\t")[5]


def test_a_post_that_is_refused_says_why_and_keeps_the_text(page):
    page.group("local.other")
    page.click("#post-open")
    page.fill("post", **{"from": "me <me@example.org>", "subject": "lost?",
                         "newsgroups": "no.such.group", "text": "kept"})
    page.submit("post")
    page.wait(lambda: page.text("#post .fault") != "")
    assert page.find('#post [name="text"]').get_attribute("value") == "kept"
    page.click("#post .cancel")


def test_a_wrong_password_is_told_and_a_right_one_lets_in(browser, members):
    page = browser.open(members)
    # It is asked for at once: nothing can be read without.
    page.log_in("alice", "wrong")
    page.wait(lambda: "Authentication failed" in page.text("#login .fault"))
    page.picture("wrong-password")
    assert page.find("#login").get_attribute("open")
    assert page.driver.find_elements(By.CSS_SELECTOR, "[data-group]") == []
    page.log_in("alice", "geheim")
    page.wait(lambda: page.text("#state") == "Logged in as alice.")
    assert page.find("#login").get_attribute("open") is None
    assert not page.is_shown("#login-open")
    page.group("local.members")
    page.picture("logged-in")


def test_who_has_logged_in_posts_and_follows_up(browser, members):
    page = browser.open(members)
    page.log_in("alice", "geheim")
    page.wait(lambda: page.text("#state") == "Logged in as alice.")
    page.group("local.members")
    page.click("#post-open")
    page.fill("post", **{"from": "Alice <alice@example.org>",
                         "subject": "Our first", "text": "Hello, members."})
    page.picture("writing")
    page.submit("post")
    page.wait(lambda: page.subjects() == ["Our first"])
    page.article("Our first")
    page.click(".follow-up")
    page.fill("post", text="And hello again.")
    page.submit("post")
    page.wait(lambda: page.subjects() == ["Our first", "Re: Our first"])
    page.article("Re: Our first")
    page.picture("follow-up")
    assert page.text("#article pre").startswith("And hello again.")
    with Client(members.port) as reader:
        assert reader.command("AUTHINFO USER rita").startswith("381")
        assert reader.command("AUTHINFO PASS geheim").startswith("281")
        assert reader.command("GROUP local.members").startswith("211 2 1 2 ")


def test_a_login_outlives_a_connection(browser, members):
    """The page logs in again by itself when the bridge was away."""
    page = browser.open(members)
    page.log_in("alice", "geheim")
    page.wait(lambda: page.text("#state") == "Logged in as alice.")
    pid = members.children("wsbridge")[0]
    os.kill(pid, 9)
    page.wait(lambda: "ended" in page.text("#state"))
    page.wait(lambda: "ended" not in page.text("#state"))
    page.group("local.members")
    assert page.is_shown("#post-open")


def test_who_may_only_read_is_offered_no_form_to_write(browser, members):
    page = browser.open(members)
    page.log_in("rita", "geheim")
    page.wait(lambda: page.text("#state") == "Logged in as rita.")
    page.group("local.members")
    assert not page.is_shown("#post-open")


def test_the_page_comes_back_when_the_server_does(page, bridge):
    page.group("local.test")
    pid = bridge.children("wsbridge")[0]
    os.kill(pid, 9)
    wait_until(lambda: pid not in bridge.children("wsbridge")
               and bridge.children("wsbridge"), 20, "a new bridge")
    page.wait(lambda: "ended" not in page.text("#state"))
    page.article("Grüße with an attachment")
