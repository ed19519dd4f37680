// Lets a picture of an invitation's QR code be chosen, dropped, pasted, or held before the camera.
//
// The browser decodes the picture and sends its brightness, one byte a pixel, to the page's own process, which finds the
// code in it. The camera's pictures go nowhere else.
(() => {
  "use strict";
  const MAX_PIXELS = 16 * 1024 * 1024, MAX_SIDE = 4096, LOOK_MS = 250, CAMERA = { facingMode: "environment", width: { ideal: 1280 } };
  const part = (id) => document.getElementById(id);
  document.documentElement.dataset.script = "";

  const brightness = (source, width, height) => {
    const scale = Math.min(1, MAX_SIDE / width, MAX_SIDE / height, Math.sqrt(MAX_PIXELS / (width * height)));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.floor(width * scale));
    canvas.height = Math.max(1, Math.floor(height * scale));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    const colours = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const bytes = new Uint8Array(canvas.width * canvas.height);
    for (let pixel = 0, at = 0; pixel < bytes.length; pixel += 1, at += 4) {
      bytes[pixel] = (colours[at] * 77 + colours[at + 1] * 150 + colours[at + 2] * 29) >> 8;
    }
    return { width: canvas.width, height: canvas.height, bytes };
  };

  const ask = async ({ width, height, bytes }) => {
    const headers = { "content-type": "application/octet-stream" };
    const answer = await fetch(`/qr?width=${width}&height=${height}`, { method: "POST", headers, body: bytes });
    if (!answer.ok) throw new Error("The LinkManager does not answer: open the page again with lm ui.");
    return answer.json();
  };

  const tell = (text, state) => {
    const told = part("qr-told");
    if (!told) return;
    told.textContent = text;
    told.dataset.state = state;
  };
  const take = (found) => {
    part("invitation").value = found.text;
    tell(`Invitation for ${found.user} at ${found.address}. Now choose a password.`, "good");
    part("first")?.focus();
  };

  const read = async (file) => {
    tell("Looking for a QR code ...", "idle");
    let picture;
    try { picture = await createImageBitmap(file); }
    catch { tell("The browser cannot show this file as a picture: use a screenshot or a photo (PNG, JPEG).", "bad"); return; }
    try {
      const found = await ask(brightness(picture, picture.width, picture.height));
      if (found.text) take(found); else tell(found.refusal, "bad");
    } catch (error) { tell(error.message, "bad"); }
    finally { picture.close(); }
  };

  const picture = (files) => [...(files ?? [])].find((file) => file.type.startsWith("image/"));
  document.addEventListener("change", (event) => {
    if (event.target.id !== "qr-file" || !event.target.files[0]) return;
    read(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = part("redeem") && picture(event.clipboardData?.files);
    if (file) { event.preventDefault(); read(file); }
  });
  document.addEventListener("dragover", (event) => {
    if (part("redeem") && event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!part("redeem") || !event.dataTransfer?.files.length || event.target.type === "file") return;
    event.preventDefault();
    const file = picture(event.dataTransfer.files);
    if (file) read(file); else tell("That is no picture: drop a screenshot or a photo of the QR code (PNG, JPEG).", "bad");
  });

  // The camera: looked through four times a second, until a code is found or the person has enough.
  let stream;
  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = undefined;
    part("qr-camera")?.close();
  };
  const look = async (mine) => {
    const view = part("qr-view");
    while (stream === mine && view?.isConnected) {
      if (view.videoWidth) {
        const found = await ask(brightness(view, view.videoWidth, view.videoHeight));
        if (stream !== mine) return;
        if (found.text) { stop(); take(found); return; }
        part("qr-seen").textContent = found.found ? found.refusal : "Hold the QR code before the camera.";
      }
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
    }
    if (stream === mine) stop();
  };
  const film = async () => {
    try {
      const mine = stream = await navigator.mediaDevices.getUserMedia({ video: CAMERA });
      part("qr-view").srcObject = mine;
      part("qr-camera").showModal();
      await part("qr-view").play();
      await look(mine);
    } catch (error) {
      stop();
      tell(error.name === "NotAllowedError" ? "The browser was not allowed to use the camera: allow it beside the address, or choose a picture."
        : error instanceof DOMException ? "No camera can be used: choose a picture of the QR code." : error.message, "bad");
    }
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#qr-film")) film();
    if (event.target.closest?.("#qr-stop")) stop();
  });
  document.addEventListener("close", (event) => { if (event.target.id === "qr-camera") stop(); }, true);
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
  const cameras = async () => {
    const devices = await navigator.mediaDevices?.enumerateDevices?.() ?? [];
    if (devices.some((device) => device.kind === "videoinput")) document.documentElement.dataset.camera = "";
    else delete document.documentElement.dataset.camera;
  };
  navigator.mediaDevices?.addEventListener("devicechange", cameras);
  cameras();
})();
