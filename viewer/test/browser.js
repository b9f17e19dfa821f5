// Opens a page in headless Chromium and keeps what goes wrong: errors, and requests that leave the page.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const executablePath = process.env.KEDGE_CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

const patience = 600_000; // ms: the machine may be busy

export async function launch({ webgl = true } = {}) {
  return chromium.launch({
    executablePath,
    timeout: patience,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--disable-dev-shm-usage',
      ...(webgl ? ['--disable-gpu', '--enable-unsafe-swiftshader'] : ['--disable-gpu', '--disable-webgl', '--disable-webgl2', '--disable-3d-apis']),
    ],
  });
}

/** A page of its own context, which waits as long as a busy machine takes. */
export async function newPage(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  return context.newPage();
}

/** @returns the page, and the lists that it fills */
export async function open(browser, file, { width = 1280, height = 800, dark = false, touch = false, hash = '' } = {}) {
  const page = await newPage(browser, { viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', hasTouch: touch, isMobile: touch });
  const url = pathToFileURL(file).href;
  const errors = [];
  const requests = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('request', (request) => /^(data|blob):/.test(request.url()) || request.url().split('#')[0] === url || requests.push(request.url()));
  await page.goto(url + hash);
  return { page, errors, requests, close: () => page.context().close() };
}
