/*
 * article -- what an article says, as text; threads; and a new article.
 *
 * Decoding (RFC 2047, MIME, charsets) is postal-mime's.  Nothing here makes
 * HTML: whoever shows a text puts it in by textContent.
 */
import PostalMime, {decodeWords} from "./vendor/postal-mime/postal-mime.js";
import {htmlToText} from "./vendor/postal-mime/text-format.js";
import {joinLines} from "./nntp.js";

const utf8 = new TextDecoder("utf-8", {fatal: true});
const latin1 = new TextDecoder("windows-1252");

/* Octets without a charset: UTF-8 where they are, else what old programs sent. */
function octetsText(octets) {
  try {
    return utf8.decode(octets);
  } catch {
    return latin1.decode(octets);
  }
}

export function headerText(octets) {
  return decodeWords(octetsText(octets));
}

/* A line of OVER: number, Subject, From, Date, Message-ID, References ... */
export function overviewParse(line) {
  const [number, subject, from, date, id, references] =
    octetsText(line).split("\t");
  return {
    number: Number(number), id, date: new Date(date),
    subject: decodeWords(subject), from: decodeWords(from),
    references: references.split(/\s+/).filter(Boolean), replies: [],
  };
}

/* The roots, oldest first; each article is in .replies of the nearest one of
   its References that is here. */
export function threadsMake(overviews) {
  const byId = new Map(overviews.map((one) => [one.id, one]));
  const roots = [];
  for (const one of overviews) {
    /* An article may name itself, or two name each other: a parent is older
       by number, so no circle can come to be. */
    const parent = one.references.toReversed().map((id) => byId.get(id))
      .find((other) => other && other.number < one.number);
    (parent ? parent.replies : roots).push(one);
  }
  return roots;
}

/* A charset that nobody declared: header lines and body are tried as UTF-8. */
function withCharset(lines) {
  const end = lines.findIndex((line) => line.length === 0);
  const head = lines.slice(0, end < 0 ? lines.length : end)
    .map((line) => octetsText(line));
  const declared = head.some((line) => /^content-type:/i.test(line));
  if (declared) return joinLines(lines);
  const body = octetsText(joinLines(end < 0 ? [] : lines.slice(end + 1)));
  const kept = head.filter((line) => !/^content-transfer-encoding:/i.test(line));
  return [...kept, "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit", "", body].join("\r\n");
}

function mailbox(one) {
  if (!one) return "";
  return one.name && one.address ? `${one.name} <${one.address}>`
    : one.name || one.address || "";
}

/* {subject, from, date, newsgroups, id, references, followupTo, text, parts} */
export async function articleParse(lines) {
  const mail = await PostalMime.parse(withCharset(lines));
  const header = (name) =>
    mail.headers.find((one) => one.key === name)?.value ?? "";
  return {
    subject: mail.subject ?? "", from: mailbox(mail.from),
    date: header("date"), newsgroups: header("newsgroups"),
    id: mail.messageId ?? header("message-id"),
    references: header("references"), followupTo: header("followup-to"),
    /* HTML is not shown: its text is, with every tag left out. */
    text: mail.text ?? htmlToText(mail.html ?? ""),
    parts: mail.attachments.map((one) =>
      ({name: one.filename ?? "", type: one.mimeType})),
  };
}

/* --- writing --- */

function base64(octets) {
  return btoa(String.fromCharCode(...octets));
}

/* RFC 2047: encoded words of at most 75 characters, whole characters each. */
export function headerEncode(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const words = [];
  let word = [];
  for (const character of text) {
    const octets = new TextEncoder().encode(character);
    if (word.length + octets.length > 42) {
      words.push(word);
      word = [];
    }
    word.push(...octets);
  }
  words.push(word);
  return words.map((octets) => `=?UTF-8?B?${base64(octets)}?=`).join("\r\n ");
}

/* A name in a From; the address is ASCII. */
function fromEncode(from) {
  const match = /^(.*?)\s*(<[^<>]*>)$/.exec(from.trim());
  return match ? `${headerEncode(match[1])} ${match[2]}` : headerEncode(from);
}

function oneLine(text) {
  return text.replace(/[\r\n\t]+/g, " ").trim();
}

/* The octets of an article: what a form gave, and what it answers. */
export function articleMake({from, newsgroups, subject, text, references}) {
  const head = [
    `From: ${fromEncode(oneLine(from))}`,
    `Newsgroups: ${oneLine(newsgroups).replace(/\s+/g, "")}`,
    `Subject: ${headerEncode(oneLine(subject))}`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit",
  ];
  if (references) head.push(`References: ${references.join("\r\n ")}`);
  const body = text.replace(/\r\n?|\n/g, "\r\n");
  return new TextEncoder().encode(head.join("\r\n") + "\r\n\r\n" + body + "\r\n");
}

/* RFC 5537, 3.4.3: the first and the latest of a long row are what counts. */
export function referencesFor(article) {
  const ids = article.references.split(/\s+/).filter(Boolean);
  const kept = ids.length > 20 ? [ids[0], ...ids.slice(-19)] : ids;
  return [...kept, article.id];
}

export function quoted(article) {
  const lines = article.text.replace(/\s+$/, "").split("\n");
  return `${article.from} wrote:\n`
    + lines.map((line) => (line.startsWith(">") ? ">" : "> ") + line)
      .join("\n") + "\n\n";
}
