/** Longest part of a foreign string that an error message repeats. */
const MAX_SHOWN = 80;

/** A name from a foreign file, safe to put in a one-line message: printable ASCII, at most 80 characters, quoted. */
export function quoted(text: string): string {
  const shown = text.slice(0, MAX_SHOWN).replace(/[^\x20-\x7e]/g, '?');
  return `"${shown}${text.length > MAX_SHOWN ? '...' : ''}"`;
}
