/**
 * Two shoppers and an admin of the running stack: their orders, payments and refunds, and what each
 * of them can read about those.
 */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { codeIn, env, eventually, freshEmail, mailTo, mailsTo, unique }
  from '../supabase_js/stack.mjs';
import {
  answered, client, edge, expect, expectThat, oneSpace, sandbox, short, signIn, watched, wire,
} from './steps.mjs';

const PATIENCE_MS = 120_000;

export const RAILS = [
  { gateway: 'mtn', name: 'MTN', country: 'CM', method: 'mtn_momo', phone: '+237671234567' },
  { gateway: 'orange', name: 'Orange', country: 'CM', method: 'orange_money' },
  { gateway: 'paygate', name: 'PayGate', country: 'ZA', method: 'card' },
  { gateway: 'payfast', name: 'PayFast', country: 'ZA', method: 'card' },
];
export const [MTN, ORANGE, PAYGATE, PAYFAST] = RAILS;
const ACTIONS = { mtn: 'push', orange: 'redirect', paygate: 'form', payfast: 'form' };
export const SHOPPERS = {
  CM: {
    email: freshEmail('payer-cm'),
    full_name: 'Ngono Mballa',
    language: 'fr',
    received: /^Paiement reçu/,
    refunded: /^Remboursement/,
    address: {
      recipient_name: 'Ngono Mballa',
      phone: '+237670000009',
      city: 'Douala',
      district: 'Akwa',
      landmark: 'Face à la pharmacie du Rond-Point',
    },
  },
  ZA: {
    email: freshEmail('payer-za'),
    full_name: 'Thandi Mbeki',
    language: 'en',
    received: /^Payment received/,
    refunded: /^(Refund|Partial refund)/,
    address: {
      recipient_name: 'Thandi Mbeki',
      phone: '+27820000009',
      city: 'Soweto',
      line1: '12 Vilakazi Street',
    },
  },
};
/** Pieces of the first and of the second product of each order. */
const PIECES = [2, 1];
/** What all the orders take of a product, and some more. */
const ENOUGH = 30;

/** The demo admin, once in: {client, id, email, session}. */
export let admin;

export async function enterAdmin() {
  admin = await signIn(env.DEMO_ADMIN_EMAIL, 'en');
}

/** Signs the country's shopper up, and in with the mailed code. */
export async function signUp(country) {
  const who = SHOPPERS[country];
  const person = client(who.language);
  const password = `pass-${unique()}`;
  const { full_name, language, email } = who;
  answered(
    'sign-up',
    await person.auth.signUp({
      email, password, options: { data: { full_name, language, country } },
    }),
  );
  const token = codeIn(await mailTo(email, /confirm your e-mail/));
  const { user, session } = answered(
    'confirmation', await person.auth.verifyOtp({ email, token, type: 'signup' }),
  );
  Object.assign(who, { client: person, id: user.id, session });
}

/** Two products of different prices that are on sale there, enough of each for all the orders. */
export async function findGoods(country) {
  const { client: shop, language } = SHOPPERS[country];
  const rows = answered(
    'search_products',
    await shop.rpc(
      'search_products',
      { query: language === 'fr' ? 'lampe' : 'lamp', country, language, channel: 'retail',
        in_stock: true },
      { get: true },
    ),
  );
  const enough = answered(
    'stock',
    await shop
      .from('product_stock')
      .select('listing_id')
      .in('listing_id', rows.map(({ product_id }) => product_id))
      .gte('available', ENOUGH),
  );
  const ids = enough.map(({ listing_id }) => listing_id);
  const hits = rows.filter(({ product_id }) => ids.includes(product_id));
  const chosen = [hits[0], hits.find(({ price }) => price !== hits[0]?.price)];
  expectThat(`products in ${country}`, chosen.every(Boolean), 'two of different prices', hits);
  return chosen.map(({ product_id, channel, name }, index) => ({
    name, line: { product_id, channel, quantity: PIECES[index] },
  }));
}

// --- Orders and their payments ----------------------------------------------------------------

/** The country's shopper orders the goods. */
export async function placeOrder(country) {
  const who = SHOPPERS[country];
  const order = answered(
    'place_order',
    await who.client.rpc('place_order', {
      idempotency_key: `journey-${unique()}`,
      country,
      address: who.address,
      items: who.goods.map(({ line }) => line),
    }),
  );
  expect('the order', order.status, 'pending');
  return order;
}

/** Starts to pay an order on a rail; with PayFast, PayGate is too busy for one call. */
export async function start(rail, order, more = {}) {
  const who = SHOPPERS[rail.country];
  if (rail === PAYFAST) {
    const fault = { provider: 'paygate', kind: 'rate_limit', operation: 'initiate', times: 1 };
    await sandbox('faults', fault);
  }
  const { json: payment } = await edge(
    'POST',
    '/api/v1/payments/initialize',
    who.session,
    { order_id: order.id, method: rail.method, ...(rail.phone && { phone: rail.phone }), ...more },
    { language: who.language },
  );
  expect('gateway and action', [payment.gateway, payment.action],
    [rail.gateway, ACTIONS[rail.gateway]]);
  // PayGate asks to be left alone for a second.
  if (rail === PAYFAST) await sleep(1100);
  const { reference } = answered(
    'payment',
    await who.client.from('payments').select('reference').eq('id', payment.payment_id).single(),
  );
  return { rail, order, payment, reference };
}

/** A new order, and the start of paying it. */
export async function startNew(rail, more) {
  return start(rail, await placeOrder(rail.country), more);
}

export async function readOrder({ rail, order }) {
  return answered(
    'order',
    await SHOPPERS[rail.country].client
      .from('orders')
      .select('status, payment_status, payments(gateway, status, refunded_amount)')
      .order('created_at', { referencedTable: 'payments' })
      .eq('id', order.id)
      .single(),
  );
}

export async function untilPaid(started, patience = PATIENCE_MS) {
  return watched(() => readOrder(started), `${started.order.order_number} is paid`, {
    isDone: ({ status }) => status === 'paid',
    standing: ({ status, payment_status }) => `order ${status}, payment ${payment_status}`,
    patience,
  });
}

/** All that happened to an order's money, as an admin reads it. */
export async function trailOf({ order }) {
  return answered(
    'payment_trail', await admin.client.rpc('payment_trail', { order_id: order.id }),
  );
}

export const kindsOf = (trail, kind) => trail.filter((entry) => entry.kind === kind);

/** The open rows of the desk that are meant. */
export async function desk(isMeant) {
  const found = [];
  for (let cursor = null; ;) {
    const rows = answered(
      'exceptions', await admin.client.rpc('exceptions', { cursor, page_size: 100 }),
    );
    found.push(...rows.filter(isMeant));
    if (rows.length < 100) return found;
    cursor = rows.at(-1).cursor;
  }
}

/** The open rows of the desk that an order has. */
export const deskOf = ({ order }) => desk(({ order_id }) => order_id === order.id);

/** Mails of a kind (received, refunded) about an order, newest first. */
export async function mailsOf({ rail, order }, kind) {
  const { email, [kind]: subject } = SHOPPERS[rail.country];
  const mails = await mailsTo(email);
  return mails.filter((mail) => subject.test(mail.subject)
    && mail.subject.includes(order.order_number));
}

/** What must be the same however a payment's end came to be known; the sums, too. */
export async function endingOf(started) {
  const { status, payment_status, payments } = await readOrder(started);
  await eventually(() => mailsOf(started, 'received'), 'the confirmation mail');
  const trail = await trailOf(started);
  const posted = trail
    .filter(({ kind }) => kind.startsWith('posted_'))
    .map(({ kind, detail }) => [kind, ...detail.map((entry) => Object.values(entry).join(' '))]);
  return {
    order: [status, payment_status],
    attempts: payments.map((attempt) => [attempt.gateway, attempt.status]),
    winners: kindsOf(trail, 'payment_paid').filter(({ detail }) => detail.is_winner).length,
    mails: (await mailsOf(started, 'received')).length,
    ledger: posted.sort(),
    exceptions: kindsOf(trail, 'exception_opened').length,
  };
}

/** Checks one ending by itself; answers it as evidence. */
export function summaryOf({ rail }, ending) {
  expect('order', ending.order, ['paid', 'paid']);
  expect('the winning attempt', ending.attempts.at(-1), [rail.gateway, 'paid']);
  expect('winners, mails, exceptions', [ending.winners, ending.mails, ending.exceptions],
    [1, 1, 0]);
  const kinds = ending.ledger.map(([kind]) => kind.replace('posted_', ''));
  expectThat('the ledger', kinds.includes('receipt') && kinds.includes('sale'),
    'a receipt and a sale', ending.ledger);
  return `order paid, 1 winner, 1 mail, ledger ${kinds.join(' + ')}, no exception`;
}

/** PayFast's transactions of today about these payments, as CSV: fetched as its API wants it. */
export async function payfastHistory(references) {
  const now = new Date();
  const today = new Intl.DateTimeFormat('en-CA', { timeZone: 'Africa/Johannesburg' }).format(now);
  const headers = {
    'merchant-id': env.PAYFAST_MERCHANT_ID,
    timestamp: `${now.toISOString().slice(0, 19)}+00:00`,
    version: 'v1',
  };
  const query = new URLSearchParams({ from: today, to: today });
  const signed = Object.entries({
    ...headers, ...Object.fromEntries(query), passphrase: env.PAYFAST_PASSPHRASE,
  });
  const text = new URLSearchParams(signed.sort(([one], [other]) => (one < other ? -1 : 1)));
  const signature = createHash('md5').update(`${text}`).digest('hex');
  const address = `${env.PAYFAST_API_BASE_URL}/transactions/history?${query}&testing=true`;
  const response = await wire(address, { headers: { ...headers, signature } });
  expect('PayFast', response.status, 200);
  const [columns, ...lines] = (await response.text()).trim().split('\n');
  return [columns, ...lines.filter((line) => references.some((one) => line.includes(one)))];
}

/** An admin brings a gateway's statement in. */
export async function importStatement(gateway, lines) {
  const response = await wire(`${env.EDGE_URL}/api/v1/payments/statements/${gateway}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${admin.session.access_token}`, 'Content-Type': 'text/csv' },
    body: lines.join('\n'),
  });
  const json = await response.json();
  expectThat('the import', response.status === 201, 'HTTP 201', json);
  return json;
}

// --- Money back -------------------------------------------------------------------------------

/** Asks the edge to give a payment or a part of it back. */
export async function askRefund(
  { payment }, body, { key = unique(), status = 202, by = admin } = {},
) {
  const path = `/api/v1/payments/${payment.payment_id}/refund`;
  const headers = { 'Idempotency-Key': `journey-${key}` };
  return edge('POST', path, by.session, body, { headers, status, language: 'en' });
}

/** The payment as its payer asks for it, once it has that status. */
export async function untilPayment({ rail, payment }, wanted, patience = PATIENCE_MS) {
  const path = `/api/v1/payments/status/${payment.payment_id}`;
  const ask = () => edge('GET', path, SHOPPERS[rail.country].session);
  const { json } = await watched(ask, `payment ${short(payment.payment_id)} is ${wanted}`, {
    isDone: (seen) => seen.json.status === wanted,
    standing: (seen) => `payment ${seen.json.status}, refunds ` +
      seen.json.refunds.map(({ status }) => status).join(', '),
    patience,
  });
  return json;
}

/** The newest mail about an order's refunds, once there are so many: as evidence. */
export async function refundMail(started, count = 1) {
  const mails = await eventually(async () => {
    const found = await mailsOf(started, 'refunded');
    return found.length >= count && found;
  }, 'the mail about the refund');
  expect('mails about refunds', mails.length, count);
  return `mail "${oneSpace(mails[0].subject)}"`;
}

/** The ways by which money was to go back, each try one, as the trail tells them. */
export async function refundWays(started) {
  const trail = await trailOf(started);
  return kindsOf(trail, 'payment_refund_requested').map(({ detail }) => detail.way);
}

/** Lets an admin decide an open row of the desk. */
export async function resolve(row, action, note) {
  const answer = await admin.client.rpc('resolve_exception', { id: row.id, action, note });
  return answered(`resolve_exception ${action}`, answer);
}

/** The one row that an order has on the desk, waited for. */
export async function onDesk(started, kind) {
  const rows = await eventually(() => deskOf(started), `${kind} on the exception desk`, {
    patience: PATIENCE_MS, every: 250,
  });
  expect('rows of the desk', rows.map((row) => row.kind), [kind]);
  return rows[0];
}
