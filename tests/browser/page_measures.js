// What the appearance tests measure inside a page. Each function returns what is wrong, in words.

function listCutOff() {
  const parts = "main .headline, main .deal, main .stage-head, main .panel-head, header *";
  return [...document.querySelectorAll(parts)]
    .filter((element) => element.getClientRects().length && !element.closest("svg"))
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .filter((element) => {
      const style = getComputedStyle(element);
      return style.display !== "inline" && style.overflowX === "visible";
    })
    .map((element) => `${element.className}: ${element.textContent.slice(0, 60)}`);
}

function listOffScreen() {
  // A dialog or menu that reaches beyond the screen hides its buttons, unless it scrolls.
  return [...document.querySelectorAll("dialog[open], .drawer, [popover]:popover-open")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      return box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1;
    })
    .map((element) => `beyond the screen: ${element.className}`);
}

function listWeakContrast(part) {
  // A mixed colour is written as shares of one: color(srgb 0.5 0.7 1 / 0.9).
  const parse = (text) => {
    const numbers = (text.match(/[\d.]+/g) || []).map(Number);
    return text.startsWith("color(") ? numbers.map((value, i) => (i < 3 ? value * 255 : value)) : numbers;
  };
  const over = (top, under) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map((i) => top[i] * alpha + under[i] * (1 - alpha));
  };
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((value) => linear(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => (top.length ? over(top, under) : under), [255, 255, 255]);
  };
  const weak = new Set();
  for (const element of document.querySelectorAll(part ? `${part}, ${part} *` : "body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const style = getComputedStyle(element);
    if (!hasText || !element.getClientRects().length || style.visibility === "hidden") continue;
    const drawing = element.closest("svg");
    const under = background(drawing ? drawing.parentElement : element);
    const ink = over(parse(drawing ? style.fill : style.color), under);
    const [a, b] = [luminance(ink), luminance(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) weak.add(`${ratio.toFixed(2)} ${element.className} ${element.textContent.slice(0, 30)}`);
  }
  return [...weak];
}
