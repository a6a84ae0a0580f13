import type { AdapterLeakage } from '../src/inference/index.js';

const TEXT_WIDTH = 20;

/** A share as a percentage with one decimal; never 100.0 for less than all. */
export function percent(value: number): string {
  const rounded = (100 * value).toFixed(1);
  return `${rounded === '100.0' && value < 1 ? '>99.9' : rounded} %`;
}

/** A share as a bar of characters. */
export function textBar(value: number): string {
  const filled = Math.round(value * TEXT_WIDTH);
  return '#'.repeat(filled).padEnd(TEXT_WIDTH, '.');
}

const ROW = 22;
const LABELS = 300;
const BARS = 400;
const TOP = 56;
const MEASURED = '#1f5fa8';
const COUNTED = '#c9d8ea';

/** Bars of every module: measured over counted. Names of modules hold no character that XML treats specially. */
export function leakageSvg(title: string, { modules }: AdapterLeakage): string {
  const height = TOP + ROW * modules.length + 16;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LABELS + BARS + 90} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${LABELS + BARS + 90}" height="${height}" fill="white"/>`,
    `<text x="16" y="22" font-size="15" font-weight="bold">${title}</text>`,
    `<rect x="${LABELS}" y="32" width="12" height="12" fill="${MEASURED}"/><text x="${LABELS + 18}" y="42">measured</text>`,
    `<rect x="${LABELS + 100}" y="32" width="12" height="12" fill="${COUNTED}"/><text x="${LABELS + 118}" y="42">counted</text>`,
  ];
  modules.forEach(({ module, measured, counted }, i) => {
    const y = TOP + ROW * i;
    out.push(
      `<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${module}</text>`,
      `<rect x="${LABELS}" y="${y + 2}" width="${(BARS * counted).toFixed(1)}" height="${ROW - 6}" fill="${COUNTED}"/>`,
      `<rect x="${LABELS}" y="${y + 2}" width="${(BARS * measured).toFixed(1)}" height="${ROW - 6}" fill="${MEASURED}"/>`,
      `<text x="${LABELS + BARS + 8}" y="${y + 14}">${percent(counted)}</text>`,
    );
  });
  return `${[...out, '</svg>'].join('\n')}\n`;
}
