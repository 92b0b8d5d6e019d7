import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { sql } from './database.mjs';
import {
  applyPaid,
  assertRefused,
  beginPayment,
  DOUALA,
  item,
  makeAffiliate,
  makeProduct,
  makePromoCode,
  paidByCard,
  placedOrder,
  placeOrder,
  SOWETO,
  stockOf,
} from './shop.mjs';
import {
  eventually,
  mailsTo,
  mailTo,
  serviceClient,
  signUpConfirmed,
  tokenClient,
  unique,
} from './stack.mjs';

const service = serviceClient();
const MINUTE = 60_000;

let shopper;
let other;
let kettle;
let lamp;
let crate;

/** {usage_count, reserved_count} of a code. */
async function usesOf({ id }) {
  const { data } = await service
    .from('promo_codes')
    .select('usage_count, reserved_count')
    .eq('id', id)
    .single();
  return data;
}

/** How many orders a person has. */
async function ordersOf({ id }) {
  const { count } = await service
    .from('orders')
    .select('id', { count: 'exact', head: true })
    .eq('user_id', id);
  return count;
}

before(async () => {
  shopper = await signUpConfirmed({ language: 'en', country: 'CM' });
  other = await signUpConfirmed({ language: 'en', country: 'CM' });
  [kettle, lamp, crate] = await Promise.all([
    makeProduct({ prices: { CM: 9_500, ZA: 299.9 }, stock: 500 }),
    makeProduct({ prices: { CM: 6_000, ZA: 180 }, stock: 500 }),
    makeProduct({
      channel: 'wholesale',
      prices: { CM: 1_000 },
      stock: 1_000,
      min_order_quantity: 10,
      order_increment: 5,
    }),
  ]);
});

describe('place_order', () => {
  test('answers the order, priced by the shop, its stock held for half an hour', async () => {
    const before = await stockOf(kettle);
    // Rates are fetched as soon as the shop is up.
    await eventually(
      async () => (await shopper.client.rpc('quote_cart', { country: 'CM' })).data.exchange_rate,
      'a rate',
    );
    const asked = Date.now();
    const { data: order, error } = await placeOrder(shopper.client, {
      items: [item(kettle, 2), item(crate, 15)],
      expected_total: 37_500,
    });
    assert.equal(error, null);
    const {
      id, order_number, created_at, updated_at, expires_at, exchange_rate, exchange_rate_at,
      exchange_rate_source, ...shown
    } = order;
    // It keeps the rate of the quote that it answers to.
    const { data: quote } = await shopper.client.rpc('quote_cart', { country: 'CM' });
    assert.ok(exchange_rate > 500 && exchange_rate < 700);
    assert.deepEqual(
      [exchange_rate, exchange_rate_source, exchange_rate_at],
      [quote.exchange_rate, quote.exchange_rate_source, quote.exchange_rate_at],
    );
    assert.deepEqual(shown, {
      user_id: shopper.id,
      status: 'pending',
      payment_status: 'pending',
      country: 'CM',
      currency: 'XAF',
      language: 'en',
      subtotal_price: 34_000,
      discount_amount: 0,
      shipping_amount: 3_500,
      duty_amount: 0,
      tax_amount: 6_053,
      shipping_tax_amount: 565,
      total_price: 37_500,
      promo_code_id: null,
      promo_code: null,
      shipping_address: DOUALA,
      tracking_number: null,
      cancel_reason: null,
      paid_at: null,
      shipped_at: null,
      delivered_at: null,
      cancelled_at: null,
    });
    assert.match(order_number, /^MG-\d{6,}$/);
    assert.equal(updated_at, created_at);
    const held = Date.parse(expires_at) - asked;
    assert.ok(held > 29 * MINUTE && held < 31 * MINUTE, `held for ${held / MINUTE} minutes`);
    assert.deepEqual(await stockOf(kettle), {
      on_hand: before.on_hand,
      reserved: before.reserved + 2,
      available: before.available - 2,
    });

    const { data: lines } = await shopper.client
      .from('order_items')
      .select('line_number, channel, name, name_fr, quantity, unit_price, subtotal, tax_amount')
      .eq('order_id', id)
      .order('line_number');
    assert.deepEqual(
      lines.map(({ tax_amount, ...line }) => line),
      [
        {
          line_number: 1,
          channel: 'retail',
          name: kettle.name,
          name_fr: kettle.name_fr,
          quantity: 2,
          unit_price: 9_500,
          subtotal: 19_000,
        },
        {
          line_number: 2,
          channel: 'wholesale',
          name: crate.name,
          name_fr: crate.name_fr,
          quantity: 15,
          unit_price: 1_000,
          subtotal: 15_000,
        },
      ],
    );
    const tax = lines.reduce((sum, line) => sum + line.tax_amount, order.shipping_tax_amount);
    assert.equal(tax, order.tax_amount, "the parts' tax sums to the order's");
  });

  test('leaves an event by the shopper and mails them in their language', async () => {
    const person = await signUpConfirmed({ language: 'fr', country: 'CM' });
    const order = await placedOrder(person.client, { items: [item(lamp)] });
    const { data: events } = await person.client
      .from('order_events')
      .select('kind, from_status, to_status, actor_type, actor_id')
      .eq('order_id', order.id);
    assert.deepEqual(events, [
      {
        kind: 'placed',
        from_status: null,
        to_status: 'pending',
        actor_type: 'user',
        actor_id: person.id,
      },
    ]);
    const mail = await mailTo(person.email, new RegExp(order.order_number));
    assert.match(mail.subject, /^Votre commande MG-\d+ : .*FCFA à payer$/);
    assert.match(mail.text, new RegExp(lamp.name_fr));
  });

  test('orders the cart when no items are given, and empties it', async () => {
    const person = await signUpConfirmed({ country: 'CM' });
    await person.client.rpc('merge_cart', { items: [item(kettle, 1), item(lamp, 2)] });
    const order = await placedOrder(person.client, {});
    assert.equal(order.subtotal_price, 21_500);
    assert.deepEqual((await person.client.from('cart_items').select()).data, []);
  });

  test('leaves the cart alone when items are given or the order is refused', async () => {
    const person = await signUpConfirmed({ country: 'CM' });
    await person.client.rpc('add_to_cart', item(lamp, 2));
    await placedOrder(person.client, { items: [item(kettle)] });
    await assertRefused(await placeOrder(person.client, { country: 'XX' }), 'country_unknown');
    const { data } = await person.client.from('cart_items').select('listing_id, quantity');
    assert.deepEqual(data, [{ listing_id: lamp.id, quantity: 2 }]);
  });

  test('reads no price, owner or total from what is sent', async () => {
    const order = await placedOrder(shopper.client, {
      items: [{ ...item(kettle), unit_price: 1, price: 1, user_id: crypto.randomUUID() }],
    });
    assert.deepEqual([order.subtotal_price, order.user_id], [9_500, shopper.id]);
    const answer = await placeOrder(shopper.client, { items: [item(kettle)], total_price: 1 });
    assert.equal(answer.error.code, 'PGRST202');
  });

  test("copies an address of one's book and keeps it when the book changes", async () => {
    const { data: address } = await shopper.client
      .from('addresses')
      .insert({ ...DOUALA, label: 'Bureau', latitude: 4.0511, longitude: 9.7679 })
      .select('id')
      .single();
    const order = await placedOrder(shopper.client, {
      items: [item(lamp)],
      address: { id: address.id },
    });
    await shopper.client.from('addresses').update({ city: 'Yaoundé' }).eq('id', address.id);
    const { data } = await shopper.client
      .from('orders')
      .select('shipping_address')
      .eq('id', order.id)
      .single();
    assert.deepEqual(data.shipping_address, { ...DOUALA, latitude: 4.0511, longitude: 9.7679 });
  });

  test('charges rand with cents in South Africa', async () => {
    const order = await placedOrder(shopper.client, { country: 'ZA', items: [item(kettle, 3)] });
    assert.deepEqual(
      [order.currency, order.subtotal_price, order.shipping_amount, order.total_price],
      ['ZAR', 899.7, 99, 998.7],
    );
    assert.deepEqual(order.shipping_address, SOWETO);
  });

  test('sums two lines of one product before it asks for stock and limits', async () => {
    const scarce = await makeProduct({ prices: { CM: 1_000 }, stock: 5, max_order_quantity: 6 });
    const two = (quantity) => ({ items: [item(scarce, quantity), item(scarce, quantity)] });
    await assertRefused(await placeOrder(shopper.client, two(3)), 'stock_insufficient');
    await assertRefused(await placeOrder(shopper.client, two(4)), 'quantity_above_maximum');
    const order = await placedOrder(shopper.client, two(2));
    assert.equal(order.subtotal_price, 4_000);
    assert.deepEqual(await stockOf(scarce), { on_hand: 5, reserved: 4, available: 1 });
  });
});

describe('the same idempotency key', () => {
  test('with the same body answers the same order and holds once', async () => {
    const product = await makeProduct({ prices: { CM: 1_000 }, stock: 5 });
    const body = { idempotency_key: `key-${unique()}`, items: [item(product, 2)] };
    const [first, again] = [
      await placedOrder(shopper.client, body),
      await placedOrder(shopper.client, body),
    ];
    assert.deepEqual(again, first);
    assert.deepEqual(await stockOf(product), { on_hand: 5, reserved: 2, available: 3 });
  });

  test('ten times at once makes one order', async () => {
    const person = await signUpConfirmed({ country: 'CM' });
    const body = { idempotency_key: `key-${unique()}`, items: [item(kettle)] };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => placeOrder(person.client, body)),
    );
    for (const { error } of answers) assert.equal(error, null);
    assert.equal(new Set(answers.map(({ data }) => data.id)).size, 1);
    assert.equal(await ordersOf(person), 1);
  });

  test('answers the same after the cart is gone and the price has changed', async () => {
    const person = await signUpConfirmed({ country: 'CM' });
    const product = await makeProduct({ prices: { CM: 1_000 }, stock: 5 });
    await person.client.rpc('add_to_cart', item(product));
    const body = { idempotency_key: `key-${unique()}`, expected_total: 4_500 };
    const first = await placedOrder(person.client, body);
    await service
      .from('product_prices')
      .update({ amount: 2_000 })
      .match({ listing_id: product.id, country: 'CM' });
    assert.deepEqual(await placedOrder(person.client, body), first);
  });

  test('with another body is refused', async () => {
    const key = `key-${unique()}`;
    const body = { idempotency_key: key, items: [item(kettle)] };
    const first = await placedOrder(shopper.client, body);
    const counted = await ordersOf(shopper);
    for (const change of [
      { items: [item(kettle, 2)] },
      { items: [item(kettle)], promo_code: 'OTHER' },
      { items: [item(kettle)], expected_total: first.total_price },
      { items: [item(kettle)], address: { ...DOUALA, city: 'Yaoundé' } },
      { items: [item(kettle)], country: 'ZA' },
    ]) {
      const answer = await placeOrder(shopper.client, { idempotency_key: key, ...change });
      await assertRefused(answer, 'idempotency_key_reused', { details: key });
    }
    assert.equal(await ordersOf(shopper), counted);
  });

  test('of a refused order may be used again', async () => {
    const product = await makeProduct({ prices: { CM: 1_000 }, stock: 0 });
    const body = { idempotency_key: `key-${unique()}`, items: [item(product)] };
    await assertRefused(await placeOrder(shopper.client, body), 'stock_insufficient');
    await service.from('product_stock').update({ on_hand: 1 }).eq('listing_id', product.id);
    assert.equal((await placedOrder(shopper.client, body)).status, 'pending');
  });

  const NO_KEYS = ['short', 'has space in it', 'line\nbreak-key', 'clé-accentuée', '', null,
    'x'.repeat(201)];
  for (const key of NO_KEYS) {
    test(`${JSON.stringify(key).slice(0, 30)} is no key`, async () => {
      const counted = await ordersOf(shopper);
      const body = { idempotency_key: key, items: [item(kettle)] };
      const answer = await placeOrder(shopper.client, body);
      await assertRefused(answer, 'idempotency_key_invalid', { details: (key ?? '').slice(0, 200) });
      assert.equal(await ordersOf(shopper), counted);
    });
  }
});

describe('a refused order', () => {
  let person;
  let french;
  before(async () => {
    person = await signUpConfirmed({ language: 'en', country: 'CM' });
    french = tokenClient(person.session.access_token, { headers: { 'Accept-Language': 'fr' } });
  });

  /** What every refusal must leave as it was. */
  async function standing(person) {
    const stock = await Promise.all([kettle, lamp, crate].map(stockOf));
    return { orders: await ordersOf(person), stock };
  }

  const one = (change = {}) => ({ items: [{ ...item(kettle), ...change }] });
  const sentTo = (address) => ({ ...one(), address });
  const REFUSALS = [
    ['an empty cart', () => ({}), 'cart_empty'],
    ['an empty list of items', () => ({ items: [] }), 'cart_empty'],
    ['an unknown country', () => ({ ...one(), country: 'NG' }), 'country_unknown', 'NG'],
    ['no country', () => ({ ...one(), country: null }), 'country_unknown', ''],
    ['an unknown product', () => one({ product_id: crypto.randomUUID() }), 'product_not_found'],
    ['a product in the other channel', () => one({ channel: 'wholesale', quantity: 10 }),
      'product_not_found'],
    ['a product without a price there', () => ({ items: [item(crate, 10)], country: 'ZA' }),
      'product_not_sold_in_country'],
    ['too few', () => ({ items: [item(crate, 5)] }), 'quantity_below_minimum'],
    ['too many', () => one({ quantity: 101 }), 'quantity_above_maximum'],
    ['a quantity between steps', () => ({ items: [item(crate, 11)] }), 'quantity_not_in_steps'],
    ['more than is in stock', () => ({ items: [item(crate, 1_005)] }), 'stock_insufficient'],
    ['one bad line among good ones', () => ({ items: [item(kettle), item(lamp), item(crate, 11)] }),
      'quantity_not_in_steps'],
    ['no address', () => sentTo(null), 'address_invalid', 'address is not an object'],
    ['an address without a city', () => sentTo({ ...DOUALA, city: ' ' }), 'address_invalid',
      'address.city'],
    ['an address that says nowhere',
      () => sentTo({ recipient_name: 'Ama', phone: '+237670000009', city: 'Douala' }),
      'address_invalid', 'address.line1'],
    ['a phone that is none', () => sentTo({ ...DOUALA, phone: '670' }), 'address_invalid',
      'address.phone'],
    ['an address elsewhere', () => sentTo(SOWETO), 'address_country_mismatch', 'ZA'],
    ['an unknown address', () => sentTo({ id: 'home' }), 'address_not_found', 'home'],
    ['an unknown promo code', () => ({ ...one(), promo_code: 'NO-SUCH' }), 'promo_code_not_found',
      'NO-SUCH'],
  ];
  for (const [what, body, code, details] of REFUSALS) {
    test(`for ${what} answers ${code}, in French too, and writes nothing`, async () => {
      const untouched = await standing(person);
      await assertRefused(await placeOrder(person.client, body()), code, { details });
      await assertRefused(await placeOrder(french, body()), code, { language: 'fr', details });
      assert.deepEqual(await standing(person), untouched);
    });
  }

  test('says what is in stock in its details', async () => {
    const { error } = await placeOrder(shopper.client, { items: [item(crate, 1_005)] });
    const { product_id, available, quantity } = JSON.parse(error.details);
    assert.equal(product_id, crate.id);
    assert.equal(quantity, 1_005);
    assert.equal(available, (await stockOf(crate)).available);
  });

  test('speaks the language of the person when the request names none', async () => {
    const fatou = await signUpConfirmed({ language: 'fr', country: 'CM' });
    const answer = await placeOrder(fatou.client, { items: [item(kettle, 101)] });
    await assertRefused(answer, 'quantity_above_maximum', { language: 'fr' });
    assert.equal(
      answer.error.message,
      'Plus que la plus grande quantité vendue de ce produit en une fois.',
    );
  });

  test('for a total that has changed carries the new quote', async () => {
    const untouched = await standing(shopper);
    const answer = await placeOrder(shopper.client, {
      items: [item(kettle, 2)],
      expected_total: 22_499,
    });
    await assertRefused(answer, 'total_changed');
    const {
      lines, exchange_rate, exchange_rate_at, exchange_rate_source, ...sums
    } = JSON.parse(answer.error.details);
    assert.deepEqual(sums, {
      country: 'CM',
      currency: 'XAF',
      subtotal: 19_000,
      promo_code: null,
      promo_problem: null,
      discount: 0,
      shipping: 3_500,
      duty: 0,
      tax: 3_632,
      total: 22_500,
    });
    assert.deepEqual(
      lines.map(({ product_id, name, quantity, unit_price }) => ({
        product_id, name, quantity, unit_price,
      })),
      [{ product_id: kettle.id, name: kettle.name, quantity: 2, unit_price: 9_500 }],
    );
    assert.deepEqual(await standing(shopper), untouched);

    const order = await placedOrder(shopper.client, {
      items: [item(kettle, 2)],
      expected_total: sums.total,
    });
    assert.equal(order.total_price, 22_500);
  });
});

describe('a promo code', () => {
  test('takes its discount off, split over the lines, and is held, not used', async () => {
    const code = await makePromoCode({ discount_percent: 10 });
    const order = await placedOrder(shopper.client, {
      items: [item(kettle, 1), item(lamp, 1)],
      promo_code: code.code.toLowerCase(),
    });
    assert.deepEqual(
      [order.discount_amount, order.total_price, order.promo_code, order.promo_code_id],
      [1_550, 17_450, code.code, code.id],
    );
    const { data } = await shopper.client
      .from('order_items')
      .select('discount_amount')
      .eq('order_id', order.id)
      .order('line_number');
    assert.deepEqual(data.map((line) => line.discount_amount), [950, 600]);
    assert.deepEqual(await usesOf(code), { usage_count: 0, reserved_count: 1 });
  });

  test("counts when the order is paid, in the affiliate's statistic as well", async () => {
    const affiliate = await makeAffiliate((await signUpConfirmed()).id, { threshold_uses: 2 });
    const code = await makePromoCode({ affiliate, discount_percent: 5 });
    const product = await makeProduct({ prices: { CM: 10_000 }, stock: 9 });
    const payouts = async () =>
      sql`select block_number, payout_amount, currency, payout_status
          from affiliate_payouts where promo_code_id = ${code.id}`;
    for (const use of [1, 2]) {
      const order = await placedOrder(shopper.client, {
        items: [item(product, 2)],
        promo_code: code.code,
      });
      const payment = await beginPayment(order);
      await applyPaid(payment);
      await applyPaid(payment);
      const { data: paid } = await shopper.client
        .from('orders')
        .select()
        .eq('id', order.id)
        .single();
      assert.deepEqual([paid.status, paid.payment_status], ['paid', 'paid']);
      assert.notEqual(paid.paid_at, null);
      assert.deepEqual(await usesOf(code), { usage_count: use, reserved_count: 0 });
      assert.deepEqual(await stockOf(product), {
        on_hand: 9 - 2 * use,
        reserved: 0,
        available: 9 - 2 * use,
      });
      const stats = await sql`
        select promo_code_id, affiliate_id, user_id, discount_amount::int, currency
        from affiliate_stats where order_id = ${order.id}`;
      assert.deepEqual([...stats], [
        {
          promo_code_id: code.id,
          affiliate_id: affiliate.id,
          user_id: shopper.id,
          discount_amount: 1_000,
          currency: 'XAF',
        },
      ]);
      const block = {
        block_number: 1,
        payout_amount: '15000.00',
        currency: 'XAF',
        payout_status: 'pending',
      };
      assert.deepEqual([...(await payouts())], use < 2 ? [] : [block]);
    }
  });

  const REFUSALS = {
    promo_code_own: async () =>
      makePromoCode({ affiliate: await makeAffiliate(shopper.id) }),
    promo_code_inactive: () => makePromoCode({ status: 'archived' }),
    promo_code_expired: () =>
      makePromoCode({ starts_at: '2026-01-01T00:00:00Z', ends_at: '2026-01-02T00:00:00Z' }),
    promo_code_not_started: () => makePromoCode({ starts_at: '2099-01-01T00:00:00Z' }),
    promo_code_currency_mismatch: () => makePromoCode({ discount_amount: 50, currency: 'ZAR' }),
    promo_code_exhausted: async () => {
      const code = await makePromoCode({ usage_limit: 1 });
      await placedOrder(other.client, { items: [item(lamp)], promo_code: code.code });
      return code;
    },
  };
  for (const [reason, make] of Object.entries(REFUSALS)) {
    test(`that does not hold refuses the order: ${reason}`, async () => {
      const code = await make();
      const before = await usesOf(code);
      const answer = await placeOrder(shopper.client, {
        items: [item(kettle)],
        promo_code: code.code,
      });
      await assertRefused(answer, reason, { details: code.code });
      assert.deepEqual(await usesOf(code), before);
    });
  }

  test('is used by one person as often as it allows', async () => {
    const code = await makePromoCode({ per_user_limit: 1 });
    const place = (client) =>
      placeOrder(client, { items: [item(kettle)], promo_code: code.code });
    assert.equal((await place(shopper.client)).error, null);
    await assertRefused(await place(shopper.client), 'promo_code_used_up');
    assert.equal((await place(other.client)).error, null);
    assert.deepEqual(await usesOf(code), { usage_count: 0, reserved_count: 2 });
  });

  test('that takes all there is to pay refuses the order', async () => {
    const product = await makeProduct({ prices: { CM: 60_000 }, stock: 5 });
    const code = await makePromoCode({ discount_amount: 60_000, currency: 'XAF' });
    const order = await placedOrder(shopper.client, {
      items: [item(product)],
      promo_code: code.code,
    });
    // Nothing is free of delivery below the sum that makes it so: that much is left to pay.
    assert.deepEqual([order.discount_amount, order.total_price], [60_000, 3_500]);
  });
});

describe('an unpaid order', () => {
  test('is cancelled by its owner, once, and gives back what it held', async () => {
    const product = await makeProduct({ prices: { CM: 1_000 }, stock: 5 });
    const code = await makePromoCode();
    const order = await placedOrder(shopper.client, {
      items: [item(product, 3)],
      promo_code: code.code,
    });
    const cancel = () =>
      shopper.client.rpc('cancel_order', { order_id: order.id, reason: 'Changed my mind' });
    const { data, error } = await cancel();
    assert.equal(error, null);
    assert.deepEqual([data.status, data.cancel_reason], ['cancelled', 'Changed my mind']);
    assert.deepEqual((await cancel()).data, data);
    assert.deepEqual(await stockOf(product), { on_hand: 5, reserved: 0, available: 5 });
    assert.deepEqual(await usesOf(code), { usage_count: 0, reserved_count: 0 });
    const { data: notices } = await shopper.client
      .from('notifications')
      .select('kind')
      .eq('data->>order_id', order.id);
    assert.deepEqual(notices, [{ kind: 'order_cancelled' }]);
  });

  test('changes its address within its country', async () => {
    const order = await placedOrder(shopper.client, { items: [item(lamp)] });
    const move = (address) =>
      shopper.client.rpc('update_order_address', { order_id: order.id, address });
    const { data, error } = await move({ ...DOUALA, city: 'Yaoundé', district: 'Bastos' });
    assert.equal(error, null);
    assert.equal(data.shipping_address.city, 'Yaoundé');
    await assertRefused(await move(SOWETO), 'address_country_mismatch', { details: 'ZA' });
    const { data: events } = await shopper.client
      .from('order_events')
      .select('kind')
      .eq('order_id', order.id)
      .order('created_at');
    assert.deepEqual(events.map(({ kind }) => kind), ['placed', 'address_changed']);
  });
});

describe('a paid order', () => {
  test('is not moved, and tells its owner once', async () => {
    const person = await signUpConfirmed({ language: 'fr', country: 'CM' });
    const order = await placedOrder(person.client, { items: [item(lamp, 1)] });
    await applyPaid(await beginPayment(order));
    const move = await person.client.rpc('update_order_address', {
      order_id: order.id,
      address: DOUALA,
    });
    await assertRefused(move, 'order_not_editable', { language: 'fr', details: 'paid' });
    const { data: notices } = await person.client.from('notifications').select('id, kind, read_at');
    assert.deepEqual(
      notices.map(({ kind, read_at }) => ({ kind, read_at })),
      [{ kind: 'order_paid', read_at: null }],
    );
    const read = () =>
      person.client.rpc('mark_notifications_read', { ids: notices.map(({ id }) => id) });
    const [first, again] = [await read(), await read()];
    assert.notEqual(first.data[0].read_at, null);
    assert.deepEqual(again.data, first.data);

    const mail = await mailTo(person.email, /^Paiement reçu/);
    assert.equal(mail.language, 'fr');
    const paidMails = (await mailsTo(person.email)).filter(({ subject }) => /reçu/.test(subject));
    assert.equal(paidMails.length, 1);
  });

  test('is cancelled by its owner until it is shipped, and its money goes back, once', async () => {
    const product = await makeProduct({ prices: { ZA: 100 }, stock: 5 });
    const code = await makePromoCode();
    const { order } = await paidByCard(shopper.client, {
      items: [item(product, 3)],
      promo_code: code.code,
    });
    assert.deepEqual(await stockOf(product), { on_hand: 2, reserved: 0, available: 2 });
    const cancel = () =>
      shopper.client.rpc('cancel_order', { order_id: order.id, reason: 'Too late' });
    const { data, error } = await cancel();
    assert.equal(error, null);
    assert.deepEqual(
      [data.status, data.payment_status, data.cancel_reason],
      ['cancelled', 'paid', 'Too late'],
    );
    assert.deepEqual((await cancel()).data, data);
    assert.deepEqual(await stockOf(product), { on_hand: 5, reserved: 0, available: 5 });
    assert.deepEqual(await usesOf(code), { usage_count: 0, reserved_count: 0 });
    const refunds = await shopper.client
      .from('refunds')
      .select('amount, tax_amount, currency, status, reason')
      .eq('order_id', order.id);
    assert.deepEqual(refunds.data, [{
      amount: order.total_price,
      tax_amount: order.tax_amount,
      currency: 'ZAR',
      status: 'pending',
      reason: 'Too late',
    }]);
  });

  test('is not cancelled once it is shipped', async () => {
    const { order } = await paidByCard(shopper.client, { items: [item(lamp, 1)] });
    await sql`update orders set status = 'shipped', shipped_at = now() where id = ${order.id}`;
    const answer = await shopper.client.rpc('cancel_order', { order_id: order.id });
    await assertRefused(answer, 'order_not_cancellable', { details: 'shipped' });
    const { data } = await shopper.client.from('refunds').select('id').eq('order_id', order.id);
    assert.deepEqual(data, []);
  });
});
