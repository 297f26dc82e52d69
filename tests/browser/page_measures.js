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

function listWeakContrast() {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
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
  for (const element of document.querySelectorAll("body *")) {
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
