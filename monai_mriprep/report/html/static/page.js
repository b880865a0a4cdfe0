"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, inside = document) => inside.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  root.classList.add("js");

  // What is kept in this browser; in memory alone where it keeps nothing, as some do for files.
  const memory = new Map();
  const kept = {
    get(key) {
      try { return localStorage.getItem(key) ?? memory.get(key); } catch { return memory.get(key); }
    },
    set(key, text) {
      memory.set(key, text);
      try { localStorage.setItem(key, text); } catch { /* in memory */ }
    },
  };

  // Theme
  const THEMES = ["automatic", "dark", "light"];
  const THEME = "monai-mriprep:theme";
  function theme(name) {
    if (name === "automatic") delete root.dataset.theme; else root.dataset.theme = name;
    const button = one("[data-do=theme]");
    if (button) button.textContent = `Theme: ${name}`;
  }
  const themeNow = () => (THEMES.includes(kept.get(THEME)) ? kept.get(THEME) : "automatic");
  function nextTheme() {
    kept.set(THEME, THEMES[(THEMES.indexOf(themeNow()) + 1) % THEMES.length]);
    theme(themeNow());
  }
  theme(themeNow());

  // Ratings
  const KEY = `monai-mriprep:ratings:${root.dataset.key}`;
  const CHOICES = ["keep", "look again", "exclude"];
  let ratings = read();
  function read() {
    const found = new Map();
    try {
      for (const [name, rating] of JSON.parse(kept.get(KEY) ?? "[]")) found.set(name, rating);
    } catch { /* not ours */ }
    return found;
  }
  addEventListener("storage", (event) => {  // another page of the same report
    if (event.key !== KEY) return;
    ratings = read();
    items.forEach(showRating);
    countRatings();
  });
  const ratingOf = (name) => ratings.get(name) ?? { choice: "", comment: "" };
  function rate(name, change) {
    const rating = { ...ratingOf(name), ...change };
    if (rating.choice || rating.comment) ratings.set(name, rating); else ratings.delete(name);
    kept.set(KEY, JSON.stringify([...ratings]));
    cardsOf(name).forEach(showRating);
    countRatings();
  }
  const cardsOf = (name) => items.filter((item) => item.dataset.case === name);
  function showRating(item) {
    const { choice, comment } = ratingOf(item.dataset.case);
    for (const [key, text] of [["rating", choice], ["comment", comment]]) {
      if (text) item.dataset[key] = text; else delete item.dataset[key];
    }
    for (const radio of all(".rating [type=radio]", item)) radio.checked = radio.value === choice;
    const field = one(".rating [type=text]", item);
    if (field && field !== document.activeElement) field.value = comment;
  }
  function countRatings() {
    const counts = CHOICES.map((choice) => [[...ratings.values()].filter((rating) => rating.choice === choice).length, choice]);
    one(".rated").textContent = counts.filter(([count]) => count).map((pair) => pair.join(" ")).join(", ");
  }

  // exclude.txt: a case a line, its comment after "#"; the other ratings are comments, and are read again.
  const oneLine = (text) => text.replace(/\s+/g, " ").trim();
  function excludeText() {
    const lines = ["# Cases to exclude, for run, split and export of monai-mriprep: a case a line"];
    for (const [name, { choice, comment }] of [...ratings].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))) {
      const start = choice === "exclude" ? "" : `# ${choice || "comment"}: `;
      lines.push(start + name + (comment ? `  # ${oneLine(comment)}` : ""));
    }
    return lines.join("\n") + "\n";
  }
  function readExclude(text) {
    let count = 0;
    for (const line of text.split(/\r?\n/)) {
      const [, other, rest] = /^\s*(?:#\s*(keep|look again|comment):\s)?(.*)$/.exec(line);
      if (!rest.trim() || /^#(\s|$)/.test(rest.trim())) continue;
      const [, name, comment] = /^(.*?)(?:\s+#(?:\s+(.*))?)?$/.exec(rest.trim());
      rate(name, { choice: other === "comment" ? "" : other ?? "exclude", comment: comment ?? "" });
      count += 1;
    }
    say(`${count} ratings loaded`);
  }
  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([excludeText()], { type: "text/plain" }));
    link.download = "exclude.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // Filter and order. An item is a card, or a line of the index of a report with several pages.
  let items = [];
  let cards = [];
  const texts = new Map();
  function textOf(item) {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  }
  function isOf(item, kind) {
    return kind === "all" || (kind === "rated" ? ratings.has(item.dataset.case) : item.dataset.is.split(" ").includes(kind));
  }
  function filter() {
    const { kind, text } = one(".controls").elements;
    const words = text.value.trim().toLowerCase();
    const counted = one(".index") ? "LI" : "ARTICLE";
    let shown = 0, total = 0;
    for (const item of items) {
      const hide = !isOf(item, kind.value) || (words !== "" && !textOf(item).includes(words));
      if (item.hidden !== hide) item.hidden = hide;
      if (item.tagName !== counted) continue;
      total += 1;
      if (!hide) shown += 1;
    }
    for (const part of all(".index ul")) part.hidden = !one("li:not([hidden])", part);
    one(".index")?.classList.toggle("short", shown < 1000);  // few enough to be laid out at once
    const heading = document.getElementById("cases");
    if (heading.getBoundingClientRect().top < 0 && shown < total) heading.scrollIntoView();
    one(".shown").textContent = shown === total ? `${total} cases` : `${shown} of ${total} cases`;
    one(".nothing").hidden = shown > 0 || total === 0;
  }
  function show(kind) {
    one(`.controls [value="${kind}"]`).checked = true;
    one(".controls [name=text]").value = "";
    filter();
  }
  const names = new Intl.Collator("en", { numeric: true });
  function order(key) {
    const value = (card) => Number(card.dataset[key] ?? Infinity);
    const compare = key === "case" ? (a, b) => names.compare(a.dataset.case, b.dataset.case) : (a, b) => value(a) - value(b);
    cards.sort((a, b) => compare(a, b) || a.dataset.number - b.dataset.number);
    one(".cards").append(...cards);
  }

  // From case to case
  let last = null;
  const current = () => last ?? one(".card:target");
  document.addEventListener("focusin", (event) => { last = event.target.closest(".card") ?? last; });
  function move(step) {
    const visible = cards.filter((card) => !card.hidden);
    const from = visible.indexOf(current());
    const to = visible[from < 0 ? 0 : Math.min(Math.max(from + step, 0), visible.length - 1)];
    to?.focus({ preventScroll: true });
    to?.scrollIntoView({ block: "start" });
  }

  function say(text) { one(".said").textContent = text; }
  async function copy(button) {
    const source = document.getElementById(button.dataset.what);
    try {
      await navigator.clipboard.writeText(source.textContent);
      say("Copied");
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1500);
    } catch {
      getSelection().selectAllChildren(source);
      say("Selected; copy it with the keyboard");
    }
  }

  const actions = { theme: nextTheme, help: () => one(".help").showModal(), download, copy };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) actions[button.dataset.do](button);
    const tile = event.target.closest("[data-filter]");
    if (tile) show(tile.dataset.filter);
    const link = event.target.closest('a[href^="#case-"]');
    if (link && document.getElementById(link.getAttribute("href").slice(1))?.hidden) show("all");
  });
  document.addEventListener("submit", (event) => { if (event.target.matches(".controls")) event.preventDefault(); });
  document.addEventListener("input", (event) => {
    const { target } = event;
    if (target.name === "text") filter();
    else if (target.matches(".rating [type=text]")) rate(target.closest(".card").dataset.case, { comment: target.value });
  });
  document.addEventListener("change", async (event) => {
    const { target } = event;
    if (target.name === "kind") filter();
    else if (target.name === "order") order(target.value);
    else if (target.matches(".rating [type=radio]")) rate(target.closest(".card").dataset.case, { choice: target.value });
    else if (target.dataset.do === "load" && target.files.length) {
      readExclude(await target.files[0].text());
      target.value = "";
      filter();
    }
  });
  const keys = {
    j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1),
    "/": () => one(".controls [name=text]")?.focus(), t: nextTheme, "?": actions.help,
    c: () => current() && one(".rating [type=text]", current()).focus(),
    0: () => rateCurrent(""), 1: () => rateCurrent(CHOICES[0]), 2: () => rateCurrent(CHOICES[1]), 3: () => rateCurrent(CHOICES[2]),
  };
  function rateCurrent(choice) {
    const card = current();
    if (!card) return;
    rate(card.dataset.case, { choice });
    say(`${card.dataset.case}: ${choice || "no rating"}`);
  }
  function leave(field) { // and stay at its case, so that the next key goes on from there
    const card = field.closest(".card");
    if (card) card.focus({ preventScroll: true }); else field.blur();
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input, textarea, select");
    if (event.key === "Escape" && isTyping) leave(event.target);
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]") || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // The dots of one case in all charts
  let marked = [];
  document.addEventListener("pointerover", (event) => {
    const dot = event.target.closest?.(".chart a");
    marked.forEach((other) => other.classList.remove("same"));
    marked = dot ? all(`.chart a[href="${dot.getAttribute("href")}"]`) : [];
    marked.forEach((other) => other.classList.add("same"));
  });

  document.addEventListener("DOMContentLoaded", () => {
    items = all("[data-case][data-is]");
    cards = all(".card");
    if (ratings.size) items.filter((item) => ratings.has(item.dataset.case)).forEach(showRating);
    theme(themeNow());
    if (!one(".controls")) return;  // a page without cases
    countRatings();
    filter();
  });

  // Pictures load as they come near, and the others when the page rests: printed, it has all.
  const later = window.requestIdleCallback ?? setTimeout;
  function loadSome() {
    const waiting = all("img[loading=lazy]").slice(0, 20);
    for (const picture of waiting) picture.loading = "eager";
    if (waiting.length) later(loadSome);
  }
  addEventListener("load", () => later(loadSome));
})();
