/*
 * app -- the page: newsgroups, threads, an article, and the two forms.
 *
 * What comes from the server is put in by textContent only.
 */
import {Nntp, NntpError} from "./nntp.js";
import {articleMake, articleParse, overviewParse, quoted, referencesFor,
  threadsMake} from "./article.js";

const ARTICLES_SHOWN = 500; /* the latest of a newsgroup */
const RECONNECT_MS = 3000;

const $ = (id) => document.getElementById(id);
let news = null;          /* the connection */
let group = null;         /* the newsgroup that is open */
let shown = null;         /* the article that is open */
let answers = null;       /* the article that a post follows up to */
let account = null;       /* {user, password}, in this page's memory only */

function element(name, className, text) {
  const one = document.createElement(name);
  if (className) one.className = className;
  if (text !== undefined) one.textContent = text;
  return one;
}

function say(text) {
  $("state").textContent = text;
}

function fault(error) {
  if (error instanceof NntpError && error.code === 480) loginOpen();
  else say(error.message);
}

/* Run what a button asks for; what goes wrong is said. */
const doing = (action) => (...words) => action(...words).catch(fault);

/* --- the connection --- */

async function login() {
  const user = await news.command(`AUTHINFO USER ${account.user}`);
  if (user.code === 281) return;
  if (user.code !== 381) throw new NntpError(user);
  await news.expect(`AUTHINFO PASS ${account.password}`, 281);
}

async function capabilitiesTake() {
  const {lines} = await news.expect("CAPABILITIES", 101);
  const words = lines.map((line) => new TextDecoder().decode(line));
  $("login-open").hidden = !words.some((line) => line.startsWith("AUTHINFO"));
  $("post-open").hidden = !words.includes("POST");
}

async function connect() {
  const url = new URL("/", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  news = new Nntp();
  news.onclose = () => {
    say("The connection ended; it is tried again …");
    setTimeout(doing(connect), RECONNECT_MS);
  };
  const greeting = await news.open(url);
  if (greeting.code >= 400) throw new NntpError(greeting);
  if (account) await login();
  await capabilitiesTake();
  say(greeting.text);
  await groupsShow();
  if (group) await news.expect(`GROUP ${group}`, 211);
}

/* --- newsgroups --- */

async function groupsShow() {
  const {lines} = await news.expect("LIST ACTIVE", 215);
  const list = element("ol");
  const names = lines.map((line) => new TextDecoder().decode(line).split(" "));
  for (const [name, high, low] of names.sort((a, b) => a[0] < b[0] ? -1 : 1)) {
    const button = element("button");
    button.dataset.group = name;
    button.append(element("span", "name", name),
      element("span", "count", String(Math.max(0, high - low + 1))));
    button.addEventListener("click", doing(() => groupOpen(name)));
    const row = element("li");
    row.append(button);
    list.append(row);
  }
  $("groups").replaceChildren(names.length ? list
    : element("p", "empty", "There are no newsgroups."));
  currentMark("groups", (one) => one.dataset.group === group);
}

function currentMark(place, is) {
  for (const one of $(place).querySelectorAll("button"))
    one.toggleAttribute("aria-current", is(one));
}

async function groupOpen(name) {
  const {text} = await news.expect(`GROUP ${name}`, 211);
  const [, low, high] = text.split(" ").map(Number);
  const first = Math.max(low, high - ARTICLES_SHOWN + 1);
  const over = await news.command(`OVER ${first}-${high}`);
  if (![224, 420, 423].includes(over.code)) throw new NntpError(over);
  group = name;
  currentMark("groups", (one) => one.dataset.group === name);
  const roots = threadsMake(over.lines.map(overviewParse));
  $("threads").replaceChildren(roots.length ? threadList(roots.reverse())
    : element("p", "empty", "There are no articles here."));
}

/* A From without its address. */
function nameOf(from) {
  return from.replace(/\s*<[^>]*>$/, "").replace(/^"(.*)"$/, "$1") || from;
}

function threadList(overviews) {
  const list = element("ol");
  for (const one of overviews) {
    const button = element("button");
    button.dataset.number = one.number;
    button.append(element("span", "subject", one.subject || "(no subject)"),
      element("span", "from", nameOf(one.from)));
    button.addEventListener("click", doing(() => articleOpen(one.number)));
    const row = element("li");
    row.append(button);
    if (one.replies.length) row.append(threadList(one.replies));
    list.append(row);
  }
  return list;
}

/* --- the article --- */

async function articleOpen(number) {
  const {lines} = await news.expect(`ARTICLE ${number}`, 220);
  shown = await articleParse(lines);
  const head = element("dl");
  for (const [name, value] of [["From", shown.from], ["Date", shown.date],
    ["Newsgroups", shown.newsgroups]])
    head.append(element("dt", "", name), element("dd", "", value));
  const text = element("pre");
  for (const line of shown.text.split("\n"))
    text.append(element("span", line.startsWith(">") ? "quote" : "", line + "\n"));
  const reply = element("button", "follow-up", "Follow up");
  reply.hidden = $("post-open").hidden;
  reply.addEventListener("click", () => postOpen(shown));
  $("article").replaceChildren(element("h2", "subject", shown.subject), head,
    text, ...partsShow(shown.parts), reply);
  $("article").scrollTop = 0;
  currentMark("threads", (one) => one.dataset.number === String(number));
}

function partsShow(parts) {
  return parts.map((one) =>
    element("p", "parts", `Not shown: ${one.name || "a part"} (${one.type})`));
}

/* --- the forms --- */

function formOpen(dialog) {
  dialog.querySelector(".fault").textContent = "";
  if (!dialog.open) dialog.showModal();
}

function loginOpen() {
  formOpen($("login"));
}

function postOpen(article) {
  const form = $("post").querySelector("form");
  answers = article;
  form.newsgroups.value = article ? article.followupTo || article.newsgroups
    : group ?? "";
  form.subject.value = !article ? ""
    : /^re:/i.test(article.subject) ? article.subject : `Re: ${article.subject}`;
  form.text.value = article ? quoted(article) : "";
  formOpen($("post"));
}

/* What a form does; where that fails the form stays, and says why. */
function onSubmit(dialog, action) {
  const form = dialog.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await action(form);
      dialog.close();
    } catch (error) {
      if (error.code === 480) loginOpen();
      dialog.querySelector(".fault").textContent = error.message;
    }
  });
  dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
}

onSubmit($("login"), async (form) => {
  if (/\s/.test(form.user.value) || /[\r\n]/.test(form.password.value))
    throw new Error("A name has no spaces.");
  account = {user: form.user.value, password: form.password.value};
  try {
    await login();
  } catch (error) {
    account = null;
    throw error;
  }
  form.password.value = "";
  await capabilitiesTake();
  say(`Logged in as ${account.user}.`);
  await groupsShow();
});

onSubmit($("post"), async (form) => {
  await news.post(articleMake({
    from: form.from.value, newsgroups: form.newsgroups.value,
    subject: form.subject.value, text: form.text.value,
    references: answers ? referencesFor(answers) : null,
  }));
  say("The article is posted.");
  form.text.value = "";
  await groupsShow();
  if (group) await groupOpen(group);
});

$("login-open").addEventListener("click", loginOpen);
$("post-open").addEventListener("click", () => postOpen(null));
doing(connect)();
