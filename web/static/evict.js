// Evict's own script: comfort only. Every page and form works without it.
(() => {
  "use strict";

  const root = document.documentElement;
  root.dataset.js = "";

  const say = (text) => {
    const region = document.getElementById("announce");
    if (!region) return;
    region.textContent = "";
    // An emptied region that is filled in a later task is read again even when the words are the same.
    setTimeout(() => { region.textContent = text; }, 50);
  };

  const searchInput = () => document.getElementById("q");
  const resultsBox = () => document.getElementById("search-results");
  const hits = () => [...(resultsBox()?.querySelectorAll("[data-hit]") ?? [])];

  const clearResults = () => {
    resultsBox()?.replaceChildren();
  };

  // --- Keyboard: "/" to the search box, arrows through the results, Escape back and clear.

  const typingIn = (el) => el instanceof HTMLElement && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName));

  const focusSearch = (event) => {
    const input = document.querySelector("[data-slash]") ?? searchInput(); // a page's own search comes first
    if (!input || typingIn(event.target)) return;
    event.preventDefault();
    input.focus();
    input.select();
  };

  const moveThroughHits = (event) => {
    const list = hits();
    const input = searchInput();
    const at = list.indexOf(document.activeElement);
    if (list.length === 0 || (at < 0 && document.activeElement !== input)) return;
    event.preventDefault();
    const next = event.key === "ArrowDown" ? at + 1 : at - 1;
    if (next < 0) input.focus();
    else list[Math.min(next, list.length - 1)].focus();
  };

  const escapeSearch = (event) => {
    const input = searchInput();
    const inside = document.activeElement === input || resultsBox()?.contains(document.activeElement);
    if (!input || !inside) return;
    event.preventDefault();
    if (document.activeElement !== input) {
      input.focus();
      return;
    }
    input.value = "";
    stopSearch();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "/") focusSearch(event);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") moveThroughHits(event);
    else if (event.key === "Escape") escapeSearch(event);
  });

  // A list that hangs over the page goes away when one turns elsewhere.
  document.addEventListener("click", (event) => {
    const find = document.querySelector("[data-find]");
    if (resultsBox()?.classList.contains("pop") && find && !find.contains(event.target)) clearResults();
  });

  // --- Search as you type: nothing is asked below two characters, and an older answer never replaces a newer wish.

  const stopSearch = () => {
    const input = searchInput();
    if (input && window.htmx) window.htmx.trigger(input, "htmx:abort");
    clearResults();
  };

  document.addEventListener("input", (event) => {
    if (event.target === searchInput() && event.target.value.trim().length < 2) stopSearch();
  });

  document.addEventListener("htmx:config:request", (event) => {
    const input = searchInput();
    if (event.detail.ctx.sourceElement === input && input.value.trim().length < 2) event.preventDefault();
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const said = event.detail.ctx.target?.querySelector?.("[data-announce]")?.dataset.announce;
    if (event.detail.ctx.sourceElement?.matches?.("input[type=search]") && said) say(said);
  });

  // --- Live fragments: when answers stop, say that what is shown may be old.

  const stale = (event, hidden) => {
    const note = event.detail?.ctx?.sourceElement?.querySelector?.("[data-stale]");
    if (note) note.hidden = hidden;
    if (event.detail?.ctx?.sourceElement === searchInput() && !hidden) {
      clearResults();
      say("The search did not answer. Press Enter to try again.");
    }
  };
  document.addEventListener("htmx:response:error", (event) => stale(event, false));
  document.addEventListener("htmx:error", (event) => stale(event, false));

  // --- Copy buttons.

  const copyText = (button) => {
    if (button.dataset.copyFrom) return document.getElementById(button.dataset.copyFrom)?.textContent ?? "";
    return button.dataset.copy ?? "";
  };

  const copied = (button) => {
    button.dataset.done = "";
    button.textContent = "copied";
    say("Copied");
    setTimeout(() => {
      delete button.dataset.done;
      button.textContent = "copy";
    }, 1600);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-copy], button[data-copy-from]");
    if (!button) return;
    navigator.clipboard.writeText(copyText(button)).then(() => copied(button), () => say("Copying did not work. Select the text instead."));
  });

  // --- Forms that reload a page with settings not saved yet take them along, so that nothing chosen is lost.

  document.addEventListener("submit", (event) => {
    const settings = document.querySelector("form[data-settings]");
    if (event.defaultPrevented || !settings || !("carry" in event.target.dataset)) return;
    for (const old of event.target.querySelectorAll("[data-carried]")) old.remove();
    for (const [name, value] of new FormData(settings)) {
      if (event.target.elements.namedItem(name)) continue;
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      field.dataset.carried = "";
      event.target.append(field);
    }
  });

  // --- Forms that must be sent once: the button says what goes on, and a second submit is dropped.

  const free = (form) => {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[data-rest]")) {
      button.textContent = button.dataset.rest;
      button.removeAttribute("aria-disabled");
    }
  };

  // A file leaves the page as it is. A cookie that repeats a word of ours comes with it: then the form can be used again.
  const awaitFile = (form, cookie) => {
    const word = Math.random().toString(36).slice(2);
    form.elements.answer.value = word;
    const timer = setInterval(() => {
      if (!document.cookie.split("; ").includes(`${cookie}=${word}`)) return;
      clearInterval(timer);
      free(form);
    }, 200);
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !("once" in form.dataset)) return;
    if (form.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "";
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    if (button?.dataset.file) awaitFile(form, button.dataset.file);
    if (!button?.dataset.busy) return;
    button.dataset.rest = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
    say(button.dataset.busy);
  });

  // Coming back with the browser's back button shows the page as it was left: make its forms usable again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) free(form);
  });

  // --- "3 min ago" stays true on a page left open. The server's clock counts; of this machine's only what has
  // passed since.

  const served = Date.parse(root.dataset.now ?? "");
  const loaded = Date.now();
  const relative = (seconds) => {
    if (seconds < 0) return null; // ahead of us: as the server said it
    if (seconds < 2) return "just now";
    if (seconds < 120) return Math.floor(seconds) + " s ago";
    if (seconds < 7200) return Math.round(seconds / 60) + " min ago";
    if (seconds < 172800) return Math.round(seconds / 3600) + " h ago";
    return Math.round(seconds / 86400) + " days ago";
  };

  const refreshTimes = () => {
    const now = served + Date.now() - loaded;
    for (const small of document.querySelectorAll("time[datetime] > [data-rel]")) {
      const words = relative((now - Date.parse(small.parentElement.dateTime)) / 1000);
      if (words && small.textContent !== words) small.textContent = words;
    }
  };
  if (!Number.isNaN(served)) setInterval(refreshTimes, 15000);
})();
