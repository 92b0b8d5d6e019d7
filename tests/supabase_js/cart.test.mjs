import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import {
  assertRefused,
  assertRejected,
  item,
  makeAffiliate,
  makeProduct,
  makePromoCode,
  placedOrder,
} from './shop.mjs';
import {
  eventually, rawRest, serviceClient, signUpConfirmed, tokenClient, unique,
} from './stack.mjs';

const service = serviceClient();
const goods = {};

/** A person with an empty cart. */
async function shopper(options = {}) {
  return signUpConfirmed({ country: 'CM', ...options });
}

/** The lines of a person's cart as they stand: {listing id: quantity}. */
async function cartOf({ id }) {
  const { data } = await service
    .from('cart_items')
    .select('listing_id, quantity')
    .eq('user_id', id);
  return Object.fromEntries(data.map((line) => [line.listing_id, line.quantity]));
}

async function setPrice(product, country, amount) {
  const { error } = await service
    .from('product_prices')
    .update({ amount })
    .match({ listing_id: product.id, country });
  assert.equal(error, null);
}

before(async () => {
  [goods.kettle, goods.lamp, goods.elsewhere, goods.withdrawn, goods.crate] = await Promise.all([
    makeProduct({ prices: { CM: 9_500, ZA: 299.9 }, stock: 5, max_order_quantity: 50 }),
    makeProduct({ prices: { CM: 6_000, ZA: 180 } }),
    makeProduct({ prices: { ZA: 100 } }),
    makeProduct({ is_active: false }),
    makeProduct({
      channel: 'wholesale',
      prices: { CM: 1_000 },
      stock: 1_000,
      min_order_quantity: 10,
      order_increment: 5,
      bulk_min_quantity: 200,
      bulk_discount_percent: 7,
    }),
  ]);
  const tier = await service.from('price_tiers').insert({
    retailer_product_id: goods.crate.id,
    quantities: '[50,100)',
    discount_percent: 12.5,
  });
  assert.equal(tier.error, null);
});

describe('cart', () => {
  test('add_to_cart sets the quantity and answers the cart', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.kettle, 3));
    const { data, error } = await person.client.rpc('add_to_cart', item(goods.kettle, 2));
    assert.equal(error, null);
    assert.deepEqual(
      data.map(({ user_id, listing_id, product_id, channel, quantity }) => ({
        user_id, listing_id, product_id, channel, quantity,
      })),
      [
        {
          user_id: person.id,
          listing_id: goods.kettle.id,
          product_id: goods.kettle.id,
          channel: 'retail',
          quantity: 2,
        },
      ],
    );
    assert.deepEqual(await cartOf(person), { [goods.kettle.id]: 2 });
  });

  test('holds retail and wholesale goods, and more than is in stock just now', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.crate, 15));
    const { data, error } = await person.client.rpc('add_to_cart', item(goods.kettle, 50));
    assert.equal(error, null);
    assert.deepEqual(
      Object.fromEntries(data.map(({ channel, quantity }) => [channel, quantity])),
      { wholesale: 15, retail: 50 },
    );
  });

  test('remove_from_cart answers what is left, also when nothing was there', async () => {
    const person = await shopper();
    await person.client.rpc('merge_cart', { items: [item(goods.kettle), item(goods.lamp)] });
    const remove = () =>
      person.client.rpc('remove_from_cart', { product_id: goods.kettle.id, channel: 'retail' });
    for (const { data, error } of [await remove(), await remove()]) {
      assert.equal(error, null);
      assert.deepEqual(data.map(({ listing_id }) => listing_id), [goods.lamp.id]);
    }
  });

  test('merge_cart takes a guest cart over, quantities of one product summed', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.kettle, 1));
    const { error } = await person.client.rpc('merge_cart', {
      items: [item(goods.kettle, 2), item(goods.lamp, 1), item(goods.lamp, 3)],
    });
    assert.equal(error, null);
    assert.deepEqual(await cartOf(person), { [goods.kettle.id]: 2, [goods.lamp.id]: 4 });
  });

  test('merge_cart is all or none', async () => {
    const person = await shopper();
    const answer = await person.client.rpc('merge_cart', {
      items: [item(goods.kettle, 2), item(goods.crate, 3)],
    });
    await assertRefused(answer, 'quantity_below_minimum');
    assert.deepEqual(await cartOf(person), {});
  });

  test('a person reads their cart with products and prices through PostgREST', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.kettle, 2));
    const { data, error } = await person.client
      .from('cart_items')
      .select('quantity, channel, products(name, product_prices(country, amount))')
      .eq('products.product_prices.country', 'CM');
    assert.equal(error, null);
    assert.deepEqual(data, [
      {
        quantity: 2,
        channel: 'retail',
        products: { name: goods.kettle.name, product_prices: [{ country: 'CM', amount: 9_500 }] },
      },
    ]);
  });

  const REFUSALS = [
    ['an unknown product', () => ({ ...item(goods.kettle), product_id: crypto.randomUUID() }),
      'product_not_found'],
    ['a product that is off sale', () => item(goods.withdrawn), 'product_not_found'],
    ['a product in the other channel', () => ({ ...item(goods.kettle), channel: 'wholesale' }),
      'product_not_found'],
    ['no quantity', () => item(goods.kettle, 0), 'quantity_invalid'],
    ['a negative quantity', () => item(goods.kettle, -5), 'quantity_invalid'],
    ['a huge quantity', () => item(goods.kettle, 2_000_000_000), 'quantity_invalid'],
    ['more than sold at once', () => item(goods.kettle, 51), 'quantity_above_maximum'],
    ['less than sold at once', () => item(goods.crate, 9), 'quantity_below_minimum'],
    ['a quantity between the steps', () => item(goods.crate, 12), 'quantity_not_in_steps'],
  ];
  for (const [what, line, code] of REFUSALS) {
    test(`add_to_cart refuses ${what}`, async () => {
      const person = await shopper();
      await assertRefused(await person.client.rpc('add_to_cart', line()), code);
      assert.deepEqual(await cartOf(person), {});
    });
  }

  test('a refusal names the product and its limits in the details', async () => {
    const person = await shopper();
    const { error } = await person.client.rpc('add_to_cart', item(goods.crate, 12));
    assert.deepEqual(JSON.parse(error.details), {
      product_id: goods.crate.id,
      channel: 'wholesale',
      quantity: 12,
      minimum: 10,
      maximum: 10_000,
      increment: 5,
      available: 1_000,
    });
  });

  test('add_to_cart rejects what is no id, channel or number', async () => {
    const person = await shopper();
    for (const [line, code] of [
      [{ ...item(goods.kettle), product_id: 'kettle' }, '22P02'],
      [{ ...item(goods.kettle), channel: 'both' }, '22P02'],
      [item(goods.kettle, 'two'), '22P02'],
      [item(goods.kettle, 1.5), '22P02'],
      [item(goods.kettle, 99_999_999_999), '22003'],
    ]) {
      assertRejected(await person.client.rpc('add_to_cart', line), code, 400);
    }
    assertRejected(
      await person.client.rpc('add_to_cart', { ...item(goods.kettle), unit_price: 1 }),
      'PGRST202',
      404,
    );
    assert.deepEqual(await cartOf(person), {});
  });

  test('a refusal is in French for who asks in French', async () => {
    const person = await shopper({ language: 'en' });
    const french = tokenClient(person.session.access_token, {
      headers: { 'Accept-Language': 'fr-CM,fr;q=0.9,en;q=0.5' },
    });
    const answer = await french.rpc('add_to_cart', item(goods.crate, 9));
    await assertRefused(answer, 'quantity_below_minimum', { language: 'fr' });
    assert.equal(answer.error.message, 'Moins que la plus petite quantité vendue de ce produit.');
  });
});

describe('quote', () => {
  test('prices the cart in the country, tax contained', async () => {
    const person = await shopper({ language: 'fr' });
    await person.client.rpc('merge_cart', { items: [item(goods.kettle, 2), item(goods.lamp, 1)] });
    // Rates are fetched as soon as the shop is up.
    const data = await eventually(async () => {
      const quote = await person.client.rpc('quote_cart', { country: 'CM' });
      assert.equal(quote.error, null);
      return quote.data.exchange_rate && quote.data;
    }, 'a rate');
    const {
      lines, exchange_rate: rate, exchange_rate_at: at, exchange_rate_source: source, ...sums
    } = data;
    assert.ok(rate > 500 && rate < 700 && Date.parse(at) <= Date.now() && source);
    // 25,000 and 3,500 delivery, of which 19.25 % VAT contained.
    assert.deepEqual(sums, {
      country: 'CM',
      currency: 'XAF',
      subtotal: 25_000,
      promo_code: null,
      promo_problem: null,
      discount: 0,
      shipping: 3_500,
      duty: 0,
      tax: 4_601,
      total: 28_500,
      changes: [],
    });
    const shown = new Map(lines.map((line) => [line.product_id, line]));
    assert.deepEqual(shown.get(goods.kettle.id), {
      product_id: goods.kettle.id,
      channel: 'retail',
      name: goods.kettle.name_fr,
      quantity: 2,
      list_price: 9_500,
      unit_price: 9_500,
      subtotal: 19_000,
      available: 5,
      problem: null,
    });
    assert.equal(shown.get(goods.lamp.id).subtotal, 6_000);
  });

  test('prices the same cart in rand, with cents', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.kettle, 3));
    const { data } = await person.client.rpc('quote_cart', { country: 'ZA' });
    assert.deepEqual(
      [data.currency, data.subtotal, data.shipping, data.tax, data.total],
      ['ZAR', 899.7, 99, 130.27, 998.7],
    );
  });

  test('delivers for nothing from the sum that the country sets', async () => {
    const person = await shopper();
    await person.client.rpc('add_to_cart', item(goods.lamp, 10));
    const { data } = await person.client.rpc('quote_cart', { country: 'CM' });
    assert.deepEqual([data.subtotal, data.shipping, data.total], [60_000, 0, 60_000]);
  });

  test('gives a wholesale break, or the bulk discount when that is more', async () => {
    const person = await shopper();
    const unitPrice = async (quantity) => {
      await person.client.rpc('add_to_cart', item(goods.crate, quantity));
      const { data } = await person.client.rpc('quote_cart', { country: 'CM' });
      return [data.lines[0].list_price, data.lines[0].unit_price];
    };
    assert.deepEqual(await unitPrice(45), [1_000, 1_000]);
    assert.deepEqual(await unitPrice(50), [1_000, 875]);
    assert.deepEqual(await unitPrice(95), [1_000, 875]);
    assert.deepEqual(await unitPrice(100), [1_000, 1_000]);
    assert.deepEqual(await unitPrice(200), [1_000, 930]);
  });

  test('says what changed since the last look, once', async () => {
    const person = await shopper();
    const product = await makeProduct({ prices: { CM: 1_000 }, stock: 5 });
    await person.client.rpc('add_to_cart', item(product, 4));
    const quote = async () => (await person.client.rpc('quote_cart', { country: 'CM' })).data;
    assert.deepEqual((await quote()).changes, []);

    await setPrice(product, 'CM', 1_200);
    assert.deepEqual((await quote()).changes, [
      {
        product_id: product.id,
        channel: 'retail',
        kind: 'price_changed',
        seen_unit_price: 1_000,
        unit_price: 1_200,
        available: 5,
      },
    ]);
    assert.deepEqual((await quote()).changes, []);

    await service.from('product_stock').update({ on_hand: 3 }).eq('listing_id', product.id);
    const { lines, changes, total } = await quote();
    assert.equal(lines[0].problem, 'stock_insufficient');
    assert.deepEqual(changes.map(({ kind }) => kind), ['stock_insufficient']);
    assert.equal(total, 0, 'a line that cannot be ordered counts nothing');
  });

  test('carries the problem of a line that is not sold in the country', async () => {
    const person = await shopper();
    await person.client.rpc('merge_cart', { items: [item(goods.elsewhere), item(goods.lamp)] });
    const { data } = await person.client.rpc('quote_cart', { country: 'CM' });
    const problems = Object.fromEntries(data.lines.map((line) => [line.product_id, line.problem]));
    assert.deepEqual(problems, {
      [goods.elsewhere.id]: 'product_not_sold_in_country',
      [goods.lamp.id]: null,
    });
    assert.equal(data.subtotal, 6_000);
  });

  test('takes a promo code off before delivery, in any case of letters', async () => {
    const person = await shopper();
    const { code } = await makePromoCode({ discount_percent: 15 });
    await person.client.rpc('add_to_cart', item(goods.lamp, 1));
    const { data } = await person.client.rpc('quote_cart', {
      country: 'CM',
      promo_code: ` ${code.toLowerCase()} `,
    });
    assert.deepEqual(
      [data.promo_code, data.promo_problem, data.discount, data.shipping, data.total],
      [code, null, 900, 3_500, 8_600],
    );
  });

  test('answers an empty cart and refuses an unknown country', async () => {
    const person = await shopper();
    const { data } = await person.client.rpc('quote_cart', { country: 'ZA' });
    assert.deepEqual([data.lines, data.subtotal, data.shipping, data.total], [[], 0, 0, 0]);
    const answer = await person.client.rpc('quote_cart', { country: 'NG' });
    await assertRefused(answer, 'country_unknown', { details: 'NG' });
  });
});

describe('check_promo_code', () => {
  const YESTERDAY = new Date(Date.now() - 86_400_000).toISOString();
  const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();
  let person;
  let affiliateOfOwn;
  before(async () => {
    person = await shopper();
    affiliateOfOwn = await makeAffiliate(person.id);
  });

  test('answers a percentage or an amount', async () => {
    const percent = await makePromoCode({ discount_percent: 12.5, ends_at: TOMORROW });
    const amount = await makePromoCode({ discount_amount: 2_000, currency: 'XAF' });
    const check = async ({ code }) =>
      (await person.client.rpc('check_promo_code', { code, country: 'CM' })).data;
    const { ends_at, ...first } = await check(percent);
    assert.deepEqual(first, {
      is_valid: true,
      code: percent.code,
      discount_percent: 12.5,
      discount_amount: null,
      currency: null,
    });
    assert.equal(new Date(ends_at).toISOString(), TOMORROW);
    assert.deepEqual(await check(amount), {
      is_valid: true,
      code: amount.code,
      discount_percent: null,
      discount_amount: 2_000,
      currency: 'XAF',
      ends_at: null,
    });
  });

  const REASONS = {
    promo_code_not_found: async () => ({ code: `NO-${unique(4)}` }),
    promo_code_inactive: () => makePromoCode({ status: 'paused' }),
    promo_code_not_started: () => makePromoCode({ starts_at: TOMORROW }),
    promo_code_expired: () =>
      makePromoCode({ starts_at: '2026-01-01T00:00:00Z', ends_at: YESTERDAY }),
    promo_code_own: () => makePromoCode({ affiliate: affiliateOfOwn }),
    promo_code_currency_mismatch: () => makePromoCode({ discount_amount: 50, currency: 'ZAR' }),
    promo_code_exhausted: async () => {
      const code = await makePromoCode({ usage_limit: 1 });
      const { client } = await shopper();
      await placedOrder(client, { items: [item(goods.lamp)], promo_code: code.code });
      return code;
    },
  };
  for (const [reason, make] of Object.entries(REASONS)) {
    test(`tells ${reason} without refusing`, async () => {
      const { code } = await make();
      const { data, error } = await person.client.rpc('check_promo_code', { code, country: 'CM' });
      assert.equal(error, null);
      assert.equal(data.is_valid, false);
      assert.equal(data.reason, reason);
      assert.deepEqual(Object.keys(data).sort(), ['is_valid', 'message', 'reason']);
    });
  }

  test('tells the reason in French for who asks in French', async () => {
    const french = tokenClient(person.session.access_token, {
      headers: { 'Accept-Language': 'fr' },
    });
    const { data } = await french.rpc('check_promo_code', { code: 'NO-SUCH', country: 'CM' });
    assert.equal(data.message, "Ce code promo n'existe pas.");
  });

  test('refuses an unknown country', async () => {
    const answer = await person.client.rpc('check_promo_code', { code: 'ANY', country: 'XX' });
    await assertRefused(answer, 'country_unknown', { details: 'XX' });
  });

  test('ends guessing with 429 and a Retry-After, quotes included', async () => {
    const guesser = await shopper();
    const guess = (code) => guesser.client.rpc('check_promo_code', { code, country: 'CM' });
    let refused;
    let guesses = 0;
    while (!refused && guesses < 40) {
      const answer = await guess(`GUESS-${guesses}`);
      if (answer.error) refused = answer;
      else guesses += 1;
    }
    assert.equal(guesses, 20);
    await assertRefused(refused, 'rate_limit_exceeded');
    const quote = await guesser.client.rpc('quote_cart', { country: 'CM', promo_code: 'GUESS' });
    await assertRefused(quote, 'rate_limit_exceeded');
    assert.equal((await guesser.client.rpc('quote_cart', { country: 'CM' })).error, null);

    const { status, headers } = await rawRest('rpc/check_promo_code', {
      method: 'POST',
      token: guesser.session.access_token,
      body: JSON.stringify({ code: 'GUESS', country: 'CM' }),
    });
    assert.equal(status, 429);
    const seconds = Number(headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 30, `Retry-After: ${seconds}`);
  });
});
