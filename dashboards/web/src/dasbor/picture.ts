/** A part of the page as a PNG, drawn by the browser itself: styles and fonts travel inside, nothing is fetched from elsewhere. */

const SCALE = 2;
/** Browsers refuse larger canvases. */
const EDGE_MAX = 16_000;
const FONTS = /latin-(400|500|600)-normal/;

async function dataUrl(address: string): Promise<string> {
  const blob = await (await fetch(address)).blob();
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => failed(reader.error ?? new Error("unreadable"));
    reader.readAsDataURL(blob);
  });
}

/** Every rule of the page, with the fonts in use put inside. */
async function styles(): Promise<string> {
  const rules: string[] = [];
  for (const sheet of document.styleSheets) {
    for (const rule of sheet.cssRules) {
      if (!(rule instanceof CSSFontFaceRule)) rules.push(rule.cssText);
      else {
        const found = /url\("?([^")]+\.woff2)"?\)/.exec(rule.cssText)?.[1];
        if (found && FONTS.test(found)) {
          const address = new URL(found, sheet.href ?? location.href).href;
          rules.push(rule.cssText.replace(/src:[^;}]+/, `src: url(${await dataUrl(address)}) format("woff2")`));
        }
      }
    }
  }
  return rules.join("\n");
}

export async function picture(node: HTMLElement, title: string): Promise<Blob> {
  const width = Math.ceil(node.getBoundingClientRect().width);
  const height = Math.ceil(node.scrollHeight) + 48;
  const frame = document.createElement("div");
  frame.setAttribute("xmlns", "http://www.w3.org/1999/xhtml");
  frame.dataset.theme = document.documentElement.dataset.theme ?? "night";
  const style = document.createElement("style");
  style.textContent = await styles();
  const heading = document.createElement("p");
  heading.textContent = title;
  heading.style.cssText = "padding: 12px 16px 0; font-weight: 600";
  const body = document.createElement("div");
  body.style.cssText =
    "background: var(--bg); color: var(--text); font: 400 13px/1.4 var(--font); height: 100%; font-variant-numeric: tabular-nums";
  body.append(heading, node.cloneNode(true));
  frame.append(style, body);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><foreignObject width="100%" height="100%">${new XMLSerializer().serializeToString(frame)}</foreignObject></svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const scale = Math.min(SCALE, EDGE_MAX / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("no canvas");
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("too large"))), "image/png"),
  );
}
