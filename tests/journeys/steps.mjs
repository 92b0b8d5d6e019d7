/**
 * How a journey is told and played: one line a step with its evidence, the wires to the running
 * stack, and a browser that knows forms. The first step that is not as it should be ends it with
 * exit status 1 and what was expected. A process that is killed on the way is waited for: calls
 * that may be sent twice are.
 */

import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

import { anonClient, env, eventually } from '../supabase_js/stack.mjs';

const RESTART_PATIENCE_MS = 90_000;
const REMARK_EVERY_MS = 5_000;

const paint = (code) => (text) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : text;
const [good, bad, quiet, strong] = [paint('32'), paint('31'), paint('2'), paint('1')];

const print = (text = '') => process.stdout.write(`${text}\n`);

export const short = (id) => id.slice(0, 8);
export const francs = (amount) => `${new Intl.NumberFormat('fr-FR').format(amount)} FCFA`;
export const oneSpace = (text) => text.replace(/\s+/g, ' ');

/** What was expected and is not so. */
export class Unexpected extends Error {
  constructor(what, expected, seen) {
    super(what);
    const written = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
    this.expected = written(expected);
    this.seen = written(seen);
  }
}

export function expect(what, seen, expected) {
  if (!isDeepStrictEqual(seen, expected)) throw new Unexpected(what, expected, seen);
}

export function expectThat(what, holds, expected, seen) {
  if (!holds) throw new Unexpected(what, expected, seen);
}

let number = 0;
let restarts = 0;
let last = '';

/** The last exchange on a wire, as evidence: `GET /path → HTTP 200`. */
export const lastExchange = () => last;

/** Makes an exchange that came before the last one the evidence. */
export function remember(evidence) {
  last = evidence;
}

const remark = (text) => print(quiet(`       ${text}`));

/** Runs a step and prints what it saw; its own answer is passed on. */
export async function step(title, act) {
  number += 1;
  const head = ` ${String(number).padStart(2)}  ${title.padEnd(33)}`;
  last = '';
  try {
    const { evidence, ...rest } = await act();
    print(`${head} ${good('ok')}  ${evidence}`);
    return rest;
  } catch (error) {
    print(`${head} ${bad('FAILED')}  ${error.message}`);
    if (error instanceof Unexpected) {
      print(`       expected: ${error.expected}`);
      print(`       seen:     ${error.seen}`);
    } else if (error.cause) {
      print(`       because:  ${error.cause.message ?? error.cause}`);
    }
    if (last) print(`       after:    ${last}`);
    throw error;
  }
}

/** Plays a whole journey that may take so many seconds; `summary` says what it came to. */
export async function play(title, journey, { summary, limitSeconds }) {
  const began = Date.now();
  print(strong(`Mallgram: ${title}`));
  print(quiet(`     ${env.SUPABASE_URL} · edge ${env.EDGE_URL} · sandbox ${env.SANDBOX_URL}`));
  try {
    await journey();
    const seconds = (Date.now() - began) / 1000;
    const waited = restarts ? `, ${restarts} × waited for a process that was away` : '';
    print(strong(`${number} steps, ${summary}, ${seconds.toFixed(1)} s${waited}`));
    if (seconds > limitSeconds) {
      print(bad(`That took longer than ${limitSeconds} s.`));
      process.exitCode = 1;
    }
  } catch {
    print(bad(`The journey ended at step ${number}.`));
    process.exitCode = 1;
  }
}

/**
 * fetch that remembers the exchange as evidence, and that waits for a process which is being
 * restarted. Sign-up and confirmation are sent once: done twice they answer something else.
 */
export async function wire(input, init = {}) {
  const url = new URL(input);
  const isOnce = /\/auth\/v1\/(signup|verify)$/.test(url.pathname);
  const deadline = Date.now() + RESTART_PATIENCE_MS;
  for (let attempt = 1; ; attempt += 1) {
    let outcome;
    try {
      const response = await fetch(input, init);
      last = `${init.method ?? 'GET'} ${url.pathname} → HTTP ${response.status}`;
      if (![502, 503, 504].includes(response.status)) return response;
      if (isOnce || Date.now() > deadline) return response;
      outcome = `HTTP ${response.status}`;
      await response.body?.cancel();
    } catch (error) {
      if (isOnce || Date.now() > deadline) throw error;
      outcome = error.cause?.code ?? error.message;
    }
    if (attempt === 1) {
      restarts += 1;
      remark(`${url.host} is away (${outcome}): waiting for it`);
    }
    await sleep(500);
  }
}

/** What `look` answers once it is done; says now and then how it stands, and how long it waits. */
export async function watched(look, what, { isDone, standing, patience }) {
  const began = Date.now();
  let remarks = 0;
  return eventually(async () => {
    const seen = await look();
    if (isDone(seen)) return seen;
    const waited = Date.now() - began;
    if (waited >= (remarks + 1) * REMARK_EVERY_MS) {
      remarks += 1;
      remark(`waiting for ${Math.round(waited / 1000)} s: ${standing(seen)}`);
    }
    return null;
  }, what, { patience, every: 250 });
}

/** A client as a frontend makes it, on a wire that remembers. */
export const client = (languages = 'fr-CM,fr;q=0.9') =>
  anonClient({ fetch: wire, headers: { 'Accept-Language': languages } });

/** The data of a Supabase answer; refuses to go on after an error. */
export function answered(what, { data, error, status }) {
  if (error) {
    const seen = [error.status ?? status, error.code, error.hint, error.message, error.details];
    throw new Unexpected(what, 'no error', seen.filter(Boolean).join(' | '));
  }
  return data;
}

/** The code of a refusal of ours; refuses to go on when there was none. */
export function refused(what, { data, error }) {
  expectThat(what, error?.hint, 'a refusal', error?.message ?? data);
  return error.hint;
}

/** A call of the edge as somebody signed in; `status` is what it must answer. */
export async function edge(
  method, path, session, body, { headers = {}, status = 200, language = 'fr' } = {},
) {
  const response = await wire(`${env.EDGE_URL}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${session.access_token}`,
      'Accept-Language': language,
      ...(body && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  const json = await response.json();
  expectThat(`${method} ${path}`, response.status === status, `HTTP ${status}`, {
    status: response.status,
    ...json,
  });
  return { status: response.status, json };
}

/** One of the sandbox's controls. */
export async function sandbox(path, body) {
  const response = await wire(`${env.SANDBOX_URL}/_sandbox/${path}`, {
    method: body ? 'POST' : 'GET',
    headers: body && { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const json = await response.json();
  expectThat(`sandbox ${path}`, response.ok, 'HTTP 200', { status: response.status, ...json });
  return json;
}

/** Somebody who has an account: {client, id, session}. */
export async function signIn(email, languages) {
  const person = client(languages);
  const { user, session } = answered(
    `sign-in of ${email}`,
    await person.auth.signInWithPassword({ email, password: env.DEMO_PASSWORD }),
  );
  return { client: person, id: user.id, email, session };
}

const CHARACTERS = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&#34;': '"', '&#39;': "'" };
const unescaped = (text) => text?.replace(/&(amp|lt|gt|#34|#39);/g, (found) => CHARACTERS[found]);

/**
 * The form of a hosted page as a browser would send it with the button of that value pressed
 * (null: by its script), `typed` in its fields.
 */
export function formOf(html, pageUrl, pressed, typed = {}) {
  const form = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html);
  if (!form) throw new Unexpected('the hosted page', 'a form', html.slice(0, 200));
  const attribute = (tag, name) =>
    unescaped(new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1]);
  const fields = new URLSearchParams();
  for (const [tag] of form[2].matchAll(/<input\b[^>]*\bname=[^>]*>/gi)) {
    fields.append(attribute(tag, 'name'), attribute(tag, 'value') ?? '');
  }
  for (const [name, value] of Object.entries(typed)) {
    expectThat('the hosted page', fields.has(name), `a field "${name}"`, [...fields.keys()]);
    fields.set(name, value);
  }
  if (pressed !== null) {
    const buttons = [...form[2].matchAll(/<button\b[^>]*>/gi)].map(([tag]) => tag);
    const button = buttons.find((tag) => attribute(tag, 'value') === pressed);
    if (!button) {
      throw new Unexpected('the hosted page', `a button "${pressed}"`, buttons.join(' '));
    }
    fields.append(attribute(button, 'name'), pressed);
  }
  return {
    method: (attribute(form[1], 'method') ?? 'get').toUpperCase(),
    url: new URL(attribute(form[1], 'action') ?? '', pageUrl),
    fields,
  };
}
