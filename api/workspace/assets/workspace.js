// What the pages do without asking the server: dragging cards, the menu of stages, dialogs, where the focus goes.
// Whatever changes a deal is sent as an event; the server decides, and `dealbook.settle` or `.refuse` is its answer.
(() => {
  const card = (id) => document.querySelector(`.deal[data-deal="${CSS.escape(id)}"]`);
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  let dragged = null; // what is being dragged: the deal, where it stood, and the revision that was looked at
  let ghost = null; // the picture of a card that was dropped and waits for its answer
  let menuFor = null; // whose menu of stages is open
  let opener = null; // what had the focus before the drawer opened

  const describe = (element) => {
    const { deal, stage, revision } = element.closest("[data-deal]").dataset;
    return { deal, stage, revision: Number(revision) };
  };
  const markTarget = (stage) => {
    for (const element of document.querySelectorAll(".stage.is-target")) {
      if (element !== stage) element.classList.remove("is-target");
    }
    stage?.classList.add("is-target");
  };
  const dropGhost = () => {
    ghost?.remove();
    ghost = null;
    for (const element of document.querySelectorAll(".deal.is-waiting")) element.classList.remove("is-waiting");
  };

  document.addEventListener("dragstart", (event) => {
    const element = event.target.closest?.(".deal[data-movable]");
    if (!element) return;
    const place = element.getBoundingClientRect();
    dragged = { ...describe(element), x: event.clientX - place.left, y: event.clientY - place.top };
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.deal);
    requestAnimationFrame(() => element.classList.add("is-dragged"));
  });
  document.addEventListener("dragover", (event) => {
    const stage = dragged && event.target.closest?.(".stage");
    markTarget(stage && stage.dataset.stage !== dragged.stage ? stage : null);
    if (!stage) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
  });
  document.addEventListener("dragend", () => {
    markTarget(null);
    const source = dragged && document.querySelector(`.stage[data-stage="${dragged.stage}"] .stage-cards`);
    for (const element of document.querySelectorAll(".deal.is-dragged")) element.classList.remove("is-dragged");
    dragged = null;
    source?.dispatchEvent(new Event("scroll")); // what came into sight meanwhile
  });
  document.addEventListener("drop", (event) => {
    const stage = dragged && event.target.closest?.(".stage");
    if (!stage) return;
    event.preventDefault();
    if (stage.dataset.stage === dragged.stage) return;
    const element = card(dragged.deal);
    dropGhost();
    if (element) {
      const place = element.getBoundingClientRect();
      ghost = element.cloneNode(true);
      ghost.classList.add("is-ghost");
      ghost.classList.remove("is-dragged");
      ghost.removeAttribute("data-deal");
      ghost.setAttribute("aria-hidden", "true");
      ghost.inert = true;
      ghost.style.width = `${place.width}px`;
      ghost.style.translate = `${event.clientX - dragged.x}px ${event.clientY - dragged.y}px`;
      document.body.append(ghost);
      element.classList.add("is-waiting");
    }
    const { deal, revision, stage: from } = dragged;
    emitEvent("dealbook-move", { deal, revision, from, stage: stage.dataset.stage });
  });

  const menu = () => document.getElementById("move-menu");
  const items = () => [...menu().querySelectorAll("button:not([hidden])")];
  const openMenu = (button) => {
    menuFor = { ...describe(button), button };
    for (const item of menu().querySelectorAll("button")) item.hidden = item.dataset.stage === menuFor.stage;
    menu().showPopover();
    placeMenu();
    items()[0]?.focus();
  };
  const placeMenu = () => {
    if (!menu()?.matches(":popover-open")) return;
    const at = menuFor.button.getBoundingClientRect();
    const size = menu().getBoundingClientRect();
    menu().style.left = `${Math.max(8, Math.min(at.right - size.width, innerWidth - size.width - 8))}px`;
    menu().style.top = `${Math.max(8, Math.min(at.bottom + 4, innerHeight - size.height - 8))}px`;
  };
  addEventListener("resize", placeMenu);
  document.addEventListener("keydown", (event) => {
    if (menu()?.contains(event.target)) {
      const all = items();
      const at = all.indexOf(document.activeElement);
      const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
      if (event.key === "Escape" || event.key === "Tab") {
        event.preventDefault();
        event.stopPropagation();
        menu().hidePopover();
        menuFor?.button.focus();
      } else if (next !== undefined) {
        event.preventDefault();
        all[next % all.length].focus();
      }
      return;
    }
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    const record = event.target.closest?.("details.record[open]");
    if (record) {
      record.open = false;
      record.querySelector("summary").focus();
    } else if (document.querySelector(".drawer")) {
      emitEvent("dealbook-close-deal");
    }
  });
  document.addEventListener("click", (event) => {
    for (const record of document.querySelectorAll("details.record[open]")) {
      if (!record.contains(event.target)) record.open = false;
    }
    const link = event.target.closest?.("[data-open-deal]");
    if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      opener = link.dataset.openDeal;
      emitEvent("dealbook-open-deal", opener);
      return;
    }
    const button = event.target.closest?.("[data-move-menu]");
    if (button) {
      openMenu(button);
      return;
    }
    const item = event.target.closest?.("#move-menu button");
    if (item && menuFor) {
      menu().hidePopover();
      const { deal, revision, stage: from } = menuFor;
      menuFor.button.focus();
      emitEvent("dealbook-move", { deal, revision, from, stage: item.dataset.stage, note: item.dataset.note === "1" });
    }
  });

  const fillFields = (element) => {
    // The value is set here and not as an attribute: drawing the page again must not undo what was typed.
    for (const field of element.querySelectorAll("[data-initial]")) field.value = field.dataset.initial;
  };
  // A column has the cards around what is in sight and room for the others. When room comes near, `ask` for cards: it
  // is told the number of the first one in sight. The answer shows itself as other children.
  const NEAR = 5;
  const watchColumn = (place, ask) => {
    let asked = null;
    const look = () => {
      const [first, second] = place.querySelectorAll(":scope > .deal");
      if (!first || dragged?.stage === first.dataset.stage) return; // a card that is being dragged must stay
      const size = first.getBoundingClientRect();
      const pitch = second ? second.getBoundingClientRect().top - size.top : size.height + 8;
      if (pitch <= 0) return;
      place.style.setProperty("--pitch", `${pitch}px`);
      const held = (where) => Number(place.querySelector(`:scope > [data-room="${where}"]`).dataset.cards);
      const above = held("above");
      const end = above + place.querySelectorAll(":scope > .deal").length;
      const top = Math.floor(place.scrollTop / pitch);
      const bottom = Math.ceil((place.scrollTop + place.clientHeight) / pitch);
      const isShort = (above > 0 && top - NEAR < above) || (held("below") > 0 && bottom + NEAR > end);
      if (!isShort) asked = null;
      else if (asked === null || Math.abs(asked - top) > NEAR) ask((asked = top));
    };
    let isDue = false;
    const lookSoon = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        look();
      });
    };
    place.addEventListener("scroll", lookSoon, { passive: true });
    new MutationObserver(lookSoon).observe(place, { childList: true });
    new ResizeObserver(lookSoon).observe(place);
  };
  globalThis.dealbook = {
    fillFields,
    watchColumn,
    showDialog(dialog) {
      fillFields(dialog);
      dialog.showModal();
      dialog.querySelector("input, select, textarea")?.focus();
    },
    showCurrent(pages) {
      // On a narrow screen the pages' names scroll: the present one is in sight.
      const link = pages.querySelector('[aria-current="page"]');
      if (link) pages.scrollLeft = link.offsetLeft + link.offsetWidth - pages.clientWidth;
    },
    sendFiles(event, send) {
      if (event.target.files.length) send([...event.target.files]);
      event.target.value = "";
    },
    dropFiles(event, send) {
      event.preventDefault();
      event.currentTarget.classList.toggle("is-target", event.type === "dragover");
      if (event.type === "drop" && event.dataTransfer.files.length) send([...event.dataTransfer.files]);
    },
    readForm(event) {
      event.preventDefault();
      return Object.fromEntries(new FormData(event.target));
    },
    settle(id) {
      dropGhost();
      const element = id && card(id);
      const held = document.activeElement;
      if (element && (!held || held === document.body || !document.contains(held))) {
        element.querySelector(".deal-menu, a")?.focus({ preventScroll: true });
      }
    },
    refuse(id) {
      const element = card(id);
      if (!ghost || !element || still()) {
        dropGhost();
        return;
      }
      const place = element.getBoundingClientRect();
      const home = `${place.left}px ${place.top}px`;
      const back = ghost.animate({ translate: [ghost.style.translate, home] }, { duration: 260, easing: "ease-out" });
      back.onfinish = dropGhost;
      back.oncancel = dropGhost;
    },
    leaveDrawer() {
      const element = opener && card(opener);
      (element?.querySelector("a") || document.querySelector(".stage-cards"))?.focus({ preventScroll: true });
      opener = null;
    },
  };
})();
