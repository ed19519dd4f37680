// Passkeys: a form with data-passkey="get" (use one) or "create" (make one) and the server's data-options asks the
// browser, puts what it says into the field "answer", and is sent.
(() => {
  "use strict";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const descriptors = (list) => (list ?? []).map((item) => ({ ...item, id: bytes(item.id) }));

  const ask = async (kind, options) => {
    const publicKey = { ...options, challenge: bytes(options.challenge) };
    if (kind === "create") {
      publicKey.user = { ...options.user, id: bytes(options.user.id) };
      publicKey.excludeCredentials = descriptors(options.excludeCredentials);
      const made = await navigator.credentials.create({ publicKey });
      const { attestationObject, clientDataJSON } = made.response;
      return [made, { attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON) }];
    }
    publicKey.allowCredentials = descriptors(options.allowCredentials);
    const used = await navigator.credentials.get({ publicKey });
    const { authenticatorData, clientDataJSON, signature, userHandle } = used.response;
    return [used, {
      authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature),
      userHandle: userHandle ? text(userHandle) : null,
    }];
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const failed = form.querySelector("[data-passkey-failed]");
      failed.hidden = true;
      try {
        const [credential, response] = await ask(form.dataset.passkey, JSON.parse(form.dataset.options));
        form.elements.answer.value = JSON.stringify({
          id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
          clientExtensionResults: credential.getClientExtensionResults(),
        });
        form.submit();
      } catch {
        failed.hidden = false;
      }
    });
  }
})();
