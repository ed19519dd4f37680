// The link of an invitation carries it behind "#", which is sent to nobody: into the form with it, and out of the address.
(() => {
  "use strict";
  const form = document.querySelector("form[data-invitation]");
  const text = decodeURIComponent(location.hash.slice(1));
  if (!form || !text) return;
  history.replaceState(null, "", location.pathname);
  form.elements.invitation.value = text;
  form.submit();
})();
