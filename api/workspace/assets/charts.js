// Keeps a chart as a picture: its SVG with the theme's colours written in, its title above, its origin below.
globalThis.dealbookCharts = (() => {
  const MARGIN = 20;
  const HEAD = 40;
  const FOOT = 30;
  const FONT = "Segoe UI, Helvetica Neue, Noto Sans, Liberation Sans, Arial, sans-serif";
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A picture stands alone: the style sheet's variables mean nothing in it.
  const writeColoursIn = (drawing) => {
    for (const element of [drawing, ...drawing.querySelectorAll("*")]) {
      for (const attribute of [...element.attributes]) {
        if (!attribute.value.includes("var(")) continue;
        const value = attribute.value.replace(/var\((--[\w-]+)\)/g, (_, name) => token(name));
        element.setAttribute(attribute.name, value);
      }
    }
  };

  const draw = async (place) => {
    const source = place.querySelector(".chart svg");
    const { width, height } = source.getBoundingClientRect();
    const copy = source.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    writeColoursIn(copy);
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    const scale = 2;
    canvas.width = (width + 2 * MARGIN) * scale;
    canvas.height = (height + HEAD + FOOT + 2 * MARGIN) * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = token("--surface");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = token("--ink");
    pen.font = `600 16px ${FONT}`;
    pen.textBaseline = "top";
    pen.fillText(place.dataset.title, MARGIN, MARGIN, width);
    pen.drawImage(image, MARGIN, MARGIN + HEAD, width, height);
    pen.fillStyle = token("--ink-3");
    pen.font = `11px ${FONT}`;
    pen.fillText(place.dataset.origin, MARGIN, MARGIN + HEAD + height + 14, width);
    return canvas;
  };

  return {
    async savePicture(id) {
      const place = document.getElementById(id);
      const canvas = await draw(place);
      canvas.toBlob((blob) => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = place.dataset.file;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      }, "image/png");
    },
  };
})();
