// What makes pages live. Every page works without it.
//
// data-stream on <body>   where the server tells that something changed
// data-live="TOPICS"      an element with an id that is fetched anew when one of its topics changes:
//                         appliances, appliance:ID, records, users
// data-copy="ID"          a button that copies the text of the element ID
// data-theme-choice       a select of light, dark or the system's
(() => {
  "use strict";
  const SETTLE_MS = 150, SPREAD_MS = 700, LOST_AFTER_MS = 6000, AGAIN_MS = 5000, FULL_AGAIN_MS = 60000;

  // Times: the server writes UTC, the visitor reads his own.
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localTimes = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (!element.title) element.title = element.dateTime;
      element.textContent = clock.format(at);
    }
  };

  // The menu of narrow screens.
  const menu = document.querySelector("[data-menu]");
  if (menu) {
    const rail = document.getElementById("rail");
    const toggle = (event) => {
      event.preventDefault();
      const open = rail.toggleAttribute("data-open");
      menu.setAttribute("aria-expanded", String(open));
    };
    menu.addEventListener("click", toggle);
    menu.addEventListener("keydown", (event) => { if (event.key === " ") toggle(event); });
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const from = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(from.textContent.trim());
      button.dataset.state = "good";
      button.querySelector("[data-copied]")?.removeAttribute("hidden");
    } catch {
      getSelection().selectAllChildren(from);
    }
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  for (const choice of document.querySelectorAll("[data-theme-choice]")) {
    choice.value = document.documentElement.dataset.theme ?? "";
    choice.addEventListener("change", () => {
      if (choice.value) document.documentElement.dataset.theme = choice.value;
      else delete document.documentElement.dataset.theme;
      try {
        if (choice.value) localStorage.setItem("gatelink-theme", choice.value);
        else localStorage.removeItem("gatelink-theme");
      } catch { /* for this page only, then */ }
    });
  }

  // Parts of a form that belong to a choice: data-when="NAME=VALUE VALUE" shows its element only for these.
  const showParts = () => {
    for (const part of document.querySelectorAll("[data-when]")) {
      const [name, values] = part.dataset.when.split("=");
      const form = part.closest("form");
      const chosen = new FormData(form).get(name) ?? "";
      part.hidden = !values.split(" ").includes(chosen);
    }
  };
  document.addEventListener("change", showParts);
  showParts();
  localTimes(document);
  document.addEventListener("htmx:afterSwap", () => { localTimes(document); showParts(); });

  // Live
  const address = document.body.dataset.stream;
  if (!address || !window.htmx) return;
  let stream = null, lostTimer = 0, refreshTimer = 0, missed = false;

  const topics = () => [...document.querySelectorAll("[data-live][id]")];
  const concerns = (element, change) => element.dataset.live.split(" ").some((topic) =>
    (topic === "records" && change.records) || (topic === "users" && change.users) ||
    (topic === "appliances" && (change.appliances === null || change.appliances.length > 0)) ||
    (topic.startsWith("appliance:") && (change.appliances === null || change.appliances.includes(topic.slice(10)))));

  const refresh = async () => {
    refreshTimer = 0;
    const parts = topics();
    if (!parts.length) return;
    const [first, ...others] = parts.map((part) => "#" + part.id);
    await htmx.ajax("GET", location.pathname + location.search, {
      target: first, select: first, swap: "morph:outerHTML",
      selectOOB: others.map((other) => other + ":morph:outerHTML").join(","),
    });
  };
  const soon = () => {
    // Spread: otherwise everybody who watches asks in the same instant.
    if (!refreshTimer) refreshTimer = setTimeout(refresh, SETTLE_MS + Math.random() * SPREAD_MS);
  };
  const found = () => {
    clearTimeout(lostTimer);
    lostTimer = 0;
    if (document.documentElement.dataset.line === "down") soon();
    delete document.documentElement.dataset.line;
  };
  const lost = () => {
    if (!lostTimer) lostTimer = setTimeout(() => { document.documentElement.dataset.line = "down"; }, LOST_AFTER_MS);
  };
  const close = () => { stream?.close(); stream = null; clearTimeout(lostTimer); lostTimer = 0; };
  const open = () => {
    close();
    const opened = stream = new EventSource(address);
    opened.onopen = found;
    opened.onerror = () => {
      lost();
      // Refused, not broken: signed out perhaps. The refresh finds out.
      if (opened.readyState === EventSource.CLOSED && opened === stream) {
        soon();
        setTimeout(() => { if (opened === stream) open(); }, AGAIN_MS);
      }
    };
    opened.addEventListener("change", (event) => {
      const change = JSON.parse(event.data);
      if (topics().some((part) => concerns(part, change))) soon();
    });
    opened.addEventListener("full", () => {
      if (opened === stream) { close(); setTimeout(() => { if (!document.hidden && !stream) open(); }, FULL_AGAIN_MS); }
    });
  };
  // A browser has few connections to a server: only the tab that is looked at holds one.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); missed = true; return; }
    open();
    if (missed) soon();
  });
  addEventListener("pagehide", close);
  if (topics().length && !document.hidden) open();
})();
