// The page as a whole: its drawers and theme, export, copying, and what Gradio leaves undone.
const root = document.documentElement;
const body = document.body;
const words = props;
root.lang = words.lang;

const THEME = "wenju-theme";

function setTheme(dark) {
  body.classList.toggle("dark", dark);
}

const chosen = localStorage.getItem(THEME);
if (chosen) setTheme(chosen === "dark");

function toast(text) {
  const box = element.querySelector(".wj-toast");
  box.textContent = text;
  box.classList.add("wj-shown");
  setTimeout(() => box.classList.remove("wj-shown"), 1800);
}

function download({ name, text }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

watch("value", () => props.value && download(props.value));

const actions = {
  home: () => document.querySelector("#wj-question textarea")?.focus(),
  library: () => {
    const narrow = matchMedia("(max-width: 900px)").matches;
    body.classList.toggle(narrow ? "wj-library-open" : "wj-library-hidden");
    if (body.classList.contains("wj-library-open")) {
      document.querySelector("#wj-library input")?.focus();
    }
  },
  theme: () => {
    const dark = !body.classList.contains("dark");
    setTheme(dark);
    localStorage.setItem(THEME, dark ? "dark" : "light");
  },
  new_chat: () => {
    trigger("new_chat");
    document.dispatchEvent(new Event("wenju:close-source"));
    actions.home();
  },
  export_markdown: () => trigger("export_markdown"),
  export_json: () => trigger("export_json"),
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  event.preventDefault();
  element.querySelector(".wj-menu").open = false;
  actions[button.dataset.do]();
});

document.addEventListener("click", (event) => {
  const menu = element.querySelector(".wj-menu");
  if (menu && !menu.contains(event.target)) menu.open = false;
});

// A completed question and a copied answer are links in the message itself.
function write(text) {
  const box = document.querySelector("#wj-question textarea");
  const setValue = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
  setValue.call(box, text);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
}

function plainText(answer) {
  const lines = [];
  const text = answer.querySelector(".wj-text").cloneNode(true);
  for (const link of text.querySelectorAll(".wj-cite")) link.textContent = `[${link.textContent}]`;
  lines.push(text.textContent);
  for (const figure of answer.querySelectorAll(".wj-quote")) {
    const caption = figure.querySelector("figcaption").cloneNode(true);
    const link = caption.querySelector(".wj-cite");
    link.textContent = `[${link.textContent}]`;
    lines.push(`${caption.textContent.trim()}：“${figure.querySelector("blockquote").textContent}”`);
  }
  return lines.join("\n");
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS and off the own machine a page has no clipboard.
    const box = document.createElement("textarea");
    box.value = text;
    body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  toast(words.copied);
}

document.addEventListener(
  "click",
  (event) => {
    const link = event.target.closest('a[href^="#ask="], a[href="#copy"]');
    if (!link || !link.closest("#wj-chat")) return;
    event.preventDefault();
    const address = link.getAttribute("href");
    if (address === "#copy") copy(plainText(link.closest(".wj-answer")));
    else write(decodeURIComponent(address.slice("#ask=".length)));
  },
  true,
);

document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches?.('a[role="button"]')) {
    event.preventDefault();
    event.target.click();
  }
});

// Enter chooses a word while an input method is open; it must not send the question.
addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) {
      event.stopImmediatePropagation();
    }
  },
  true,
);

// One answer at a time: another question, asked meanwhile, would be lost with the conversation
// that it began from.
const busy = () => body.classList.contains("wj-busy");

function hold(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

addEventListener(
  "keydown",
  (event) => {
    const sends = event.key === "Enter" && !event.shiftKey && event.target.closest?.("#wj-question");
    if (sends && busy() && event.target.matches("textarea")) hold(event);
  },
  true,
);
addEventListener(
  "click",
  (event) => {
    const asks = event.target.closest?.("#wj-chat button, #wj-question .submit-button");
    const begins = event.target.closest?.('[data-do="new_chat"]');
    if ((asks || begins) && busy()) hold(event);
  },
  true,
);

// Gradio closes the stream of results when nothing is pending. What begins at that very moment
// is answered to nobody, until something else begins and opens the stream again: so a moment
// after everything that begins, something does.
const NUDGES_MS = [1_000, 4_000];
let nudges = 0;

function nudge() {
  nudges += 1;
  trigger("nudge");
}

new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.name.includes("/queue/join")) continue;
    if (nudges) nudges -= 1;
    else NUDGES_MS.forEach((after) => setTimeout(nudge, after));
  }
}).observe({ type: "resource" });

// Gradio names its buttons in English unless the browser says "zh-CN", and edits a message as
// it is written for the page: its characters are put back before they are shown.
const NAMES = [
  [/^(retry|重试)/i, words.retry],
  [/^(undo|撤)/i, words.undo],
  [/^(edit|编辑)/i, words.edit],
  [/^(dislike|踩|不喜欢)/i, words.dislike],
  [/^(submit|提交)/i, words.submit],
  [/^(cancel|取消)/i, words.cancel],
];

function rename(button) {
  const given = button.getAttribute("aria-label") || button.title;
  const found = NAMES.find(([pattern]) => pattern.test(given || ""));
  if (!found || given === found[1]) return;
  button.setAttribute("aria-label", found[1]);
  button.title = found[1];
}

const decoded = new WeakSet();

function decode(box) {
  if (decoded.has(box)) return;
  decoded.add(box);
  const plain = box.value.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
  const setValue = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
  setValue.call(box, plain);
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

function label(node, text) {
  if (node.getAttribute("aria-label") !== text) node.setAttribute("aria-label", text);
}

function tidy() {
  const chat = document.querySelector("#wj-chat");
  if (!chat) return;
  chat.querySelectorAll('[role="log"]').forEach((node) => label(node, words.conversation));
  // A list whose items are buttons is none.
  chat.querySelectorAll(".examples").forEach((node) => node.removeAttribute("role"));
  // Gradio reads out a message as it is written for the page.
  chat.querySelectorAll('[data-testid="user"]').forEach((node) => label(node, words.asked));
  chat.querySelectorAll('[data-testid="bot"]').forEach((node) => label(node, words.answered));
  chat.querySelectorAll("button[aria-label], button[title]").forEach(rename);
  chat.querySelectorAll("textarea").forEach(decode);
}

new MutationObserver(tidy).observe(body, {
  childList: true,
  subtree: true,
  attributeFilter: ["aria-label"],
});
tidy();

// A browser tells of no change when the same file is chosen again, which may hold other words now.
addEventListener("change", ({ target }) => {
  if (target.matches?.('#wj-library input[type="file"]')) setTimeout(() => (target.value = ""));
});

// Files may be dropped on the library; Gradio's button takes them only by a click.
const isFiles = (event) => event.dataTransfer?.types.includes("Files");
const library = () => document.querySelector("#wj-library");

addEventListener("dragover", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  library()?.classList.toggle("wj-drop", Boolean(document.querySelector("#wj-upload")));
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) library()?.classList.remove("wj-drop");
});
addEventListener("drop", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  library()?.classList.remove("wj-drop");
  const input = document.querySelector('#wj-library input[type="file"]');
  if (!input) return;
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
