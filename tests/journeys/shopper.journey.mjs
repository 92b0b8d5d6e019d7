/**
 * The shopper's journey against the running stack and its seed, one line a step:
 *
 *     node tests/journeys/shopper.journey.mjs        (or ./scripts/run --journey)
 *
 * Somebody in Douala signs up, confirms, searches in French, fills a cart, orders in francs with an
 * affiliate's code and pays at Kora; then orders again while the gateway's webhook is lost. Ends
 * with exit status 0, or with 1 and what was expected at the first step that is not as it should
 * be. A process that is killed on the way is waited for: calls that may be sent twice are.
 */

import { codeIn, env, eventually, freshEmail, mailTo, mailsTo, unique }
  from '../supabase_js/stack.mjs';
import {
  answered, client, edge, expect, expectThat, formOf, francs, lastExchange, oneSpace, play,
  remember, sandbox, short, signIn, step, watched, wire,
} from './steps.mjs';

const WEBHOOK_PATIENCE_MS = 120_000;
const RECONCILE_PATIENCE_MS = 120_000;
const JOURNEY_LIMIT_S = 300;

/** Pieces of the first and of the second product. */
const PIECES = [1, 2];
const ADDRESS = {
  recipient_name: 'Ngono Mballa',
  phone: '+237670000009',
  country: 'CM',
  city: 'Douala',
  district: 'Akwa',
  landmark: 'Face à la pharmacie du Rond-Point',
};

/** What the shop counts, as its admin and everyone sees it: stock, promo uses, statistics. */
async function counted(admin, promo, products) {
  const stock = {};
  for (const { product_id } of products) {
    const row = answered(
      'stock',
      await admin.client
        .from('product_stock')
        .select('on_hand, reserved')
        .eq('listing_id', product_id)
        .single(),
    );
    stock[product_id] = row;
  }
  const code = answered(
    'promo code',
    await admin.client
      .from('promo_codes')
      .select('usage_count, reserved_count')
      .eq('id', promo.id)
      .single(),
  );
  const stats = await admin.client
    .from('affiliate_stats')
    .select('id', { count: 'exact', head: true })
    .eq('promo_code_id', promo.id);
  return { stock, ...code, stats: stats.count };
}

const stockLine = (before, after) =>
  Object.keys(before.stock)
    .map((id) => {
      const [from, to] = [before.stock[id], after.stock[id]];
      const onHand = `on hand ${from.on_hand}→${to.on_hand}`;
      return `${short(id)} ${onHand}, held ${from.reserved}→${to.reserved}`;
    })
    .join('; ');

/** The order as its owner reads it, with what they may see of its payments. */
async function readOrder(shopper, id) {
  return answered(
    'order',
    await shopper.client
      .from('orders')
      .select('order_number, status, payment_status, paid_at, payments(id, reference, status)')
      .eq('id', id)
      .single(),
  );
}

async function deliveriesBut(known) {
  const deliveries = await sandbox('deliveries?provider=kora');
  return deliveries.filter(({ id, is_forged }) => !is_forged && !known.has(id));
}

/** Questions to Kora about a payment; the sandbox shows long numbers in a path with a gap. */
async function statusQueries(reference) {
  const calls = await sandbox('calls?provider=kora');
  return calls.filter(({ operation, path }) => {
    const [head, tail = ''] = path.slice(path.lastIndexOf('/') + 1).split('…');
    return operation === 'status' && reference.startsWith(head) && reference.endsWith(tail);
  });
}

/** Starts to pay an order at Kora's hosted page. */
async function initialise(shopper, order) {
  const { status, json } = await edge('POST', '/api/v1/payments/initialize', shopper.session, {
    order_id: order.id,
    method: 'kora_checkout',
  });
  expect('gateway and action', [json.gateway, json.action], ['kora', 'redirect']);
  const { payments, payment_status } = await readOrder(shopper, order.id);
  expect('one attempt', payments.map(({ id }) => id), [json.payment_id]);
  expect("the order's payment status", payment_status, 'processing');
  return { status, payment: json, reference: payments[0].reference };
}

async function journey() {
  const shopper = { client: client(), email: freshEmail('journey'), password: `pass-${unique()}` };

  await step('Sign up with supabase-js', async () => {
    const { user, session } = answered(
      'sign-up',
      await shopper.client.auth.signUp({
        email: shopper.email,
        password: shopper.password,
        options: { data: { full_name: 'Ngono Mballa', language: 'fr', country: 'CM' } },
      }),
    );
    expect('no session before the address is confirmed', session, null);
    shopper.id = user.id;
    return { evidence: `${lastExchange()}, user ${user.id}, no session yet` };
  });

  await step('Confirm with the mailed code', async () => {
    const mail = await mailTo(shopper.email, /confirmez votre e-mail/);
    const token = codeIn(mail);
    const { user, session } = answered(
      'confirmation',
      await shopper.client.auth.verifyOtp({ email: shopper.email, token, type: 'signup' }),
    );
    expect('who is signed in', user.id, shopper.id);
    expectThat('a session', session?.access_token, 'an access token', session);
    shopper.session = session;
    const evidence = lastExchange();
    const [mirror] = answered('own row', await shopper.client.from('users').select());
    expect('language and country', [mirror.language, mirror.country], ['fr', 'CM']);
    return { evidence: `mail "${mail.subject}", code ${token}, ${evidence}, signed in` };
  });

  const { promo, admin } = await step("Find the affiliate's code", async () => {
    const affiliate = await signIn(env.DEMO_AFFILIATE_EMAIL);
    const codes = answered(
      'own codes',
      await affiliate.client
        .from('promo_codes')
        .select('id, code, affiliate_id, discount_percent')
        .eq('status', 'active')
        .not('affiliate_id', 'is', null)
        .not('discount_percent', 'is', null),
    );
    expectThat('the demo affiliate has a code', codes.length > 0, 'a code', codes);
    const hidden = answered('codes', await shopper.client.from('promo_codes').select('id'));
    expect('codes that the shopper can read', hidden, []);
    const evidence = `${codes[0].code}, ${codes[0].discount_percent} %, read as its affiliate`;
    return { evidence, promo: codes[0], admin: await signIn(env.DEMO_ADMIN_EMAIL) };
  });

  const { lines } = await step('Search in French', async () => {
    const found = [];
    for (const query of ['lampe solaire', 'bouilloires électriques']) {
      const rows = answered(
        `search for ${query}`,
        await shopper.client.rpc(
          'search_products',
          { query, country: 'CM', language: 'fr', channel: 'retail', in_stock: true },
          { get: true },
        ),
      );
      const evidence = lastExchange();
      const enough = answered(
        'stock',
        await shopper.client
          .from('product_stock')
          .select('listing_id')
          .in('listing_id', rows.map(({ product_id }) => product_id))
          .gte('available', PIECES.at(-1)),
      );
      const ids = enough.map(({ listing_id }) => listing_id);
      const hit = rows.find(({ product_id }) => ids.includes(product_id));
      expectThat(`a hit for "${query}" in stock`, hit, 'one', rows);
      expect('currency', hit.currency, 'XAF');
      found.push({ ...hit, quantity: PIECES[found.length] });
      remember(evidence);
    }
    const shown = found.map((row) => `"${row.name}" ${francs(row.price)}`).join(', ');
    return { evidence: `${lastExchange()}: ${shown}`, lines: found };
  });

  await step('Fill the cart', async () => {
    let cart;
    for (const { product_id, channel, quantity } of lines) {
      const item = { product_id, channel, quantity };
      cart = answered('add_to_cart', await shopper.client.rpc('add_to_cart', item));
    }
    expect('lines in the cart', cart.length, lines.length);
    const pieces = cart.reduce((sum, { quantity }) => sum + quantity, 0);
    return { evidence: `${lastExchange()}, ${cart.length} lines, ${pieces} pieces` };
  });

  const { quote } = await step('Ask what it costs', async () => {
    const answer = answered(
      'quote_cart',
      await shopper.client.rpc('quote_cart', { country: 'CM', promo_code: promo.code }),
    );
    const subtotal = lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
    const discount = Math.round((subtotal * promo.discount_percent) / 100);
    expect('problems', [answer.promo_problem, ...answer.lines.map(({ problem }) => problem)],
      [null, null, null]);
    expect('subtotal and discount', [answer.subtotal, answer.discount], [subtotal, discount]);
    expect('total', answer.total, subtotal - discount + answer.shipping);
    return {
      evidence:
        `${francs(subtotal)} − ${francs(discount)} + livraison ${francs(answer.shipping)} = ` +
        `${francs(answer.total)}, dont TVA ${francs(answer.tax)}`,
      quote: answer,
    };
  });

  const before = await counted(admin, promo, lines);

  const { order } = await step('Place the order', async () => {
    const body = {
      idempotency_key: `journey-${unique()}`,
      country: 'CM',
      address: ADDRESS,
      promo_code: promo.code,
      expected_total: quote.total,
    };
    const placed = answered('place_order', await shopper.client.rpc('place_order', body));
    const evidence = lastExchange();
    expect('state', [placed.status, placed.currency, placed.total_price], [
      'pending', 'XAF', quote.total,
    ]);
    const again = answered('the same key', await shopper.client.rpc('place_order', body));
    expect('the same order for the same key', again.id, placed.id);
    return {
      evidence: `${evidence}, ${placed.order_number} (${short(placed.id)}), pending, ` +
        `${francs(placed.total_price)}; the same key answers the same order`,
      order: placed,
    };
  });

  await step('Stock and promo use are held', async () => {
    const held = await counted(admin, promo, lines);
    for (const { product_id, quantity } of lines) {
      const { on_hand, reserved } = before.stock[product_id];
      expect(`stock of ${short(product_id)}`, held.stock[product_id], {
        on_hand, reserved: reserved + quantity,
      });
    }
    expect('promo uses', [held.usage_count, held.reserved_count, held.stats],
      [before.usage_count, before.reserved_count + 1, before.stats]);
    return {
      evidence: `${stockLine(before, held)}; ${promo.code} held ` +
        `${before.reserved_count}→${held.reserved_count}, used ${held.usage_count}`,
    };
  });

  const known = new Set((await sandbox('deliveries?provider=kora')).map(({ id }) => id));
  const started = await step('Initialise payment at Kora', async () => {
    const { status, payment, reference } = await initialise(shopper, order);
    return {
      evidence: `HTTP ${status}, payment ${short(payment.payment_id)}, ${reference}, processing`,
      payment,
      reference,
    };
  });

  await step('Pay on the hosted page', async () => {
    const page = await wire(started.payment.url, { headers: { 'Accept-Language': 'fr' } });
    expect('the page', [page.status, page.headers.get('content-type')?.split(';')[0]],
      [200, 'text/html']);
    const html = await page.text();
    const text = html.replace(/<style[\s\S]*?<\/style>|<[^>]*>|\s/g, ' ').replace(/ +/g, ' ');
    const sum = francs(order.total_price).replace(/\s/g, ' ');
    expectThat('the sum on the page', text.includes(sum), sum, text);
    const { method, url, fields } = formOf(html, page.url, 'pay');
    const paid = await fetch(url, { method, body: fields, redirect: 'manual' });
    expect('the answer to the form', paid.status, 303);
    const back = new URL(paid.headers.get('location'), url);
    expect('where the browser is sent', `${back.origin}${back.pathname}`,
      `${env.PUBLIC_URL}/api/v1/payments/return/${started.payment.payment_id}`);
    const home = await wire(back, { redirect: 'manual' });
    const target = home.headers.get('location') ?? '';
    expectThat('the return route', home.status === 303 && target.startsWith(env.FRONTEND_URL),
      `HTTP 303 to ${env.FRONTEND_URL}`, `HTTP ${home.status} to ${target}`);
    return {
      evidence: `GET page → HTTP 200, ${method} action=pay → HTTP 303 to the shop, ` +
        `which sends on to ${new URL(target).pathname}`,
    };
  });

  await step('The signed webhook arrives', async () => {
    const delivered = async () =>
      (await deliveriesBut(known)).find(({ status }) => status === 'delivered');
    const { event, attempts, last_status } = await eventually(delivered,
      'the webhook is acknowledged', { patience: WEBHOOK_PATIENCE_MS });
    expect('the event', event, 'charge.success');
    return { evidence: `${event}, answered HTTP ${last_status} at attempt ${attempts}` };
  });

  await step('The worker asks Kora, order paid', async () => {
    const paid = await eventually(async () => {
      const seen = await readOrder(shopper, order.id);
      return seen.status === 'paid' && seen;
    }, 'the order is paid', { patience: WEBHOOK_PATIENCE_MS });
    const queries = await statusQueries(started.reference);
    expectThat('status queries at Kora', queries.length > 0, 'at least one', queries);
    expect('payment', [paid.payment_status, paid.payments.map(({ status }) => status)],
      ['paid', ['paid']]);
    const { json } = await edge('GET', `/api/v1/payments/status/${started.payment.payment_id}`,
      shopper.session);
    expect('status at the edge', [json.status, json.order_status], ['paid', 'paid']);
    const [{ method, path, status }] = queries;
    return { evidence: `${method} ${path} → HTTP ${status}; order paid, payment paid` };
  });

  await step('Stock and promo use are final', async () => {
    const after = await counted(admin, promo, lines);
    for (const { product_id, quantity } of lines) {
      const { on_hand, reserved } = before.stock[product_id];
      expect(`stock of ${short(product_id)}`, after.stock[product_id], {
        on_hand: on_hand - quantity, reserved,
      });
    }
    expect('promo uses', [after.usage_count, after.reserved_count],
      [before.usage_count + 1, before.reserved_count]);
    return {
      evidence: `${stockLine(before, after)}; ${promo.code} used ` +
        `${before.usage_count}→${after.usage_count}, held ${after.reserved_count}`,
    };
  });

  await step("The affiliate's statistic counts", async () => {
    const { stats } = await counted(admin, promo, []);
    expect('rows of the code', stats, before.stats + 1);
    const [row] = answered(
      'statistic',
      await admin.client
        .from('affiliate_stats')
        .select('affiliate_id, user_id, discount_amount, currency')
        .eq('order_id', order.id),
    );
    expect('the row', row, {
      affiliate_id: promo.affiliate_id,
      user_id: shopper.id,
      discount_amount: quote.discount,
      currency: 'XAF',
    });
    const given = francs(row.discount_amount);
    return { evidence: `${before.stats}→${stats} rows, this order's with ${given} of discount` };
  });

  await step('A confirmation mail in French', async () => {
    const mail = await mailTo(shopper.email, /^Paiement reçu/);
    expect('its language', mail.language, 'fr');
    for (const wanted of [order.order_number, promo.code, ...lines.map(({ name }) => name)]) {
      expectThat('the text', mail.text.includes(wanted), wanted, mail.text);
    }
    const mails = (await mailsTo(shopper.email)).filter(({ subject }) => /reçu/.test(subject));
    expect('mails of this kind', mails.length, 1);
    return { evidence: `"${oneSpace(mail.subject)}" to ${mail.to}` };
  });

  await step('Read the order history', async () => {
    const history = answered(
      'orders',
      await shopper.client
        .from('orders')
        .select(
          'order_number, status, total_price, currency, ' +
            'order_items(name_fr, quantity, subtotal), order_events(kind, actor_type)',
        )
        .order('created_at', { ascending: false })
        .order('created_at', { referencedTable: 'order_events' })
        .order('line_number', { referencedTable: 'order_items' }),
    );
    expect('orders', history.map(({ order_number }) => order_number), [order.order_number]);
    const [{ status, total_price, order_items, order_events }] = history;
    expect('the order', [status, total_price], ['paid', quote.total]);
    expect('its lines', order_items.map(({ quantity }) => quantity), PIECES);
    const events = order_events.map(({ kind, actor_type }) => `${kind} (${actor_type})`);
    expect('its events', events, ['placed (user)', 'payment_begun (user)', 'paid (gateway)']);
    return { evidence: `${lastExchange()}: ${order.order_number} paid, ${events.join(' → ')}` };
  });

  const second = await step('Order again, webhook to be lost', async () => {
    const [{ product_id, channel }] = lines;
    const placed = answered(
      'place_order',
      await shopper.client.rpc('place_order', {
        idempotency_key: `journey-${unique()}`,
        country: 'CM',
        address: ADDRESS,
        items: [{ product_id, channel, quantity: 1 }],
      }),
    );
    const { payment, reference } = await initialise(shopper, placed);
    const heard = new Set((await sandbox('deliveries?provider=kora')).map(({ id }) => id));
    const decided = await sandbox(`payments/kora/${reference}`, { outcome: 'paid', notify: false });
    expect('Kora', [decided.status, decided.notified], ['success', false]);
    return {
      evidence: `${placed.order_number}, ${reference}: paid at Kora, no webhook sent`,
      order: placed,
      payment,
      reference,
      heard,
    };
  });

  await step('Reconciliation turns it paid', async () => {
    const began = Date.now();
    const paid = await watched(() => readOrder(shopper, second.order.id),
      'the order is paid by reconciliation', {
        isDone: ({ status }) => status === 'paid',
        standing: ({ status, payment_status }) => `order ${status}, payment ${payment_status}`,
        patience: RECONCILE_PATIENCE_MS,
      });
    const seconds = Math.round((Date.now() - began) / 1000);
    expect('webhooks sent', (await deliveriesBut(second.heard)).length, 0);
    expect('payment', paid.payments.map(({ status }) => status), ['paid']);
    const queries = await statusQueries(second.reference);
    expectThat('status queries at Kora', queries.length > 0, 'at least one', queries);
    const mail = await mailTo(shopper.email, new RegExp(`^Paiement reçu.*${paid.order_number}`));
    return {
      evidence: `after ${seconds} s, asked Kora ${queries.length}×, no webhook; order paid, ` +
        `mail "${oneSpace(mail.subject)}"`,
    };
  });
}

await play("a shopper's journey", journey, {
  summary: 'two orders paid',
  limitSeconds: JOURNEY_LIMIT_S,
});
