// The page of the simulator: a client of its control requests. It keeps elements and changes their text, so that the
// keyboard focus and the place of a screen reader stay where they are.
'use strict';
const find = (selector, root = document) => root.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const SVG = 'http://www.w3.org/2000/svg';
const KEPT = 300;
const WORDS = { right: 'Right', reverse: 'PTR wrong', wrong: 'Wrong', idle: 'No name' };
const HEIGHTS = { right: 6, reverse: 11, wrong: 18, idle: 2 };

let state = null;
let received = 0;
const cards = new Map();

/** Seconds since the start of the simulator, between two states by the clock of the browser. */
const now = () => (state ? state.now + (performance.now() - received) / 1000 : 0);
const clock = at => new Date((state.epochSeconds + at) * 1000).toLocaleTimeString([], { hour12: false });
const seconds = count => (count < 90 ? `${Math.max(1, Math.round(count))} s` : `${Math.round(count / 60)} min`);
const many = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;

function say(text, isError = false) {
  const said = find('#said');
  said.classList.toggle('error', isError);
  said.textContent = text;
}

async function send(method, path, body, words) {
  const options = { method, headers: { 'Content-Type': 'application/json' } };
  if (method !== 'DELETE') options.body = JSON.stringify(body);
  try {
    const answer = await fetch(`/simulator/${path}`, options);
    if (answer.ok) return say(words);
    const error = await answer.json();
    say(error.message || `The simulator answered ${answer.status}.`, true);
  } catch {
    say('The simulator does not answer.', true);
  }
}

// Container groups.

const ACTIONS = [
  ['restart', 'Restart', 'NAME restarts: Azure raises an event', true],
  ['stop', 'Stop', 'NAME stops: Azure raises an event', false],
  ['move', 'Move', 'The platform moved NAME: Azure raises no event', true],
  ['delete', 'Delete', 'NAME is deleted: Azure raises an event', false],
];

function makeCard() {
  const card = make('li');
  const parts = { title: make('span'), where: make('small'), verdict: make('span', { className: 'verdict' }), fqdn: make('code'), detail: make('span') };
  parts.svg = document.createElementNS(SVG, 'svg');
  parts.svg.setAttribute('viewBox', '0 0 1000 18');
  parts.svg.setAttribute('preserveAspectRatio', 'none');
  parts.svg.setAttribute('role', 'img');
  parts.start = make('span');
  parts.text = make('span');
  parts.buttons = make('div', { className: 'buttons' });
  for (const [verb, label, words, needsAddress] of ACTIONS) {
    const button = make('button', { type: 'button', textContent: label, className: verb === 'delete' ? 'danger' : '' });
    button.dataset.verb = verb;
    button.addEventListener('click', () => {
      const { group } = card;
      if (!group) return;
      if (needsAddress && !group.address) return say(`${group.name} has no address at this moment.`, true);
      const name = group.name;
      const next = verb === 'delete' && (card.nextElementSibling || card.previousElementSibling);
      const actual = verb === 'stop' && button.dataset.starts ? 'start' : verb;
      const message = actual === 'start' ? `${name} starts: Azure raises an event.` : `${words.replace('NAME', name)}.`;
      send('POST', `groups/${actual}`, { id: group.id }, message);
      if (verb === 'delete') ((next && find('button', next)) || find('#groups')).focus();
    });
    parts.buttons.append(button);
  }
  card.append(
    make('div', { className: 'top' }, make('h3', {}, parts.title, parts.where), parts.buttons),
    make('p', { className: 'name' }, parts.verdict, parts.fqdn, parts.detail),
    parts.svg,
    make('p', { className: 'ends' }, parts.start, parts.text, make('span', { textContent: 'now' })),
  );
  card.parts = parts;
  return card;
}

function describe(group) {
  if (!group) return 'deleted';
  const life = group.provisioningState === 'Succeeded' ? group.state : `being provisioned (${group.provisioningState})`;
  return group.address ? `${life}, ${group.address}` : `${life}, no address`;
}

function showGroups() {
  const rows = new Map();
  for (const group of state.groups) rows.set(`${group.resourceGroup}/${group.name}`.toLowerCase(), { group });
  for (const name of state.names) {
    const key = name.group.toLowerCase();
    const last = name.spans[name.spans.length - 1];
    // The name of a deleted group stays for a while after it went, to show how long that took.
    if (!rows.has(key) && name.state === 'idle' && now() - last[0] > 120) continue;
    rows.set(key, { ...rows.get(key), name });
  }
  const list = find('#cards');
  for (const [key, card] of cards) {
    if (rows.has(key)) continue;
    if (card.contains(document.activeElement)) find('#groups').focus();
    card.remove();
    cards.delete(key);
  }
  for (const [key, { group, name }] of rows) {
    let card = cards.get(key);
    if (!card) cards.set(key, card = makeCard());
    if (!card.isConnected) list.append(card);
    const { parts } = card;
    card.group = group;
    card.name = name;
    card.className = name ? name.state : 'idle';
    const [where, label] = [key.split('/')[0], group ? group.name : key.split('/')[1]];
    put(parts.title, label);
    put(parts.where, `${where}, ${describe(group)}`);
    put(parts.verdict, name ? WORDS[name.state] : 'No name');
    put(parts.fqdn, name ? name.name : '');
    put(parts.detail, name ? name.detail : 'no linked zone');
    parts.buttons.hidden = !group;
    for (const button of parts.buttons.children) {
      const { verb } = button.dataset;
      const isRunning = group && (group.state !== 'Stopped' || group.provisioningState !== 'Succeeded');
      if (verb === 'stop') {
        button.dataset.starts = isRunning ? '' : 'yes';
        put(button, isRunning ? 'Stop' : 'Start');
      }
      if (verb === 'move' || verb === 'restart') button.setAttribute('aria-disabled', String(!(group && group.address)));
      button.setAttribute('aria-label', `${button.textContent} ${label}`);
    }
  }
  find('#none').hidden = rows.size > 0;
  summarize();
  draw();
}

function summarize() {
  const live = state.names.filter(name => name.state !== 'idle');
  const wrong = live.filter(name => name.state === 'wrong').length;
  const reverse = live.filter(name => name.state === 'reverse').length;
  const summary = find('#summary');
  summary.className = `summary ${wrong ? 'wrong' : reverse ? 'reverse' : live.length ? 'right' : ''}`;
  let text = live.length === 1 ? 'The name is right' : `All ${live.length} names are right`;
  if (!live.length) text = 'No names yet';
  if (reverse) text = `${reverse} of ${many(live.length, 'reverse name')} wrong`;
  if (wrong) text = `${wrong} of ${many(live.length, 'name')} wrong`;
  put(summary, text);
  document.title = `${wrong ? `(${wrong} wrong) ` : ''}aci-dns: names and container groups`;
}

/** Draws every timeline up to this moment. */
function draw() {
  if (!state) return;
  const end = now();
  // At first, a timeline has the whole width for the little that there is.
  const width = Math.min(Number(find('#window').value), Math.max(60, end));
  const start = end - width;
  for (const card of cards.values()) {
    const { parts, name } = card;
    const spans = name ? name.spans : [];
    const total = { right: 0, reverse: 0, wrong: 0, idle: 0 };
    let [longest, times, used] = [0, 0, 0];
    spans.forEach(([since, word], index) => {
      const until = index + 1 < spans.length ? spans[index + 1][0] : end;
      const [from, to] = [Math.max(since, start), Math.min(until, end)];
      if (to <= from) return;
      total[word] += to - from;
      if (word === 'wrong') { times += 1; longest = Math.max(longest, to - from); }
      const rect = parts.svg.children[used] || parts.svg.appendChild(document.createElementNS(SVG, 'rect'));
      used += 1;
      const height = HEIGHTS[word];
      // A short span stays visible.
      const size = Math.max((to - from) / width * 1000, word === 'wrong' ? 2.5 : 0.5);
      const values = { class: word, x: (from - start) / width * 1000, y: (18 - height) / 2, width: size, height };
      for (const [key, value] of Object.entries(values)) rect.setAttribute(key, value);
    });
    while (parts.svg.children.length > used) parts.svg.lastChild.remove();
    const known = total.right + total.reverse + total.wrong;
    const share = known ? Math.floor(total.right / known * 1000) / 10 : 0;
    const wrong = times ? `, wrong ${many(times, 'time')}, longest ${seconds(longest)}` : '';
    const text = known ? `right ${share} % of the time${wrong}` : 'no name in this time';
    put(parts.start, `${seconds(width)} ago`);
    put(parts.text, text);
    parts.svg.setAttribute('aria-label', `The last ${seconds(width)}: ${text}`);
  }
}

// Faults.

const DNS = 'Microsoft.Network/privateDnsZones';
const GROUPS = 'Microsoft.ContainerInstance/containerGroups';
const FAULTS = [
  ['Throttle Private DNS for 30 s', { path: DNS, effect: 'answer', status: 429, code: 'TooManyRequests', retryAfterSeconds: 10, forSeconds: 30 }],
  ['Refuse writes for 30 s', { method: 'PUT', path: DNS, effect: 'answer', status: 503, code: 'ServiceUnavailable', forSeconds: 30 }],
  ['Lose the answer to the next write', { method: 'PUT', path: DNS, effect: 'drop', when: 'after' }],
  ['Slow down reads of groups for 30 s', { method: 'GET', path: GROUPS, effect: 'delay', milliseconds: 3000, forSeconds: 30 }],
  ['Stale reads of groups for 20 s', { method: 'GET', path: GROUPS, effect: 'stale', asOf: 'now', forSeconds: 20 }],
];

for (const [label, fault] of FAULTS) {
  const button = make('button', { type: 'button', textContent: label });
  button.addEventListener('click', () => send('POST', 'faults', fault, `${label}: in effect.`));
  find('#faults').append(button);
}
const clear = make('button', { type: 'button', textContent: 'Remove all faults' });
clear.addEventListener('click', () => send('DELETE', 'faults', null, 'All faults are removed.'));
find('#faults').append(clear);
find('#throttles').addEventListener('change', event => {
  const isOn = event.target.checked;
  const limits = isOn ? { creates: 2, updates: 2, deletes: 2 } : null;
  send('PUT', 'throttles', limits, isOn ? 'Private DNS has low limits.' : 'Private DNS has no limits.');
});
find('#sweep button').addEventListener('click', () => send('POST', 'sweep', {}, 'The sweep runs.'));

function showFaults() {
  const list = find('#fault-list');
  const lines = state.faults.map(fault => {
    const left = fault.until ? `${seconds(fault.until - now())} left` : `${many(fault.times || 0, 'request')} left`;
    const path = fault.path.split('/').pop() || 'any path';
    return `${fault.method || 'Any request'} to ${path}: ${fault.effect}, ${left}`;
  });
  if (!lines.length) lines.push('None');
  while (list.children.length > lines.length) list.lastChild.remove();
  lines.forEach((line, index) => {
    const item = list.children[index] || list.appendChild(make('li'));
    item.className = state.faults.length ? 'fault' : '';
    put(item, line);
  });
  find('#throttles').checked = Boolean(state.throttles);
  const waiting = state.queues.reduce((sum, [, count]) => sum + count, 0);
  put(find('#queue'), `Retry queue: ${many(waiting, 'message')} waiting, rechecks included.`);
}

// Record sets.

function showRecords() {
  const body = find('#sets');
  const sets = state.recordSets;
  while (body.children.length > sets.length) body.lastChild.remove();
  sets.forEach((set, index) => {
    const row = body.children[index] || body.appendChild(make('tr', {}, ...[1, 2, 3, 4, 5].map(() => make('td'))));
    const owner = set.owner ? set.owner.split('/').slice(1).join('/') : 'no mark';
    const answer = set.values.join(', ');
    [set.name, set.type, String(set.ttl), answer || 'no data', owner].forEach((text, column) => put(row.children[column], text));
    row.children[3].className = answer ? '' : 'empty';
  });
  const more = state.recordSetCount - sets.length;
  put(find('#more'), more > 0 ? `and ${more} more` : sets.length ? '' : 'The zones are empty.');
}

// What happened.

const FUNCTIONS = { function_aci_reconcile: 'reconcile', function_aci_retry: 'retry', function_drift_tracker: 'drift tracker', function_drift_sweep: 'sweep' };
const MOODS = { changed: 'good', converged: 'good', reported: 'good', planned: 'soft', deferred: 'soft', unmanaged: '', ignored: '' };

function line(entry) {
  const body = make('div');
  const add = (tag, text, className = '') => body.append(make(tag, { textContent: text, className }), ' ');
  const short = path => path.split('/providers/').pop().replace('Microsoft.Network/privateDnsZones/', '').replace('Microsoft.ContainerInstance/containerGroups/', 'group ').replace('Microsoft.ContainerInstance/containerGroups', 'groups').replace(/^\/\w+\/([\w-]+)\/messages.*/, 'queue $1');
  switch (entry.kind) {
    case 'event':
      add('b', 'event');
      add('span', `${entry.type.split('.').pop()} ${entry.group}`);
      break;
    case 'delivery':
      if (entry.acknowledged) return null;
      body.className = 'soft';
      add('b', 'not acknowledged');
      add('span', `${FUNCTIONS[entry.function]}, attempt ${entry.attempt}${entry.nextSeconds ? `, again in ${seconds(entry.nextSeconds)}` : ''}`);
      break;
    case 'invocation': {
      body.className = entry.outcome in MOODS ? MOODS[entry.outcome] : 'bad';
      add('b', entry.outcome);
      add('span', `${FUNCTIONS[entry.function] || entry.function} ${entry.group}`);
      if (entry.requests) add('span', many(entry.requests, 'request'), 'dim');
      for (const change of entry.plan || []) {
        const className = { '+': 'add', '-': 'remove' }[change[0]] || 'alter';
        body.append(make('pre', { textContent: change, className }));
      }
      const isDone = ['changed', 'converged'].includes(entry.outcome);
      const why = entry.error || (isDone && (entry.plan || []).length ? '' : entry.reason || entry.message);
      if (why) body.append(make('div', { textContent: why.replace(/\/subscriptions\/\S*?\/containerGroups\/([\w-]+)/gi, '$1'), className: 'dim' }));
      break;
    }
    case 'request':
      body.className = entry.faults.length || !entry.status || entry.status >= 429 ? 'bad' : '';
      add('b', String(entry.status || 'no answer'));
      add('span', `${entry.method} ${short(entry.path)}`, 'mono');
      if (entry.faults.length) add('span', entry.faults.join(', '), 'dim');
      break;
    case 'query':
      add('b', 'DNS');
      add('span', `${entry.type} ${entry.name}: ${entry.answers.join(', ') || entry.code}`, 'mono');
      break;
    default:
      return null;
  }
  const item = make('li', {}, make('time', { textContent: clock(entry.at) }), body);
  item.dataset.kind = entry.kind === 'delivery' ? 'event' : entry.kind;
  return item;
}

const isShown = kind => find(`#kinds [value=${kind}]`).checked;
const early = [];

function enter(entry) {
  if (!state) return early.push(entry);
  const item = line(entry);
  if (!item) return undefined;
  item.hidden = !isShown(item.dataset.kind);
  const log = find('#log');
  log.prepend(item);
  while (log.children.length > KEPT) log.lastChild.remove();
  return undefined;
}

find('#kinds').addEventListener('change', () => {
  for (const item of find('#log').children) item.hidden = !isShown(item.dataset.kind);
});

// Everything together.

find('#create').addEventListener('submit', event => {
  event.preventDefault();
  const field = find('#name');
  const name = field.value;
  send('POST', 'groups/create', { name }, `${name} is deployed: Azure raises an event.`);
  field.value = name.replace(/\d+$/, digits => String(Number(digits) + 1));
  field.select();
});
find('#window').addEventListener('change', draw);
find('#dig button').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(find('#dig code').textContent);
    say('Copied.');
  } catch {
    say('The browser does not allow copying.', true);
  }
});

function show() {
  const { dns, handler } = state.beside || {};
  const first = state.names.find(name => name.state !== 'idle') || state.names[0];
  find('#dig').hidden = !dns;
  if (dns) put(find('#dig code'), `dig @127.0.0.1 -p ${dns} ${first ? first.name : 'web-1.spoke1.contoso.internal'}`);
  find('#sweep').hidden = !handler;
  showGroups();
  showFaults();
  showRecords();
}

const source = new EventSource('/simulator/stream');
source.addEventListener('state', event => {
  const next = JSON.parse(event.data);
  // Another simulator listens on the same port.
  if (state && state.epochSeconds !== next.epochSeconds) return location.reload();
  [state, received] = [next, performance.now()];
  show();
  early.splice(0).forEach(enter);
  return undefined;
});
source.addEventListener('entry', event => enter(JSON.parse(event.data)));
source.addEventListener('error', () => {
  find('#summary').className = 'summary';
  put(find('#summary'), 'Not connected');
});
setInterval(() => { draw(); if (state) showFaults(); }, 1000);
