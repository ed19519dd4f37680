// Makes the page live. Every form and link works without it.
//
// A form is sent in the background and the answer put in the place of what differs: the search field keeps its focus,
// the tree its scroll. Server-sent events bring new figures (`part`) or say that the page is another one now (`stale`).
(() => {
  "use strict";
  const SEARCH_MS = 60, AGAIN_MS = 3000, MAX_FILE_BYTES = 64 * 1024;
  const parser = new DOMParser();

  // What is typed into stays; everything else becomes as the server says. Elements with an id are the same by it.
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id ?? "") === (b.id ?? "");
  const morph = (before, after) => {
    if (before.nodeType !== Node.ELEMENT_NODE) {
      if (before.nodeValue !== after.nodeValue) before.nodeValue = after.nodeValue;
      return;
    }
    if ("own" in before.dataset) return; // what a script of ours shows
    const typed = before === document.activeElement && "value" in before;
    for (const { name } of [...before.attributes]) {
      if (!after.hasAttribute(name) && !(name === "open" && before.nodeName === "DETAILS")) before.removeAttribute(name);
    }
    for (const { name, value } of after.attributes) {
      if (before.getAttribute(name) !== value && !(typed && name === "value")) before.setAttribute(name, value);
    }
    let old = before.firstChild;
    for (const fresh of [...after.childNodes]) {
      if (fresh.id && (!old || old.id !== fresh.id)) {
        let found = old;
        while (found && found.id !== fresh.id) found = found.nextSibling;
        if (found) while (old !== found) { const gone = old; old = old.nextSibling; gone.remove(); }
      }
      if (old && same(old, fresh)) { morph(old, fresh); old = old.nextSibling; }
      else before.insertBefore(document.adoptNode(fresh), old);
    }
    while (old) { const gone = old; old = old.nextSibling; gone.remove(); }
  };

  const times = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (!Number.isNaN(at.getTime())) element.textContent = at.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
    }
  };

  // A file goes as text in a field: forms have one kind of body.
  const base64 = (file) => new Promise((done, failed) => {
    if (!file || file.size > MAX_FILE_BYTES) { done(""); return; }
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => failed(reader.error));
    reader.readAsDataURL(file);
  });

  // While a person's click or form is under way its answer says where the page goes (`push`): news is looked at behind it.
  let turn = 0, going = 0, missed = false;
  const show = async (url, options, push) => {
    const mine = ++turn;
    if (push) going += 1;
    try {
      const answer = await fetch(url, { headers: { accept: "text/html" }, ...options });
      const page = parser.parseFromString(await answer.text(), "text/html");
      if (mine !== turn && !options) return;
      times(page);
      document.title = page.title;
      morph(document.body, page.body);
      if (push) history[push](null, "", answer.url);
    } finally {
      if (push) going -= 1;
      if (!going && missed) news();
    }
  };
  const news = () => {
    missed = going > 0;
    if (!missed) show(location.href);
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post") { event.preventDefault(); find(form.q.value); return; }
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") return;
    form.setAttribute("aria-busy", "true");
    try {
      for (const input of form.querySelectorAll("input[type=file][data-into]")) document.getElementById(input.dataset.into).value = await base64(input.files[0]);
      const fields = new URLSearchParams(new FormData(form, event.submitter));
      fields.set("profile", document.body.dataset.profile);
      await show(form.action, { method: "POST", body: fields }, "replaceState");
    } finally { form.removeAttribute("aria-busy"); }
  });

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest(".copy");
    if (copy) {
      try { await navigator.clipboard.writeText(copy.textContent.trim()); copy.dataset.copied = ""; setTimeout(() => delete copy.dataset.copied, 1500); }
      catch { getSelection().selectAllChildren(copy); }
      return;
    }
    const link = event.target.closest("a[data-here]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(link.href, undefined, "pushState");
  });
  addEventListener("popstate", () => show(location.href));

  let waiting;
  const find = (text) => {
    const url = new URL(location.href);
    if (text.trim()) url.searchParams.set("q", text); else url.searchParams.delete("q");
    show(url, undefined, "replaceState");
  };
  document.addEventListener("input", (event) => {
    if (event.target.type !== "search") return;
    clearTimeout(waiting);
    waiting = setTimeout(() => find(event.target.value), SEARCH_MS);
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  // While nobody looks nothing is asked: a page in the background has no stream.
  let stream;
  const listen = () => {
    if (document.hidden) { stream?.close(); stream = undefined; return; }
    if (stream) return;
    stream = new EventSource(`/live?version=${document.body.dataset.version}`);
    stream.addEventListener("open", () => { delete document.documentElement.dataset.line; });
    stream.addEventListener("part", (event) => {
      const { id, html } = JSON.parse(event.data);
      const element = document.getElementById(id);
      const fresh = parser.parseFromString(html, "text/html").body.firstElementChild;
      if (element && fresh) morph(element, fresh);
    });
    stream.addEventListener("stale", news);
    stream.addEventListener("error", () => {
      document.documentElement.dataset.line = "down";
      if (stream?.readyState === EventSource.CLOSED) { stream = undefined; setTimeout(listen, AGAIN_MS); }
    });
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) show(location.href); listen(); });
  times(document);
  listen();
})();
