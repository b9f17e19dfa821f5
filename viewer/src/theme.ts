// Light or dark: what the system says, until the reader chooses.
import './theme.css';
import { make } from './dom';

export type Theme = 'light' | 'dark';
const system = matchMedia('(prefers-color-scheme: dark)');
let chosen: Theme | null = null;
const listeners: (() => void)[] = [];

export const theme = (): Theme => chosen ?? (system.matches ? 'dark' : 'light');

/** Calls the function whenever the colours change. */
export function onTheme(listener: () => void): void {
  listeners.push(listener);
}

/** The present value of a colour of theme.css: colour('--c1'). */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function setTheme(value: Theme | null): void {
  chosen = value;
  apply();
}

function apply(): void {
  document.documentElement.dataset.theme = theme();
  for (const listener of listeners) listener();
}
system.addEventListener('change', apply);
apply();

/** The button that switches. */
export function themeButton(): HTMLButtonElement {
  const button = make('button', { title: 'Light or dark (d)', 'aria-label': 'Switch between light and dark' });
  const show = () => (button.textContent = theme() === 'dark' ? '☀' : '☾');
  button.onclick = () => setTheme(theme() === 'dark' ? 'light' : 'dark');
  onTheme(show);
  show();
  return button;
}
