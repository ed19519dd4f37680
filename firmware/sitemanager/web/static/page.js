"use strict";
// What the pages do beside being read: countdown of a trial, parts that refresh, files and QR codes into text fields.
// Everything works without it but the QR code, files, and what refreshes by itself.

const all = (selector, work) => document.querySelectorAll(selector).forEach(work);

async function get(path, kind) {
  const answer = await fetch(path, { headers: { accept: kind }, redirect: "error", cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return kind === "application/json" ? answer.json() : answer.text();
}

// A change on trial. While nobody answers, the count goes on: the daemon undoes the change by its own clock.
all("[data-trial]", (section) => {
  const end = Date.now() + Number(section.dataset.trial) * 1000;
  const count = section.querySelector("[data-countdown]");
  const text = section.querySelector("[data-trial-text]");
  const keep = section.querySelector("[data-keep]");
  let asking = false;
  // Once a button is pressed its answer is the next page; the count must not get there first.
  let leaving = false;
  section.addEventListener("submit", () => { leaving = true; });
  const timer = setInterval(async () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    count.textContent = left;
    if (asking || leaving) return;
    asking = true;
    try {
      const trial = await get("/trial", "application/json");
      if (leaving) return;
      if (trial.state !== "trying") {
        clearInterval(timer);
        location.replace(location.pathname);
        return;
      }
      keep.disabled = trial.needs_gm;
      text.textContent = trial.needs_gm
        ? "Waiting for the GateManager, which was reached before this change."
        : "Everything you see works with the change. Keep it, or it is undone by itself.";
    } catch {
      keep.disabled = true;
      text.textContent = left > 0
        ? "This page is not reached any more. Wait: the change is undone by itself."
        : "The change should be undone now. This page looks for its unit; check cable and address of your device.";
    } finally {
      asking = false;
    }
  }, 1000);
});

all("[data-live]", (part) => {
  const every = Number(part.dataset.liveS || 3) * 1000;
  setInterval(async () => {
    if (document.hidden || part.contains(document.activeElement)) return;
    try {
      part.innerHTML = await get(part.dataset.live, "text/html");
    } catch { /* the next time */ }
  }, every);
});

all("[data-reload]", (part) => {
  setInterval(async () => {
    try {
      const answer = await fetch("/login", { cache: "no-store" });
      if (answer.ok) location.replace(part.dataset.to || location.pathname);
    } catch { /* not there yet */ }
  }, Number(part.dataset.reload) * 1000);
});

all("[data-log]", (log) => {
  let last = Number(log.dataset.log);
  log.scrollTop = log.scrollHeight;
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const lines = await get(`/log/lines?after=${last}`, "application/json");
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
      for (const line of lines) {
        const row = document.createElement("p");
        const time = document.createElement("time");
        time.textContent = line.at;
        row.append(time, ` ${line.text}`);
        log.append(row);
        last = line.number;
      }
      if (atEnd) log.scrollTop = log.scrollHeight;
    } catch { /* the next time */ }
  }, 2000);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sure]");
  if (button && !confirm(button.dataset.sure)) event.preventDefault();
});

// What takes its time says so, and is not asked twice.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !button.dataset.busy) return;
  button.textContent = button.dataset.busy;
  setTimeout(() => { button.disabled = true; });
});

all("[data-copy]", (button) => {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy");
    }
    button.textContent = "Copied";
  });
});

async function readInto(file, id) {
  if (!file || file.size > 65536) return;
  const field = document.getElementById(id);
  field.value = (await file.text()).trim();
  field.focus();
}

all("[data-file-into]", (input) => {
  input.addEventListener("change", () => readInto(input.files[0], input.dataset.fileInto));
});

all("[data-drop]", (place) => {
  const stop = (event, over) => { event.preventDefault(); place.classList.toggle("over", over); };
  place.addEventListener("dragover", (event) => stop(event, true));
  place.addEventListener("dragleave", (event) => stop(event, false));
  place.addEventListener("drop", (event) => { stop(event, false); readInto(event.dataTransfer.files[0], place.dataset.drop); });
});

// A file goes as it is, not as a form: the unit takes it piece by piece, and nothing has to hold all of it.
all("[data-upload]", (form) => {
  const error = form.querySelector("[data-upload-error]");
  const progress = form.querySelector("[data-upload-progress]");
  const button = form.querySelector("button");
  const show = (text) => {
    error.textContent = text;
    error.hidden = !text;
    progress.hidden = Boolean(text);
    button.disabled = !text;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (!file) return;
    if (file.size > Number(form.dataset.most)) { show("This file is too large to be an update."); return; }
    const choices = new URLSearchParams([...form.querySelectorAll("input:checked")].map((box) => [box.name, "1"]));
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}?${choices}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("x-csrf", form.dataset.csrf);
    request.upload.addEventListener("progress", (sent) => {
      const percent = Math.floor((sent.loaded / file.size) * 100);
      progress.querySelector("progress").value = percent;
      progress.querySelector("span").textContent = `${percent} % sent`;
    });
    request.addEventListener("load", () => {
      if (request.status === 200) location.replace("/firmware");
      else show(request.status === 409 ? request.responseText : "The unit did not take the file. Log in again and repeat it.");
    });
    request.addEventListener("error", () => show("The connection to the unit was lost. Check the cable and repeat it."));
    show("");
    request.send(file);
  });
});

// Only where the browser reads QR codes itself; browsers give the camera to encrypted pages alone.
all("[data-scan]", (button) => {
  if (!("BarcodeDetector" in window) || !navigator.mediaDevices) return;
  button.hidden = false;
  const view = document.querySelector("[data-scan-view]");
  const text = document.querySelector("[data-scan-text]");
  button.addEventListener("click", async () => {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      view.srcObject = stream;
      view.hidden = false;
      await view.play();
      while (!view.hidden) {
        const [code] = await detector.detect(view);
        if (code) {
          document.getElementById(button.dataset.scan).value = code.rawValue;
          view.hidden = true;
        }
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    } catch {
      text.hidden = false;
      text.textContent = "The camera cannot be used here. Choose the file, or paste the text.";
      view.hidden = true;
    } finally {
      if (stream) stream.getTracks().forEach((track) => track.stop());
    }
  });
});
