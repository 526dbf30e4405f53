// The source behind a citation. The server cuts the text: its offsets count code points, while
// JavaScript counts UTF-16 units. Text is only ever set as text.
const words = props;
const MORE = 8000;
let origin = null;
let shown = null;
let opening = 0;

const at = (selector) => element.querySelector(selector);

function parse(address) {
  const found = /^#cite=([^:]+):(\d+)-(\d+)(?::([0-9a-f]{8}))?$/.exec(address);
  if (!found) return null;
  return {
    document: decodeURIComponent(found[1]),
    start: Number(found[2]),
    end: Number(found[3]),
    check: found[4] ?? "",
  };
}

function make(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function visible(open) {
  document.body.classList.toggle("wj-source-open", open);
}

function close() {
  if (!document.body.classList.contains("wj-source-open")) return;
  visible(false);
  if (origin?.isConnected) origin.focus();
}

// The citations of the answer that the link stands in, each once.
function siblings(link) {
  const answer = link.closest?.(".wj-answer");
  if (!answer || !link.matches(".wj-cite")) return [];
  const links = [...answer.querySelectorAll(".wj-cite")];
  return [...new Map(links.map((each) => [each.getAttribute("href"), each])).values()];
}

function pills(link) {
  const address = link.getAttribute?.("href");
  const all = siblings(link).map((each) => {
    const pill = make("button", "wj-pill", each.textContent);
    pill.type = "button";
    pill.setAttribute("aria-label", `${words.citation} ${each.textContent}`);
    const current = each.getAttribute("href") === address;
    if (current) pill.setAttribute("aria-current", "true");
    pill.addEventListener("click", () => open(parse(each.getAttribute("href")), each, origin));
    return pill;
  });
  at(".wj-pills").replaceChildren(...all);
  at(".wj-pills").hidden = all.length < 2;
}

function moreButton(text, action) {
  const button = make("button", "wj-more", text);
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

async function text(start, end) {
  let answer;
  try {
    answer = await server.get_more({ document: shown.document, start, end });
  } catch {
    answer = { problem: words.failed };
  }
  if (answer.problem) {
    at(".wj-warning").textContent = answer.problem;
    return null;
  }
  return answer.text;
}

async function earlier() {
  const box = at(".wj-text-box");
  const from = Math.max(0, shown.from - MORE);
  const more = await text(from, shown.from);
  if (more === null) return;
  const below = box.scrollHeight - box.scrollTop;
  const before = at(".wj-before");
  before.textContent = more + before.textContent;
  shown.from = from;
  limits();
  box.scrollTop = box.scrollHeight - below;
}

async function later() {
  const to = Math.min(shown.length, shown.to + MORE);
  const more = await text(shown.to, to);
  if (more === null) return;
  at(".wj-after").textContent += more;
  shown.to = to;
  limits();
}

function limits() {
  at(".wj-earlier").hidden = shown.from <= 0;
  at(".wj-later").hidden = shown.to >= shown.length;
}

function render(answer) {
  const box = at(".wj-text-box");
  at(".wj-panel-title").textContent = answer.title || words.heading;
  at(".wj-where").textContent = answer.where ?? "";
  at(".wj-warning").textContent = answer.warning || answer.problem || "";
  box.replaceChildren();
  if (answer.length === undefined) return;
  const before = moreButton(words.earlier, earlier);
  const after = moreButton(words.later, later);
  before.classList.add("wj-earlier");
  after.classList.add("wj-later");
  const page = make("div", "wj-page");
  page.append(make("span", "wj-before", answer.before));
  if (answer.quote) page.append(make("mark", "wj-mark", answer.quote));
  page.append(make("span", "wj-after", answer.after));
  box.replaceChildren(before, page, after);
  limits();
  const mark = at(".wj-mark");
  if (mark) {
    const top = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
    box.scrollTop += top - Math.max(24, (box.clientHeight - mark.offsetHeight) / 3);
  } else {
    box.scrollTop = 0;
  }
}

async function open(place, link, from) {
  const turn = ++opening;
  origin = from;
  visible(true);
  pills(link);
  // What was shown before must not stand under the new citation's name while it is fetched.
  render({ where: words.loading });
  at(".wj-panel-title").focus({ preventScroll: true });
  let answer;
  try {
    answer = await server.get_source(place);
  } catch {
    answer = { problem: words.failed };
  }
  // A click that came later has taken over.
  if (turn !== opening) return;
  shown = { ...place, ...answer };
  render(answer);
}

document.addEventListener(
  "click",
  (event) => {
    const link = event.target.closest?.('a[href^="#cite="]');
    if (!link) return;
    event.preventDefault();
    const place = parse(link.getAttribute("href"));
    if (place) open(place, link, link);
  },
  true,
);

document.addEventListener("wenju:open", (event) => {
  const { from, ...place } = event.detail;
  document.body.classList.remove("wj-library-open");
  open(place, from, from);
});
document.addEventListener("wenju:close-source", () => visible(false));
element.addEventListener("click", (event) => event.target.closest(".wj-close") && close());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
});
