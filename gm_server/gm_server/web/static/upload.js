// Sends a chosen file as it is, and shows how far it is: <form data-upload action="...">.
(() => {
  "use strict";
  const form = document.querySelector("[data-upload]");
  const [wrong, shown] = [form.querySelector("[data-upload-wrong]"), form.querySelector("[data-upload-progress]")];
  const button = form.querySelector("button");
  const fail = (text) => {
    wrong.querySelector("p").textContent = text;
    wrong.hidden = false;
    shown.hidden = true;
    button.disabled = false;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (!file) return;
    const sent = new XMLHttpRequest();
    const domain = form.querySelector("[name=domain]").value.trim();
    sent.open("POST", form.action + "?domain=" + encodeURIComponent(domain));
    sent.setRequestHeader("Content-Type", "application/octet-stream");
    sent.setRequestHeader("X-CSRF", form.querySelector("[name=csrf]").value);
    sent.upload.onprogress = ({ loaded, total }) => {
      const percent = total ? Math.floor(100 * loaded / total) : 0;
      shown.querySelector("progress").value = percent;
      shown.querySelector("span").textContent = percent + " %";
    };
    sent.onload = () => {
      let said = {};
      try { said = JSON.parse(sent.responseText); } catch { /* another page: signed out perhaps */ }
      if (said.to) location.assign(said.to);
      else if (said.error) fail(said.error);
      else location.reload();
    };
    sent.onerror = () => fail(form.dataset.upload);
    wrong.hidden = true;
    shown.hidden = false;
    button.disabled = true;
    sent.send(file);
  });
})();
