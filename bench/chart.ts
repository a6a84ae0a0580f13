/** Log-log charts as SVG. */

/** One curve. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly label?: string }[];
  /** Dots without a line between them. */
  readonly scattered?: boolean;
}

/** A chart. */
export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 460;
const LEFT = 80;
const RIGHT = 170;
const TOP = 44;
const BOTTOM = 60;
const COLOURS = ['#1f5fa8', '#c4520f', '#2f7d32', '#7b3fa0', '#9a6a00', '#55606e'];

function escapeText(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** Powers of ten around the values. */
function decades(values: readonly number[]): [number, number] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  return [low, Math.max(high, low + 1)];
}

function tick(exponent: number): string {
  return exponent >= -3 && exponent <= 4 ? String(Number((10 ** exponent).toPrecision(3))) : `1e${exponent}`;
}

/** The chart as an SVG document; values must be positive. */
export function logLogChart({ title, xLabel, yLabel, series }: Chart): string {
  const all = series.flatMap(({ points }) => points);
  const [xLow, xHigh] = decades(all.map(({ x }) => x));
  const [yLow, yHigh] = decades(all.map(({ y }) => y));
  const [plotWidth, plotHeight] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const px = (x: number) => LEFT + ((Math.log10(x) - xLow) / (xHigh - xLow)) * plotWidth;
  const py = (y: number) => TOP + plotHeight - ((Math.log10(y) - yLow) / (yHigh - yLow)) * plotHeight;
  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="24" font-size="15" font-weight="bold">${escapeText(title)}</text>`,
  ];
  for (let e = xLow; e <= xHigh; e++) {
    const x = px(10 ** e).toFixed(1);
    out.push(`<line x1="${x}" y1="${TOP}" x2="${x}" y2="${TOP + plotHeight}" stroke="#ddd"/>`);
    out.push(`<text x="${x}" y="${TOP + plotHeight + 18}" text-anchor="middle">${tick(e)}</text>`);
  }
  for (let e = yLow; e <= yHigh; e++) {
    const y = py(10 ** e).toFixed(1);
    out.push(`<line x1="${LEFT}" y1="${y}" x2="${LEFT + plotWidth}" y2="${y}" stroke="#ddd"/>`);
    out.push(`<text x="${LEFT - 8}" y="${Number(y) + 4}" text-anchor="end">${tick(e)}</text>`);
  }
  out.push(
    `<text x="${LEFT + plotWidth / 2}" y="${HEIGHT - 16}" text-anchor="middle">${escapeText(xLabel)}</text>`,
    `<text transform="translate(20 ${TOP + plotHeight / 2}) rotate(-90)" text-anchor="middle">${escapeText(yLabel)}</text>`,
  );
  series.forEach(({ name, points, scattered }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const sorted = [...points].sort((a, b) => a.x - b.x);
    if (!scattered) {
      const path = sorted.map(({ x, y }) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ');
      out.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    }
    for (const { x, y, label } of sorted) {
      const mark = label === undefined ? '' : `<title>${escapeText(label)}</title>`;
      out.push(
        `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="4" fill="${colour}">${mark}</circle>`,
      );
    }
    const legend = TOP + 10 + i * 20;
    out.push(`<circle cx="${LEFT + plotWidth + 16}" cy="${legend}" r="4" fill="${colour}"/>`);
    out.push(`<text x="${LEFT + plotWidth + 26}" y="${legend + 4}">${escapeText(name)}</text>`);
  });
  return `${[...out, '</svg>'].join('\n')}\n`;
}
