// The page of `aci-dns demo` in Chromium: a group is created, restarted, moved, stopped and deleted, with the keyboard
// only; Private DNS is throttled; the timeline shows when the name was wrong; nothing foreign is loaded.
//
//   node check_page.js BINARY CHROMIUM [FOLDER]
//
// playwright-core is found through NODE_PATH. With a folder, screenshots are written there.
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const path = require('node:path');
const { chromium } = require('playwright-core');

const [binary, executablePath, folder] = process.argv.slice(2);
const WAIT = { timeout: 60_000 };

/** Starts the demo, and resolves to its URL. */
function start() {
  const demo = spawn(binary, ['demo', '--port', '0', '--dns', '0', '--provisioning', '2'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = new Promise((resolve, reject) => {
    let output = '';
    demo.stdout.on('data', data => {
      output += data;
      const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(output);
      if (found) resolve(found[0]);
    });
    demo.on('exit', code => reject(new Error(`the demo ended with ${code}`)));
  });
  return { demo, url };
}

/** Presses Tab until the element has the focus. */
async function tabTo(page, locator) {
  for (let presses = 0; presses < 120; presses += 1) {
    if (await locator.evaluate(element => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`the keyboard does not reach ${locator}`);
}

async function press(page, name, key = 'Enter') {
  await tabTo(page, page.getByRole('button', { name, exact: true }));
  await page.keyboard.press(key);
}

/** The card of a group once it is in this state. */
async function becomes(page, group, state, timeout = WAIT.timeout) {
  const card = page.locator(`#cards > li.${state}`).filter({ has: page.locator('h3 > span', { hasText: new RegExp(`^${group}$`) }) });
  await card.waitFor({ timeout });
  return card;
}

const address = async (page, group) => {
  const groups = await (await page.request.get('/simulator/groups')).json();
  return groups.find(it => it.id.endsWith(`/${group}`)).address;
};

async function isAccessible(page) {
  const problems = await page.evaluate(() => {
    const found = [];
    for (const element of document.querySelectorAll('button, input, select, [role=region], [role=log]')) {
      const label = element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent
        || document.getElementById(element.getAttribute('aria-labelledby'))?.textContent;
      if (!label || !label.trim()) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
    ids.filter((id, index) => ids.indexOf(id) !== index).forEach(id => found.push(`twice: ${id}`));
    if (document.documentElement.scrollWidth > window.innerWidth) found.push('the page scrolls sideways');
    return found;
  });
  assert.deepEqual(problems, []);
}

/** The contrast of every text with its background is at least 4.5 (WCAG 2.2, 1.4.3). */
async function isReadable(page) {
  const faint = await page.evaluate(() => {
    const parse = color => (color.match(/[\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(part => part / 255)
      .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = element => {
      for (let at = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    const found = new Set();
    for (const element of document.querySelectorAll('body *')) {
      const hasText = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
      if (!hasText || !element.checkVisibility() || element.closest('[aria-disabled=true]')) continue;
      const [text, back] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const contrast = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
      if (contrast < 4.5) found.add(`${contrast.toFixed(2)} ${element.textContent.slice(0, 40)}`);
    }
    return [...found];
  });
  assert.deepEqual(faint, []);
}

async function main() {
  const { demo, url } = start();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const base = await url;
    const context = await browser.newContext({ baseURL: base, viewport: { width: 1280, height: 1060 }, colorScheme: 'light' });
    const page = await context.newPage();
    const foreign = [];
    const errors = [];
    page.on('request', request => { if (!request.url().startsWith(base) && !request.url().startsWith('data:')) foreign.push(request.url()); });
    page.on('pageerror', error => errors.push(String(error)));
    page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
    const shoot = async name => {
      if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: name !== 'demo' });
    };
    await page.goto('/');
    for (const group of ['web-1', 'web-2', 'web-3']) await becomes(page, group, 'right');
    await page.locator('#summary', { hasText: 'All 3 names are right' }).waitFor(WAIT);

    // Create, with the keyboard only.
    await tabTo(page, page.getByLabel('Name of a new group'));
    await page.keyboard.press('Control+A');
    await page.keyboard.type('shop-1');
    await page.keyboard.press('Enter');
    await page.locator('#said', { hasText: 'shop-1 is deployed' }).waitFor(WAIT);
    await becomes(page, 'shop-1', 'right');
    await page.locator('#log', { hasText: '+ A shop-1.spoke1.contoso.internal' }).waitFor(WAIT);
    await page.locator('#sets tr', { hasText: 'shop-1.spoke1.contoso.internal' }).first().waitFor(WAIT);

    // A name that Azure refuses never reaches it.
    await page.getByLabel('Name of a new group').fill('Shop--1');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('#name:invalid').count(), 1);
    await page.getByLabel('Name of a new group').fill('api-1');

    // Restart: red until the handler has written, and the focus stays.
    const before = await address(page, 'shop-1');
    await press(page, 'Restart shop-1');
    await becomes(page, 'shop-1', 'wrong');
    assert.ok(await page.getByRole('button', { name: 'Restart shop-1' }).evaluate(it => it === document.activeElement));
    const card = await becomes(page, 'shop-1', 'right');
    assert.notEqual(await address(page, 'shop-1'), before);
    assert.ok(await card.locator('rect.wrong').count() > 0, 'the timeline shows the red stretch');
    assert.match(await card.locator('svg').getAttribute('aria-label'), /wrong \d+ times?, longest/);
    await page.locator('#log', { hasText: '~ A shop-1.spoke1.contoso.internal' }).waitFor(WAIT);

    // The platform moves it without an event; the sweep finds it.
    await press(page, 'Move shop-1', 'Space');
    await becomes(page, 'shop-1', 'wrong');
    await shoot('moved');
    await press(page, 'Run the sweep now');
    await becomes(page, 'shop-1', 'right');

    // Throttled, the work waits in the retry queue.
    await press(page, 'Throttle Private DNS for 30 s');
    await page.locator('#fault-list', { hasText: '429' }).waitFor(WAIT);
    await press(page, 'Restart web-2');
    await page.locator('#log', { hasText: 'deferred' }).waitFor(WAIT);
    await becomes(page, 'web-2', 'wrong');
    await shoot('demo');
    await press(page, 'Remove all faults');
    await page.locator('#fault-list', { hasText: 'None' }).waitFor(WAIT);
    await becomes(page, 'web-2', 'right', 120_000);

    // Stopped, it has no name; started, it has one again.
    await press(page, 'Stop web-3');
    await becomes(page, 'web-3', 'idle');
    await page.locator('#sets .empty', { hasText: 'no data' }).waitFor(WAIT);
    await press(page, 'Start web-3');
    await becomes(page, 'web-3', 'right');

    // Deleted, its name goes, and the focus goes to another group.
    await press(page, 'Delete shop-1');
    await becomes(page, 'shop-1', 'idle');
    assert.ok(await page.evaluate(() => document.activeElement !== document.body), 'the focus is not lost');
    await page.locator('#sets tr', { hasText: 'shop-1' }).first().waitFor({ state: 'detached', ...WAIT });

    assert.equal(await page.getByRole('button', { name: 'Delete shop-1' }).count(), 0, 'what is deleted has no buttons');

    // Requests are shown on demand.
    assert.equal(await page.locator('#log li[data-kind=request]:visible').count(), 0);
    await tabTo(page, page.getByLabel('requests'));
    await page.keyboard.press('Space');
    await page.locator('#log li[data-kind=request]:visible').first().waitFor(WAIT);
    await page.keyboard.press('Space');

    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const width of [1280, 800, 360]) {
        await page.setViewportSize({ width, height: 860 });
        await isAccessible(page);
        await isReadable(page);
        await shoot(`${colorScheme}-${width}`);
      }
    }
    assert.deepEqual(foreign, [], 'nothing foreign is loaded');
    assert.deepEqual(errors, [], 'nothing is refused, and no script fails');

    // An open page does not keep the demo alive.
    const ended = new Promise(resolve => { demo.on('exit', resolve); });
    demo.kill('SIGINT');
    const timer = new Promise(resolve => { setTimeout(() => resolve('it goes on'), 10_000); });
    assert.equal(await Promise.race([ended, timer]), 0, 'the demo ends');
    console.log('the page: create, restart, move, throttle, stop, start and delete, with the keyboard');
  } finally {
    await browser.close();
    demo.kill('SIGKILL');
  }
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
