// The list of documents. Names and titles come from files: they are only ever text here.
const words = props;
let documents = [];
let asked = "";

const at = (selector) => element.querySelector(selector);

function make(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function described(item) {
  const added = new Date(item.added);
  const day = Number.isNaN(added.valueOf()) ? item.added : added.toLocaleDateString();
  return `${item.chars.toLocaleString()} ${words.chars} · ${day}`;
}

function button(className, text, action) {
  const node = make("button", className, text);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

function row(item) {
  const line = make("li", "wj-document");
  const open = button("wj-title", item.title || item.id, () =>
    document.dispatchEvent(
      new CustomEvent("wenju:open", { detail: { document: item.id, start: 0, end: 0, from: open } }),
    ),
  );
  open.title = `${words.open}：${item.id}`;
  line.append(open, make("p", "wj-about", `${item.id} · ${described(item)}`));
  if (words.may_change) {
    const remove = button("wj-remove", words.remove, () => confirmRemoval(item, line, remove));
    remove.setAttribute("aria-label", `${words.remove}：${item.id}`);
    line.append(remove);
  }
  return line;
}

function confirmRemoval(item, line, origin) {
  if (line.querySelector(".wj-confirm")) return;
  const box = make("div", "wj-confirm");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", words.really);
  const cancel = button("", words.cancel, () => {
    box.remove();
    origin.focus();
  });
  const sure = button("wj-danger", words.remove, async () => {
    sure.disabled = true;
    let problem;
    try {
      problem = await server.remove_document(item.id);
    } catch {
      problem = words.failed;
    }
    if (problem) {
      sure.disabled = false;
      box.querySelector("p").textContent = problem;
      return;
    }
    await refresh();
    trigger("changed");
    at(".wj-find").focus();
  });
  box.append(make("p", "", words.really), sure, cancel);
  line.append(box);
  cancel.focus();
}

function show() {
  const wanted = asked.trim().toLowerCase();
  const found = documents.filter((item) =>
    `${item.id} ${item.title}`.toLowerCase().includes(wanted),
  );
  at(".wj-documents").replaceChildren(...found.map(row));
  at(".wj-count").textContent = documents.length;
  at(".wj-none").textContent = found.length ? "" : documents.length ? words.no_match : words.none;
}

async function refresh() {
  try {
    documents = await server.list_documents({});
    show();
  } catch {
    at(".wj-none").textContent = words.failed;
  }
}

element.addEventListener("input", (event) => {
  if (!event.target.matches(".wj-find")) return;
  asked = event.target.value;
  show();
});

function close() {
  document.body.classList.remove("wj-library-open");
  document.querySelector('[data-do="library"]')?.focus();
}

element.addEventListener("click", (event) => event.target.closest(".wj-close") && close());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("wj-library-open")) close();
});

watch("value", async () => {
  await refresh();
  trigger("changed");
});
refresh();
