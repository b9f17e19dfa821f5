// Making elements, in one expression.

type Child = Node | string | null | undefined | false;
type Properties = Record<string, unknown>;

/** An element with properties (`class`, `onclick`, ...; what begins with "aria-", "data-" or is "role" or "for" is an attribute) and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === 'class') element.className = String(value);
    else if (name === 'style') element.style.cssText = String(value);
    else if (/^(aria-|data-|role$|for$)/.test(name)) element.setAttribute(name, String(value));
    else (element as unknown as Properties)[name] = value;
  }
  for (const child of children) if (child || child === '') element.append(child as Node | string);
  return element;
}

/** A number for people: four significant digits. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2).replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
}
