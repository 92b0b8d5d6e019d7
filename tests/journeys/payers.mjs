/**
 * What payers do at the gateways, as their browsers and handsets do it. Each answers, as evidence,
 * what happened on the wire.
 */

import { env } from '../supabase_js/stack.mjs';
import { Unexpected, expect, expectThat, formOf, francs, sandbox, wire } from './steps.mjs';

/** A test card that PayGate documents as approved. */
const CARD = Object.freeze({ number: '4000000000000002', name: 'T Nkosi', cvv: '123' });
const ORANGE_NUMBER = '690 11 22 33';

const rands = (amount) =>
  `R ${new Intl.NumberFormat('en-US', { minimumFractionDigits: 2 }).format(amount)}`;

/** A sum as its payer reads it. */
export const shown = (amount, currency) => (currency === 'XAF' ? francs(amount) : rands(amount));

const textOf = (html) => html.replace(/<style[\s\S]*?<\/style>|<[^>]*>|\s/g, ' ');
const plain = (text) => text.replace(/\s+/g, ' ');

/** What a browser that comes from another site does; it is not sent on by itself. */
async function browse(url, { method = 'GET', fields } = {}) {
  const response = await wire(url, {
    method,
    body: fields,
    redirect: 'manual',
    headers: { 'Accept-Language': 'fr', Origin: env.SANDBOX_URL, 'Sec-Fetch-Site': 'cross-site' },
  });
  return { status: response.status, url, response };
}

/** A page in full, with the sum that is to be paid on it. */
async function page({ status, url, response }, { order }) {
  expect(`the page ${new URL(url).pathname}`, status, 200);
  const html = await response.text();
  const sum = plain(shown(order.total_price, order.currency));
  expectThat('the sum on the page', plain(textOf(html)).includes(sum), sum, plain(textOf(html)));
  return { html, url };
}

/** The address that a redirection names. */
function target({ status, url, response }) {
  expect(`the answer of ${new URL(url).pathname}`, status, 303);
  return new URL(response.headers.get('location'), url);
}

const send = ({ method, url, fields }) => browse(url, { method, fields });

/** The way back through the edge to the frontend, by whatever method the gateway uses. */
async function comeBack(going, { order, payment }) {
  const { pathname, origin } = going.url;
  expect('where the browser is sent', `${origin}${pathname}`,
    `${env.PUBLIC_URL}/api/v1/payments/return/${payment.payment_id}`);
  const home = target(await send(going));
  const frontend = `${env.FRONTEND_URL}/orders/${order.id}`;
  expect('where the shop sends on to', `${home.origin}${home.pathname}`, frontend);
  return `${going.method} to the shop → HTTP 303 ${home.pathname.replace(order.id, '…')}`;
}

/** Posts the form that the shop gave to the browser; answers the page that it leads to. */
async function openForm({ order, payment }) {
  const fields = new URLSearchParams(payment.fields.map(({ name, value }) => [name, value]));
  const opened = target(await browse(payment.url, { method: 'POST', fields }));
  return page(await browse(opened), { order });
}

/** Approves the push on the handset. */
async function onMtn({ order, payment }) {
  const url = `${env.SANDBOX_URL}/mtn/handset/${payment.payment_id}`;
  const { html } = await page(await browse(url), { order });
  const { html: after } = await page(await send(formOf(html, url, 'approve')), { order });
  expectThat('the handset', textOf(after).includes('Vous avez payé.'), 'paid', textOf(after));
  return 'handset page, POST action=approve → "Vous avez payé."';
}

/** Types number and code on Orange's page; a wrong code first, as people do. */
async function onOrange({ order, payment }) {
  const { html } = await page(await browse(payment.url), { order });
  const code = /id="otp-on-handset">(\d{6})</.exec(html)?.[1];
  if (!code) throw new Unexpected('the page', 'a code on the handset', textOf(html));
  const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, '0');
  const typed = (otp) => send(formOf(html, payment.url, 'pay', { msisdn: ORANGE_NUMBER, otp }));
  expect('the answer to a wrong code', (await typed(wrong)).status, 422);
  const going = { method: 'GET', url: target(await typed(code)) };
  const back = await comeBack(going, { order, payment });
  return `wrong code → HTTP 422, right code → HTTP 303; ${back}`;
}

/** Posts the form, types a card (or only the CVV of a kept one), posts the form that comes back. */
async function onPaygate({ order, payment }, { isKept = false } = {}) {
  const { html, url } = await openForm({ order, payment });
  const expiry = `12/${String(new Date().getFullYear() + 3).slice(-2)}`;
  const typed = isKept ? { cvv: CARD.cvv } : { ...CARD, expiry };
  const { status, response } = await send(formOf(html, url, 'pay', typed));
  expect("the answer to the card's form", status, 200);
  const going = formOf(await response.text(), url, null);
  expect('what goes back', [...going.fields.keys()],
    ['PAY_REQUEST_ID', 'TRANSACTION_STATUS', 'CHECKSUM']);
  const back = await comeBack(going, { order, payment });
  const card = isKept ? 'CVV of the kept card' : `test card ending in ${CARD.number.slice(-4)}`;
  return `form → HTTP 303 → card page, ${card} → HTTP 200; ${back}`;
}

/** Posts the form and presses the button of the page. */
async function onPayfast({ order, payment }) {
  const { html, url } = await openForm({ order, payment });
  const going = target(await send(formOf(html, url, 'pay')));
  const back = await comeBack({ method: 'GET', url: going }, { order, payment });
  return `form → HTTP 303 → page, POST action=pay → HTTP 303; ${back}`;
}

const AT = { mtn: onMtn, orange: onOrange, paygate: onPaygate, payfast: onPayfast };

/** Pays a started payment at its gateway. */
export const payAt = (started, choice) => AT[started.payment.gateway](started, choice);

/**
 * Pays by the sandbox's control: with notify false the notice is lost, with an amount another sum
 * is paid. At PayFast there is nothing to pay before the browser has posted the form.
 */
export async function decideAt({ order, payment, reference }, decision) {
  if (payment.gateway === 'payfast') await openForm({ order, payment });
  const control = `payments/${payment.gateway}/${reference}`;
  const { notified } = await sandbox(control, { outcome: 'paid', ...decision });
  expect('whether a notice went out', notified, decision.notify ?? true);
}
