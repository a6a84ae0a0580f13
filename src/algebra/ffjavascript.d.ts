declare module 'ffjavascript' {
  export function buildBn128(singleThread?: boolean, plugins?: (builder: unknown) => void): Promise<unknown>;
}
