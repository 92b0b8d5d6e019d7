/**
 * The payments' journey against the running stack and its seed, one line a step:
 *
 *     node tests/journeys/payments.journey.mjs        (or ./scripts/run --journey payments)
 *
 * Orders in francs and rand are paid on every rail, once with the gateway's notice and once with
 * every notice lost, and must end the same. Then what goes wrong with money: an order paid twice,
 * another sum, an order cancelled after it was paid; money given back in full, by line, as a payout
 * and by hand. Ends with exit status 0, or with 1 and what was expected at the first step that is
 * not as it should be.
 */

import { readFileSync, readdirSync } from 'node:fs';

import { sql } from '../supabase_js/database.mjs';
import { mailTo, unique } from '../supabase_js/stack.mjs';
import {
  MTN, ORANGE, PAYGATE, RAILS, SHOPPERS, admin, askRefund, desk, deskOf, endingOf, enterAdmin,
  findGoods, importStatement, kindsOf, mailsOf, onDesk, payfastHistory, placeOrder, readOrder,
  refundMail, refundWays, resolve, signUp, start, startNew, summaryOf, trailOf, untilPaid,
  untilPayment,
} from './customers.mjs';
import { decideAt, payAt, shown } from './payers.mjs';
import {
  answered, edge, expect, expectThat, oneSpace, play, refused, short, step,
} from './steps.mjs';

const POLL_PATIENCE_MS = 180_000;
const REFUND_PATIENCE_MS = 180_000;
const JOURNEY_LIMIT_S = 540;
const REPORTS = new URL('../../sql/reports/', import.meta.url);
/** What is paid too much, in francs. */
const EXCESS = 1000;

/** Two shoppers, an admin, and goods that are in stock. */
async function prepare() {
  await step('Two shoppers sign up', async () => {
    await signUp('CM');
    await signUp('ZA');
    await enterAdmin();
    SHOPPERS.CM.goods = await findGoods('CM');
    SHOPPERS.ZA.goods = await findGoods('ZA');
    const names = (country) => SHOPPERS[country].goods.map(({ name }) => `"${name}"`).join(', ');
    return { evidence: `CM in French: ${names('CM')}; ZA in English: ${names('ZA')}` };
  });
}

/** A payment on each rail that no notice tells of. */
async function payUnnoticed() {
  const lost = {};
  for (const rail of RAILS) {
    await step(`${rail.name}: paid, notice lost`, async () => {
      lost[rail.gateway] = await startNew(rail);
      const { order, payment, reference } = lost[rail.gateway];
      await decideAt(lost[rail.gateway], { notify: false });
      const sum = shown(order.total_price, order.currency);
      return { evidence: `${order.order_number}, ${sum}, ${payment.action}, ${reference}` };
    });
  }
  return lost;
}

/** A payment on each rail as its payer makes it, settled by its notice. */
async function payNoticed() {
  const told = {};
  for (const rail of RAILS) {
    await step(`${rail.name}: pay as people do`, async () => {
      told[rail.gateway] = await startNew(rail, rail === PAYGATE ? { save_method: true } : {});
      const { order, payment } = told[rail.gateway];
      const paid = await payAt(told[rail.gateway]);
      return { evidence: `${order.order_number}, ${payment.action}: ${paid}` };
    });
    await step(`${rail.name}: its notice settles it`, async () => {
      await untilPaid(told[rail.gateway]);
      const ending = await endingOf(told[rail.gateway]);
      const notices = kindsOf(await trailOf(told[rail.gateway]), 'notice_received');
      expectThat('notices', notices.some(({ detail }) => detail.outcome === 'applied'),
        'one that was applied', notices);
      told[rail.gateway].ending = ending;
      const events = notices.map(({ detail }) => detail.event_type).join(', ');
      return { evidence: `${events}: ${summaryOf(told[rail.gateway], ending)}` };
    });
  }
  return told;
}

/** One order paid on two rails; answers the payment that came second. */
async function payTwice() {
  const { second } = await step('Pay one order twice', async () => {
    const order = await placeOrder('CM');
    const second = await start(MTN, order);
    const first = await start(ORANGE, order);
    await payAt(first);
    await untilPaid(first);
    await payAt(second);
    return {
      evidence: `${order.order_number}: Orange's page first, then MTN's push is approved, too`,
      second,
    };
  });
  return second;
}

/** Too much is paid, and an admin takes it as it is; answers that payment. */
async function payAnotherSum() {
  const { row, started } = await step('Another sum goes to the desk', async () => {
    const started = await startNew(MTN);
    const { order } = started;
    await decideAt(started, { amount: order.total_price + EXCESS });
    const row = await onDesk(started, 'amount_mismatch');
    expectThat('what may be done', ['accept', 'refund'].every((one) => row.actions.includes(one)),
      'accept and refund among it', row.actions);
    expect('the order', (await readOrder(started)).status, 'pending');
    const alert = await mailTo(admin.email, new RegExp(`^\\s*To decide: .*${order.order_number}`));
    const shopper = await SHOPPERS.CM.client.rpc('exceptions');
    expect('the desk before a shopper', refused('exceptions', shopper), 'admin_required');
    return {
      evidence: `${row.kind}, ${row.detail}; ${row.actions.join(', ')}; admins' mail ` +
        `"${oneSpace(alert.subject).trim()}"; a shopper is refused`,
      row,
      started,
    };
  });

  await step('An admin accepts it', async () => {
    const silent = { id: row.id, action: 'accept' };
    const refusal = refused('accept', await admin.client.rpc('resolve_exception', silent));
    expect('without a note', refusal, 'exception_note_required');
    const resolved = await resolve(row, 'accept', 'The shopper agrees by phone');
    expect('the row', [resolved.status, resolved.resolution, resolved.resolved_by],
      ['resolved', 'accept', admin.id]);
    await untilPaid(started);
    return { evidence: `order paid; the excess of ${shown(EXCESS, 'XAF')} is to go back` };
  });
  return started;
}

/** An admin gives whole payments back: by refund, by payout, by hand. */
async function refundInFull(told) {
  await step('PayFast: refund in full', async () => {
    const [started, key, reason] = [told.payfast, unique(), 'Arrived broken'];
    const no = await askRefund(started, { reason }, { by: SHOPPERS.ZA, status: 403 });
    expect('asked by the shopper', no.json.code, 'admin_required');
    const { json: refund } = await askRefund(started, { reason }, { key });
    const { json: again } = await askRefund(started, { reason }, { key });
    expect('the same key', again.refund_id, refund.refund_id);
    return {
      evidence: `HTTP 202, ${refund.way}, ${shown(refund.amount, refund.currency)}; ` +
        'a shopper gets HTTP 403, the same key is the same refund',
    };
  });

  await step('MTN: refund in full', async () => {
    const { json: refund } = await askRefund(told.mtn, { reason: 'Out of stock' });
    return { evidence: `HTTP 202, ${refund.way}, ${shown(refund.amount, refund.currency)}` };
  });

  await step('PayGate: refund by hand', async () => {
    const started = told.paygate;
    const { json: refund } = await askRefund(started, { reason: 'Changed my mind' });
    expect('its way', [refund.way, refund.status], ['manual', 'pending']);
    const row = await onDesk(started, 'manual_refund');
    await resolve(row, 'mark_refunded', 'Given back in the portal');
    await untilPayment(started, 'refunded');
    const mail = await refundMail(started);
    return {
      evidence: `no refunds in PayWeb3: ${row.kind} on the desk (${row.actions.join(', ')}), ` +
        `marked by an admin; ${mail}`,
    };
  });
}

/** Polls find what no notice told, and it ends as if one had. */
async function settleUnnoticed(lost, told) {
  for (const rail of RAILS) {
    await step(`${rail.name}: a poll settles it`, async () => {
      const started = lost[rail.gateway];
      await untilPaid(started, POLL_PATIENCE_MS);
      const trail = await trailOf(started);
      expect('notices', kindsOf(trail, 'notice_received').length, 0);
      const [begun] = kindsOf(trail, 'payment_begun');
      const [paid] = kindsOf(trail, 'payment_paid');
      const seconds = Math.round((new Date(paid.at) - new Date(begun.at)) / 1000);
      const ending = await endingOf(started);
      expect('the ending', ending, told[rail.gateway].ending);
      return {
        evidence: `${seconds} s after it began, no notice; ends the same: ` +
          summaryOf(started, ending),
      };
    });
  }
}

/** A shopper cancels a paid order; an admin gives another back line by line. */
async function refundInParts(lost) {
  await step('Cancel a paid order', async () => {
    const order = answered(
      'cancel_order',
      await SHOPPERS.CM.client.rpc('cancel_order', {
        order_id: lost.mtn.order.id, reason: 'Trop tard',
      }),
    );
    expect('the order', order.status, 'cancelled');
    const sum = shown(order.total_price, order.currency);
    return { evidence: `${order.order_number} cancelled by its shopper; ${sum} are to go back` };
  });

  await step('PayFast: refund by line', async () => {
    const started = lost.payfast;
    const [first, second] = answered(
      'lines',
      await SHOPPERS.ZA.client
        .from('order_items')
        .select('id, quantity')
        .eq('order_id', started.order.id)
        .order('line_number'),
    );
    const piece = { order_item_id: first.id, quantity: 1 };
    const { json: part } = await askRefund(started, { items: [piece], reason: 'One is broken' });
    const twice = { items: [{ ...piece, quantity: first.quantity }], reason: 'Both are broken' };
    const { json: refusal } = await askRefund(started, twice, { status: 400 });
    expect('a piece twice', refusal.code, 'refund_items_invalid');
    const others = [piece, { order_item_id: second.id, quantity: second.quantity }];
    const { json: rest } = await askRefund(started, { items: others, reason: 'All of it' });
    const cents = (amount) => Math.round(amount * 100);
    expect('the parts together', cents(part.amount) + cents(rest.amount),
      cents(started.order.total_price));
    const sums = [part.amount, rest.amount, started.order.total_price];
    const [one, all, total] = sums.map((amount) => shown(amount, 'ZAR'));
    return {
      evidence: `one piece ${one} + the rest ${all} = ${total} with shipping and tax; ` +
        'the same piece twice is refused',
    };
  });
}

/** The card that PayGate kept pays another order, of its owner alone. */
async function payWithKeptCard() {
  await step('PayGate: the kept card pays', async () => {
    const [card, ...others] = answered(
      'saved methods',
      await SHOPPERS.ZA.client
        .from('saved_payment_methods')
        .select('id, gateway, label, expires_on'),
    );
    expect('one kept card', [card?.gateway, others.length], ['paygate', 0]);
    const order = await placeOrder('ZA');
    const started = await start(PAYGATE, order, { saved_method_id: card.id });
    const paid = await payAt(started, { isKept: true });
    await untilPaid(started);
    const foreign = await placeOrder('CM');
    const { json: refusal } = await edge('POST', '/api/v1/payments/initialize', SHOPPERS.CM.session,
      { order_id: foreign.id, saved_method_id: card.id }, { status: 404 });
    expect("somebody else's card", refusal.code, 'saved_method_not_found');
    return {
      evidence: `"${card.label}" until ${card.expires_on}: ${paid}; nobody else can use it`,
    };
  });
}

/** Each refund has arrived, by the way it could go, and its shopper knows. */
async function seeMoneyBack({ told, lost, second, excess }) {
  const back = [
    { what: 'PayFast: in full', started: told.payfast, ways: ['gateway'] },
    { what: 'PayFast: by line', started: lost.payfast, ways: ['gateway', 'gateway'] },
    { what: 'MTN: in full', started: told.mtn, ways: ['gateway', 'payout'] },
    { what: 'MTN: cancelled order', started: lost.mtn, ways: ['gateway', 'payout'] },
    { what: 'MTN: second payment', started: second, ways: ['gateway', 'payout'] },
    { what: 'MTN: the excess', started: excess, ways: ['gateway', 'payout'], amount: EXCESS },
  ];
  for (const { what, started, ways, amount } of back) {
    await step(`${what} is back`, async () => {
      const wanted = amount ? 'partially_refunded' : 'refunded';
      const payment = await untilPayment(started, wanted, REFUND_PATIENCE_MS);
      expect('what went back', payment.refunded_amount, amount ?? payment.amount);
      expect('the ways it was sent', await refundWays(started), ways);
      const mails = ways.filter((way) => way !== 'gateway' || !ways.includes('payout')).length;
      const mail = await refundMail(started, mails);
      const failed = ways.includes('payout') ? ' (MTN refuses refunds here)' : '';
      return { evidence: `${ways.join(', then ')}${failed}; ${mail}` };
    });
  }

  await step('The order paid twice stays paid', async () => {
    const { status, payment_status, payments } = await readOrder(second);
    expect('the order', [status, payment_status], ['paid', 'paid']);
    expect('its attempts', payments.map((attempt) => [attempt.gateway, attempt.status]),
      [['mtn', 'refunded'], ['orange', 'paid']]);
    return { evidence: 'mtn refunded, orange paid' };
  });
}

/** An admin reads who did what, when and on which notice. */
async function readTrail(told) {
  await step("An admin reads an order's trail", async () => {
    const trail = await trailOf(told.payfast);
    const notices = kindsOf(trail, 'notice_received').map(({ event_id }) => event_id);
    const stored = await sql`
      select e.id from private.webhook_events as e where e.id = any(${notices}) and e.raw <> ''`;
    expect('raw events', stored.map(({ id }) => id).sort(), [...notices].sort());
    const [paid] = kindsOf(trail, 'payment_paid');
    expectThat('the event behind the payment', notices.includes(paid.event_id), notices,
      paid.event_id);
    const [asked] = kindsOf(trail, 'payment_refund_requested');
    expect('who gave it back', [asked.actor_type, asked.actor_id], ['admin', admin.id]);
    const shopper = await SHOPPERS.ZA.client.rpc('payment_trail', {
      order_id: told.payfast.order.id,
    });
    expect('read by its shopper', refused('payment_trail', shopper), 'admin_required');
    return {
      evidence: `${trail.length} entries from ${trail[0].kind} to ${trail.at(-1).kind}, paid on ` +
        `event ${short(paid.event_id)}, refunded by ${short(asked.actor_id)}`,
    };
  });
}

/** A gateway's statement and the books say the same. */
async function compareStatement(told, lost) {
  await step("PayFast's statement fits the books", async () => {
    const references = [told.payfast, lost.payfast].map(({ reference }) => reference);
    const lines = await payfastHistory(references);
    expect('lines of two payments and three refunds', lines.length - 1, 5);
    const { matched, differing, unknown } = await importStatement('payfast', lines);
    expect('matched, differing, unknown', [matched, differing, unknown], [5, 0, 0]);
    const [columns, line] = lines;
    const reference = `mg-${unique(12)}`;
    const stranger = line.replace(/mg-[0-9a-f]{24},[0-9]+/, `${reference},${Date.now()}`);
    const odd = await importStatement('payfast', [columns, stranger]);
    expect('a line of nobody', [odd.matched, odd.unknown], [0, 1]);
    const [row] = await desk(({ evidence }) => evidence.reference === reference);
    expect('on the desk', row?.kind, 'unknown_in_statement');
    await resolve(row, 'dismiss', 'A line of the journey');
    return {
      evidence: `${matched} of ${lines.length - 1} lines match; a line of nobody is ${row.kind} ` +
        'on the desk until an admin dismisses it',
    };
  });
}

/** Nothing waits for a person, nobody was told twice, and the books balance. */
async function closeBooks(all) {
  await step('Nothing is left on the desk', async () => {
    const open = [];
    for (const started of all) {
      open.push(...await deskOf(started));
    }
    expect('open rows of these orders', open, []);
    const mails = await Promise.all(all.map((started) => mailsOf(started, 'received')));
    expect('confirmations', mails.map(({ length }) => length), all.map(() => 1));
    return { evidence: `${all.length} orders, no open row, one confirmation each` };
  });

  await step('The reports answer', async () => {
    const counts = {};
    for (const file of readdirSync(REPORTS).filter((name) => name.endsWith('.sql')).sort()) {
      const text = readFileSync(new URL(file, REPORTS), 'utf8');
      counts[file.replace('.sql', '')] = (await sql.unsafe(text)).length;
    }
    const balance = await sql.unsafe(readFileSync(new URL('trial_balance.sql', REPORTS), 'utf8'));
    const ends = balance.filter(({ account }) => account === 'balance');
    const sums = Object.fromEntries(ends.map((end) => [end.currency, Number(end.balance)]));
    expect('the trial balance', [sums.XAF, sums.ZAR], [0, 0]);
    const rows = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
    return { evidence: `rows: ${rows.join(', ')}; balance XAF 0, ZAR 0` };
  });

  await step('Every invariant holds', async () => {
    const views = await sql`
      select c.relname as name
      from pg_catalog.pg_class as c
      where c.relnamespace = 'private'::regnamespace and c.relname like 'invariant\\_%'
      order by 1`;
    expectThat('views', views.length > 0, 'some', views);
    for (const { name } of views) {
      expect(name, [...await sql`select * from ${sql(`private.${name}`)}`], []);
    }
    return { evidence: views.map(({ name }) => name.replace('invariant_', '')).join(', ') };
  });
}

async function journey() {
  await prepare();
  const lost = await payUnnoticed();
  const told = await payNoticed();
  const second = await payTwice();
  const excess = await payAnotherSum();
  await refundInFull(told);
  await settleUnnoticed(lost, told);
  await refundInParts(lost);
  await payWithKeptCard();
  await seeMoneyBack({ told, lost, second, excess });
  await readTrail(told);
  await compareStatement(told, lost);
  await closeBooks([...Object.values(told), ...Object.values(lost), second, excess]);
}

await play('the payments of every rail', journey, {
  summary: 'every rail ends the same with its notice and without',
  limitSeconds: JOURNEY_LIMIT_S,
});
