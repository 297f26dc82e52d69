// Runs in <head>, before anything is painted: the remembered choice decides, else the system.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      const choice = localStorage.getItem("dealbook-theme");
      return choice === "light" || choice === "dark" ? choice : "system";
    } catch {
      return "system";
    }
  };
  const words = {
    system: "Appearance: as the system. Switch to light",
    light: "Appearance: light. Switch to dark",
    dark: "Appearance: dark. Switch to the system's",
  };
  const label = () => {
    const button = document.getElementById("theme-button");
    if (button) {
      button.setAttribute("aria-label", words[root.dataset.choice]);
      button.title = words[root.dataset.choice];
    }
  };
  const apply = () => {
    const choice = read();
    root.dataset.choice = choice;
    root.dataset.theme = choice === "system" ? (system.matches ? "dark" : "light") : choice;
    if (globalThis.Quasar) Quasar.Dark.set(root.dataset.theme === "dark");
    label();
  };
  // Whoever comes back to a tab wants to know at once whether there are newer numbers.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && globalThis.emitEvent) emitEvent("dealbook-looked-at");
  });
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("DOMContentLoaded", apply); // by then Quasar has started, and chose for itself
  globalThis.dealbookTheme = {
    label,
    next() {
      const next = { system: "light", light: "dark", dark: "system" }[read()];
      try {
        if (next === "system") localStorage.removeItem("dealbook-theme");
        else localStorage.setItem("dealbook-theme", next);
      } catch {
        // Storage may be switched off; the page then keeps the system's choice.
      }
      apply();
    },
  };
  apply();
})();
