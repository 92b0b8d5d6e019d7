/**
 * The running stack as a client finds it: the env file named by MALLGRAM_ENV_FILE (default
 * `.local/env`), clients of the official library, people who signed up, mails that arrived.
 */

import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createClient } from '@supabase/supabase-js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIL_PATIENCE_MS = 60_000;

/** KEY=value of the env file. */
export const env = readEnvFile(resolve(ROOT, process.env.MALLGRAM_ENV_FILE ?? '.local/env'));

function readEnvFile(path) {
  if (!existsSync(path)) {
    throw new Error(`no stack is running: ${path} is missing; start one with ./scripts/run`);
  }
  const pairs = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.includes('=') && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return Object.freeze(Object.fromEntries(pairs));
}

/** A client as a frontend makes it, that keeps its session in memory. */
export function anonClient({ headers = {}, fetch, key = env.SUPABASE_ANON_KEY } = {}) {
  return createClient(env.SUPABASE_URL, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { headers, ...(fetch && { fetch }) },
  });
}

/** A client with a given access token and no session of its own. */
export function tokenClient(token, { headers = {}, fetch } = {}) {
  return anonClient({ headers: { ...headers, Authorization: `Bearer ${token}` }, fetch });
}

/** A client with the service key: tests prepare goods with it and read what is true. */
export function serviceClient() {
  return anonClient({ key: env.SUPABASE_SERVICE_ROLE_KEY });
}

/** A short text that no other run uses: hexadecimal digits. */
export function unique(bytes = 6) {
  return randomBytes(bytes).toString('hex');
}

/** A pronounceable word of lower-case letters that no catalogue holds. */
export function inventedWord(syllables = 5) {
  const [heads, tails] = ['bdfgklmnprtvz', 'aiou'];
  return Array.from(randomBytes(syllables * 2), (byte, index) => {
    const letters = index % 2 === 0 ? heads : tails;
    return letters[byte % letters.length];
  }).join('');
}

/** An address that nobody has. */
export function freshEmail(name = 'shopper') {
  return `${name}-${unique()}@shop.test`;
}

/** What `find` answers once it is not undefined, null, false or an empty list. */
export async function eventually(find, what, { patience = MAIL_PATIENCE_MS, every = 100 } = {}) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await find();
    if (Array.isArray(found) ? found.length > 0 : found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${patience / 1000} s: ${what}`);
    await sleep(every);
  }
}

/** Mails to an address, newest first: {id, from, to, subject, text, html, …}. */
export async function mailsTo(address) {
  const url = new URL('/_sandbox/mail', env.SANDBOX_URL);
  url.searchParams.set('to', address);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} answered ${response.status}`);
  return response.json();
}

/** The newest mail to an address whose subject fits, waited for. */
export async function mailTo(address, subject) {
  const fitting = async () => (await mailsTo(address)).find((mail) => subject.test(mail.subject));
  return eventually(fitting, `a mail to ${address} with a subject like ${subject}`);
}

/** The six digits of a mail of Supabase Auth. */
export function codeIn(mail) {
  const code = /(?<![#\w])(\d{6})(?!\w)/.exec(mail.text ?? mail.html.replace(/<[^>]*>/g, ' '));
  if (!code) throw new Error(`no code in the mail "${mail.subject}"`);
  return code[1];
}

/** Somebody who signed up and has not confirmed yet: {client, email, password, user}. */
export async function signUp({ name = 'shopper', language = 'en', country = 'ZA', ...data } = {}) {
  const client = anonClient();
  const [email, password] = [freshEmail(name), `pass-${unique()}`];
  const answer = await client.auth.signUp({
    email,
    password,
    options: { data: { full_name: 'Ama Shopper', language, country, ...data } },
  });
  if (answer.error) throw answer.error;
  return { client, email, password, user: answer.data.user, session: answer.data.session };
}

/** Somebody signed in, their address confirmed with the mailed code. */
export async function signUpConfirmed(options = {}) {
  const person = await signUp(options);
  const token = codeIn(await mailTo(person.email, /confirm your e-mail/));
  const answer = await person.client.auth.verifyOtp({ email: person.email, token, type: 'signup' });
  if (answer.error) throw answer.error;
  return { ...person, id: answer.data.user.id, session: answer.data.session };
}

/** Somebody who has an account already, signed in. */
export async function signIn(email, password) {
  const client = anonClient();
  const { data, error } = await client.auth.signInWithPassword({ email, password });
  if (error) throw error;
  return { client, email, password, id: data.user.id, session: data.session };
}

/** A JSON Web Token of our own making; `secret` null makes it one without a signature. */
export function mintToken(claims, { secret = env.SUPABASE_JWT_SECRET, header = {} } = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1000);
  const person = { aud: 'authenticated', role: 'authenticated', iat, exp: iat + 600 };
  const head = encode({ alg: secret === null ? 'none' : 'HS256', typ: 'JWT', ...header });
  const body = encode({ ...person, ...claims });
  const signed = `${head}.${body}`;
  if (secret === null) return `${signed}.`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** A request to PostgREST past the library, for what the library would never send. */
export async function rawRest(path, { method = 'GET', token, headers = {}, body } = {}) {
  const response = await fetch(`${env.SUPABASE_URL}/rest/v1/${path}`, {
    method,
    body,
    headers: {
      apikey: env.SUPABASE_ANON_KEY,
      Authorization: `Bearer ${token ?? env.SUPABASE_ANON_KEY}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
  });
  const text = await response.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // The caller sees json null and has the text.
  }
  return { status: response.status, headers: response.headers, text, json };
}
