/** Line charts as SVG, on logarithmic or linear axes. */

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

/** Values along one side of a chart. */
interface Axis {
  /** From 0 at the low end to 1 at the high end. */
  place(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

/** Powers of ten around the values, which must be positive. */
function logAxis(values: readonly number[]): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values))), low + 1);
  const text = (e: number) => (e >= -3 && e <= 4 ? String(Number((10 ** e).toPrecision(3))) : `1e${e}`);
  return {
    place: (value) => (Math.log10(value) - low) / (high - low),
    ticks: Array.from({ length: high - low + 1 }, (_, i) => ({
      value: 10 ** (low + i),
      text: text(low + i),
    })),
  };
}

/** Round steps around the values, about six of them. */
function linearAxis(values: readonly number[]): Axis {
  const span = Math.max(...values) - Math.min(...values) || 1;
  const rough = span / 6;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = decade * ([1, 2, 5, 10].find((factor) => factor * decade >= rough) ?? 10);
  const low = Math.floor(Math.min(...values) / step);
  const high = Math.max(Math.ceil(Math.max(...values) / step), low + 1);
  return {
    place: (value) => (value / step - low) / (high - low),
    ticks: Array.from({ length: high - low + 1 }, (_, i) => {
      const value = (low + i) * step;
      return { value, text: String(Number(value.toPrecision(6))) };
    }),
  };
}

/** The chart as an SVG document; values must be positive. */
export function logLogChart(chart: Chart): string {
  return drawChart(chart, logAxis);
}

/** The chart with linear axes. */
export function linearChart(chart: Chart): string {
  return drawChart(chart, linearAxis);
}

function drawChart(
  { title, xLabel, yLabel, series }: Chart,
  axis: (values: readonly number[]) => Axis,
): string {
  const all = series.flatMap(({ points }) => points);
  const horizontal = axis(all.map(({ x }) => x));
  const vertical = axis(all.map(({ y }) => y));
  const [plotWidth, plotHeight] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const px = (x: number) => LEFT + horizontal.place(x) * plotWidth;
  const py = (y: number) => TOP + plotHeight - vertical.place(y) * plotHeight;
  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="24" font-size="15" font-weight="bold">${escapeText(title)}</text>`,
  ];
  for (const { value, text } of horizontal.ticks) {
    const x = px(value).toFixed(1);
    out.push(`<line x1="${x}" y1="${TOP}" x2="${x}" y2="${TOP + plotHeight}" stroke="#ddd"/>`);
    out.push(`<text x="${x}" y="${TOP + plotHeight + 18}" text-anchor="middle">${text}</text>`);
  }
  for (const { value, text } of vertical.ticks) {
    const y = py(value).toFixed(1);
    out.push(`<line x1="${LEFT}" y1="${y}" x2="${LEFT + plotWidth}" y2="${y}" stroke="#ddd"/>`);
    out.push(`<text x="${LEFT - 8}" y="${Number(y) + 4}" text-anchor="end">${text}</text>`);
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
