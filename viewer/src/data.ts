// What kedge put into the page: <script type="application/json" id="..."> and binary parts in base64.

/** The JSON part of this name. Throws if the page has none. */
export function json<T>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`this page has no part "${id}"`);
  return JSON.parse(element.textContent ?? '') as T;
}

export const has = (id: string): boolean => document.getElementById(id) !== null;

/** The binary part of this name, undone from its compression: "deflate" (zlib) or "gzip". */
export async function binary(id: string, compression: 'deflate' | 'gzip'): Promise<ArrayBuffer> {
  const element = document.getElementById(id);
  if (!element) throw new Error(`this page has no part "${id}"`);
  const text = atob((element.textContent ?? '').trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(compression));
  return new Response(stream).arrayBuffer();
}
