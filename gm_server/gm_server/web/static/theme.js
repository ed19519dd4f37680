// Before anything is drawn: light or dark as the visitor chose on this computer; otherwise as the system is.
(() => {
  try {
    const theme = localStorage.getItem("gatelink-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* a browser that keeps nothing follows its system */ }
})();
