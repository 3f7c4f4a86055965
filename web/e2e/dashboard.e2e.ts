/**
 * The dashboard in a real browser against a real FlowTrack that sees traffic.
 *
 * FLOWTRACK_URL: the one-time link that FlowTrack printed.
 * FLOWTRACK_CHROMIUM: the browser, where it is not /usr/bin/chromium.
 * FLOWTRACK_SHOTS: a folder for screenshots at both widths, light and dark.
 */
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const url = process.env.FLOWTRACK_URL ?? '';
const origin = url && new URL(url).origin;
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 844 };
const PAGES = ['/', '/flows', '/hosts', '/encryption', '/alerts', '/response', '/system'];

/** Milliseconds that a machine that is busy may take for anything. */
const PATIENCE = 60_000;

let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the browser complained about: errors, and violations of the content security policy. */
const complaints: string[] = [];

beforeAll(async () => {
  if (!url) throw new Error('FLOWTRACK_URL must be the link that FlowTrack printed');
  browser = await chromium.launch({
    executablePath: process.env.FLOWTRACK_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context = await browser.newContext({ viewport: WIDE, acceptDownloads: true });
  context.setDefaultTimeout(PATIENCE);
  page = await context.newPage();
  listen(page);
  await page.goto(url);
});

afterAll(async () => {
  await browser?.close();
});

function listen(target: Page): void {
  target.on('console', (message) => {
    // Wrong input that a test gives is answered so.
    const refused = message.text().includes('status of 422');
    if (message.type() === 'error' && !refused) complaints.push(message.text());
  });
  target.on('pageerror', (error) => complaints.push(String(error)));
  target.on('requestfailed', (request) => {
    // Streams and downloads end when a page is left.
    const ended = request.failure()?.errorText === 'net::ERR_ABORTED';
    if (!ended) complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
}

async function open(path: string, target: Page = page): Promise<void> {
  await target.goto(origin + path);
  await target.getByRole('status').first().waitFor();
}

/** The cells of a column, from the top. */
async function cells(column: string): Promise<string[]> {
  const texts = await page.locator(`[data-row] .cell.${column}`).allInnerTexts();
  return texts.map((text) => text.trim());
}

/** A size as a number of bytes: `1.24 MB`. */
function size(text: string): number {
  const [, digits, prefix] = /([\d.]+) ([kMGT]?)B/.exec(text) ?? [];
  return Number(digits) * 1000 ** ['', 'k', 'M', 'G', 'T'].indexOf(prefix ?? '');
}

async function filterBy(expression: string): Promise<void> {
  const box = page.getByLabel('Filter flows');
  await box.fill(expression);
  await box.press('Escape');
  await box.press('Enter');
}

describe('signing in', () => {
  it('works with the link, once', async () => {
    expect(new URL(page.url()).pathname).toBe('/');
    const other = await browser.newContext();
    other.setDefaultTimeout(PATIENCE);
    const stranger = await other.newPage();
    await stranger.goto(url);
    await stranger.getByText('used already').waitFor();
    await other.close();
  });
});

describe('the overview', () => {
  it('draws charts and fills its panels', async () => {
    await open('/');
    const chart = page.getByRole('img', { name: /^Traffic of the last five minutes/ });
    await chart.locator('canvas').waitFor();
    const label = async () => (await chart.getAttribute('aria-label')) ?? '';
    await expect.poll(label).toMatch(/Throughput [1-9].* [kMG]?bit\/s/);
    await page.locator('section:has-text("Protocols") li').first().waitFor();
    await page.locator('section:has-text("Top talkers") li').first().waitFor();
    await expect.poll(() => cells('proto')).not.toHaveLength(0);
  });

  it('is fed without being asked to reload', async () => {
    const total = page.locator('dl[aria-label="Now"]');
    const before = await total.innerText();
    await expect.poll(() => total.innerText()).not.toBe(before);
  });

  it('shows protocols over time', async () => {
    await page.getByRole('button', { name: 'By protocol' }).click();
    const chart = page.locator('[role=img][aria-label^="Traffic"]');
    await expect.poll(() => chart.getAttribute('aria-label')).toContain('other');
  });
});

describe('the flow table', () => {
  it('fills and sorts', async () => {
    await open('/flows');
    await page.locator('[data-row="0"]').waitFor();
    await page.getByRole('button', { name: 'Packets' }).click();
    await page.getByRole('button', { name: 'Bytes' }).click();
    await page.locator('[role=columnheader].bytes[aria-sort=descending]').waitFor();
    // The order follows the numbers a little later, so it may be briefly out of date.
    const isSorted = async () => {
      const sizes = (await cells('bytes')).map(size);
      return (
        sizes.length > 1 && sizes.every((now, i) => i === 0 || now <= (sizes[i - 1] ?? 0) * 1.05)
      );
    };
    await page.mouse.move(0, 0);
    await expect.poll(isSorted).toBe(true);
    await page.getByRole('button', { name: 'Bytes' }).click();
    await page.locator('[role=columnheader].bytes[aria-sort=ascending]').waitFor();
  });

  it('filters, and says where a filter is wrong', async () => {
    // The transport stands behind the name of a protocol that it carries.
    const apps = (await cells('proto')).map((text) => /^([a-z]+)\s+(tcp|udp)$/.exec(text)?.[1]);
    const app = apps.find((name) => name !== undefined);
    await filterBy(app ? `app_proto = ${app}` : 'proto = tcp');
    const isRight = (text: string) => text.startsWith(app ?? '') || text === 'tcp';
    const areRight = (now: string[]) => now.length > 0 && now.every(isRight);
    await expect.poll(() => cells('proto')).toSatisfy(areRight);

    await filterBy('bytes > 1 and src_prot = 80');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    await expect.poll(() => alert.innerText()).toContain('src_port');
    await expect.poll(() => alert.innerText()).toContain('character 15');

    await filterBy('bytes > 900T');
    await page.getByText('No flow matches').waitFor();
    await page.getByRole('button', { name: 'Remove the filter' }).click();
    await page.locator('[data-row="0"]').waitFor();
  });

  it('completes what is typed', async () => {
    await open('/flows');
    await page.getByLabel('Filter flows').pressSequentially('app_pr');
    await page.getByRole('option', { name: /^app_proto/ }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    const typed = () => page.getByLabel('Filter flows').inputValue();
    await expect.poll(typed).toBe('app_proto ');
  });

  it('opens a flow with the keyboard and closes it', async () => {
    await open('/flows');
    await page.locator('[data-row="0"]').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    const drawer = page.getByRole('dialog', { name: 'Flow' });
    await drawer.waitFor();
    await drawer.getByText('Community ID').first().waitFor();
    await page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'detached' });
  });

  it('exports what the filter matches as CSV', async () => {
    await open('/flows?filter=packets+%3E+1');
    await page.locator('[data-row="0"]').waitFor();
    await page.getByRole('button', { name: 'Export' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: /Flows as CSV/ }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('flowtrack-flows.csv');
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
    expect(lines[0]).toContain('src_ip');
    expect(lines.length).toBeGreaterThan(1);
    // No cell that a spreadsheet would run.
    for (const line of lines) expect(line).not.toMatch(/(^|,)"?[=+@]/);
  });
});

describe('alerts', () => {
  const rows = () => page.locator('[data-alert]');
  const drawer = () => page.getByRole('dialog', { name: 'Alert' });

  it('appear without being asked for, with what proves them', async () => {
    await open('/alerts');
    await rows().first().waitFor();
    await rows().first().click();
    await drawer().waitFor();
    const text = () => drawer().innerText();
    await expect.poll(text).toContain('What found it');
    await expect.poll(text).toMatch(/Evidence|Flows/);
    await expect.poll(text).toMatch(/info|low|medium|high|critical/);
    await page.keyboard.press('Escape');
    await drawer().waitFor({ state: 'detached' });
  });

  it('say where a filter is wrong', async () => {
    const box = page.getByLabel('Filter alerts');
    await box.fill('scan severty=high');
    await box.press('Enter');
    await page.getByRole('alert').getByText('did you mean').waitFor();
    await box.fill('');
    await box.press('Enter');
    await rows().first().waitFor();
  });

  it('stay seen with a note after a reload', async () => {
    await open('/alerts?show=all&filter=state%3Dnew');
    await rows().first().waitFor();
    const id = await rows().first().getAttribute('data-alert');
    await open(`/alerts?show=all&alert=${id}`);
    await drawer().getByLabel('Note').fill('looked at by a test');
    await drawer().getByRole('button', { name: 'Keep note' }).click();
    await drawer().getByRole('button', { name: 'Keep note' }).waitFor({ state: 'detached' });
    await drawer().getByRole('button', { name: 'Resolve' }).click();
    await drawer().getByText('Resolved', { exact: true }).waitFor();
    const kept = await page.request.get(`${origin}/api/v1/alerts/${id}`);
    expect((await kept.json()).note).toBe('looked at by a test');
    await page.reload();
    const note = () => drawer().getByLabel('Note').inputValue();
    await expect.poll(note).toBe('looked at by a test');
  });

  it('are muted with a preview, and shown again when the mute ends', async () => {
    await open('/alerts');
    await rows().first().waitFor();
    const id = await rows().first().getAttribute('data-alert');
    await rows().first().click();
    await drawer().getByRole('button', { name: 'Mute …' }).click();
    const dialog = page.getByRole('dialog', { name: 'Mute alerts' });
    await dialog.getByText(/would have hidden \d/).waitFor();
    await dialog.getByLabel('Source').fill('10.0.0.0/99');
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Source').fill('');
    await dialog.getByText(/would have hidden \d/).waitFor();
    await dialog.getByLabel('Reason').fill('known to the test');
    await dialog.getByRole('button', { name: /^Mute for/ }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.locator(`[data-alert="${id}"]`).waitFor({ state: 'detached' });
    await page.reload();
    await page.getByRole('button', { name: 'Muted' }).click();
    await page.locator(`[data-alert="${id}"]`).waitFor();

    await open('/response');
    await page.getByText('known to the test').waitFor();
    await page.getByRole('button', { name: 'End now' }).first().click();
    await page.getByText('No alert is muted').waitFor();
    const shown = await page.request.get(`${origin}/api/v1/alerts/${id}`);
    expect((await shown.json()).state).not.toBe('muted');
  });

  it('are exported as CSV', async () => {
    await open('/alerts?show=all');
    await page.getByRole('button', { name: 'Export' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: /Alerts as CSV/ }).click(),
    ]);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
    expect(lines[0]).toMatch(/^id,first_us,last_us,severity,state/);
    expect(lines.length).toBeGreaterThan(1);
  });
});

describe('strings from the wire', () => {
  // The stream is replaced by one in which every text is one of these.
  const PAYLOADS = [
    '<script>window.caught = 1</script>',
    '<img src=x onerror="window.caught = 1">',
    '<svg onload=window.caught=1>',
    '"><script>window.caught=1</script>',
    "'-window.caught=1-'",
    '<iframe srcdoc="<script>parent.caught=1</script>">',
    '</title><script>window.caught=1</script>',
    '<a href="javascript:window.caught=1">x</a>',
    'javascript:window.caught=1',
    '{{constructor.constructor("window.caught=1")()}}',
    '{@html "<script>window.caught=1</script>"}',
    '<style>*{display:none}</style>',
    '\u202egnp.exe <b>bold</b>',
    '<!--<script>window.caught=1//-->',
    '&lt;script&gt;window.caught=1&lt;/script&gt;',
    '<math><mtext></mtext><mglyph><style><img src=x onerror=window.caught=1>',
  ];

  function hostile(key: string, value: unknown, i: number): unknown {
    if (typeof value !== 'string' || key === 'id' || key === 'state') return value;
    return PAYLOADS[i % PAYLOADS.length];
  }

  /** The same with a payload for every text, each a different one, the first one first. */
  function twisted(value: unknown, next = { i: 0 }): unknown {
    if (typeof value === 'string') {
      const at = next.i++;
      const text = PAYLOADS[at % PAYLOADS.length] ?? '';
      return at < PAYLOADS.length ? text : `${text}${at}`;
    }
    if (Array.isArray(value)) return value.map((item) => twisted(item, next));
    if (value === null || typeof value !== 'object') return value;
    const entries = Object.entries(value).map(([key, item]) => [key, twisted(item, next)]);
    return Object.fromEntries(entries);
  }

  it('are shown as text and never run', async () => {
    const evil = await context.newPage();
    listen(evil);
    const now = await evil.request.get(`${origin}/api/v1/snapshot?flows=1&hosts=1`);
    const { flows, hosts, ...rest } = await now.json();
    const status = await (await evil.request.get(`${origin}/api/v1/status`)).json();
    const twist = (row: Record<string, unknown>, i: number) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, hostile(key, value, i)]));
    const rows = PAYLOADS.map((text, i) => ({
      ...twist(flows[0], i),
      id: `0-${i}`,
      src_name: text,
      dest_name: text,
      info: text,
      app_proto: text,
    }));
    const state = {
      ...rest,
      capture: { ...twist(status.capture, 1), interfaces: [PAYLOADS[1]], state: 'running' },
      health: { parts: PAYLOADS.map((text) => ({ name: text, state: 'ok', message: text })) },
      hosts: PAYLOADS.map((text, i) => ({ ...hosts[0], addr: `${text}${i}`, name: text })),
      protocols: PAYLOADS.map((text) => ({ protocol: text, packets: 1, bytes: 1 })),
    };
    const events = [
      ['state', state],
      ['flows', { revision: 1, matched: rows.length, order: rows.map((row) => row.id), rows }],
    ];
    const body = events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    await evil.route('**/api/v1/live*', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: body.join('') }),
    );
    const encryption = await (await evil.request.get(`${origin}/api/v1/encryption`)).json();
    await evil.route('**/api/v1/encryption*', (route) =>
      route.fulfill({ json: twisted(encryption) as object }),
    );
    const alerts = PAYLOADS.map((text, i) => ({
      id: i + 1,
      kind: 'signature',
      gid: 1,
      sid: i,
      severity: 'high',
      count: 1,
      occurrences: 1,
      first_us: 1,
      last_us: 1,
      many: false,
      flows: [text],
      source_proved: false,
      state: 'new',
      reopened: 0,
      src_ip: text,
      dest_ip: text,
      technique: { id: text, name: text },
      evidence: [{ name: text, value: text }],
      ...Object.fromEntries(
        ['name', 'category', 'title', 'explanation', 'note'].map((key) => [key, text]),
      ),
    }));
    await evil.route('**/api/v1/alerts?*', (route) =>
      route.fulfill({ json: { rows: alerts, next: null } }),
    );
    const mutes = PAYLOADS.map((text, i) => ({
      id: i,
      ...{ rule: text, source: text, target: text, port: text, reason: text },
      ...{ created_us: 1, until_us: 1, hidden: 1 },
    }));
    await evil.route('**/api/v1/mutes', (route) => route.fulfill({ json: mutes }));
    for (const path of PAGES) {
      await evil.goto(origin + path);
      await evil
        .getByText(PAYLOADS[0] ?? '', { exact: true })
        .first()
        .waitFor();
      if (path === '/flows') {
        for (const text of PAYLOADS) {
          expect(await evil.getByText(text).count(), text).toBeGreaterThan(0);
        }
        await evil.locator('[data-row="0"]').click();
        await evil.getByRole('dialog', { name: 'Flow' }).waitFor();
      }
      if (path === '/alerts') {
        await evil.locator('[data-alert]').first().click();
        await evil.getByRole('dialog', { name: 'Alert' }).waitFor();
      }
      expect(await evil.evaluate('window.caught')).toBeUndefined();
      expect(await evil.title()).toMatch(/FlowTrack$/);
      const made = '#app :is(script, img, iframe, style, math, mglyph, b, svg[onload])';
      expect(await evil.locator(made).count()).toBe(0);
      expect(await evil.locator('a[href^="javascript"]').count()).toBe(0);
    }
    await evil.close();
  });
});

describe('the capture', () => {
  it('names the place of an error in its filter', async () => {
    await open('/');
    const field = page.getByLabel(/^Capture filter/);
    await field.fill('tcp and (port');
    await page.locator('.query.wrong').waitFor();
    expect(await page.getByRole('alert').innerText()).not.toBe('');
    await field.fill('');
  });

  it('stops and starts', async () => {
    await open('/');
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Start' }).waitFor();
    await page.locator('.pill', { hasText: 'Stopped' }).waitFor();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('button', { name: 'Stop' }).waitFor();
    await page.locator('.pill', { hasText: 'bit/s' }).waitFor();
  });
});

describe('the look', () => {
  const shots = process.env.FLOWTRACK_SHOTS;

  for (const [viewport, colorScheme] of [
    [WIDE, 'light'],
    [WIDE, 'dark'],
    [NARROW, 'light'],
    [NARROW, 'dark'],
  ] as const) {
    it(`fits ${viewport.width} pixels, ${colorScheme}`, async () => {
      const other = await browser.newContext({
        viewport,
        colorScheme,
        storageState: await context.storageState(),
      });
      other.setDefaultTimeout(PATIENCE);
      const target = await other.newPage();
      listen(target);
      for (const path of PAGES) {
        await open(path, target);
        await target.waitForTimeout(1_200);
        const [overflow, background] = await target.evaluate(() => [
          document.documentElement.scrollWidth - innerWidth,
          getComputedStyle(document.body).backgroundColor,
        ]);
        expect(overflow, `${path} scrolls sideways`).toBeLessThanOrEqual(0);
        const [red = 0] = (/\d+/.exec(String(background)) ?? []).map(Number);
        expect(red < 128).toBe(colorScheme === 'dark');
        if (shots) {
          mkdirSync(shots, { recursive: true });
          const name = path === '/' ? 'overview' : path.slice(1);
          await target.screenshot({
            path: `${shots}/${name}-${viewport.width}-${colorScheme}.png`,
          });
        }
      }
      await other.close();
    });
  }

  it('can be switched by hand', async () => {
    await open('/');
    const button = page.getByRole('button', { name: /colours|Colours/ });
    await button.click();
    await button.click();
    const theme = () => page.locator('html').getAttribute('data-theme');
    await expect.poll(theme).toBe('dark');
    await page.reload();
    await expect.poll(theme).toBe('dark');
    await button.click();
  });
});

describe('the browser', () => {
  it('had nothing to complain about', () => {
    expect(complaints).toEqual([]);
  });
});
