/**
 * What stands around the search as a frontend calls it: suggestions, facets, what is similar, and
 * the note of what was searched for.
 */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { sql } from './database.mjs';
import { assertRefused, assertRejected, makeCategory, makeProduct } from './shop.mjs';
import { anonClient, inventedWord, signUpConfirmed, tokenClient } from './stack.mjs';

const anon = anonClient();
let category;
let word;
const goods = {};

async function answered(name, args, client = anon) {
  const { data, error } = await client.rpc(name, args, { get: true });
  assert.equal(error, null, error?.message);
  return data;
}

before(async () => {
  category = await makeCategory();
  word = inventedWord();
  goods.large = await makeProduct({
    category,
    name: `${word} kettle large`,
    name_fr: `Bouilloire ${word} grande`,
    prices: { ZA: 300, CM: 9_000 },
    seller_rating: 4.8,
  });
  goods.small = await makeProduct({
    category,
    name: `${word} kettle`,
    name_fr: `Bouilloire ${word}`,
    prices: { ZA: 200, CM: 6_000 },
    seller_rating: 3.2,
    stock: 0,
  });
  goods.box = await makeProduct({
    category,
    channel: 'wholesale',
    name: `${word} kettles by the box`,
    name_fr: `Bouilloires ${word} en gros`,
    prices: { CM: 4_000 },
    min_order_quantity: 10,
    seller_rating: 4.1,
  });
  goods.hidden = await makeProduct({ category, name: `${word} kettle hidden`, is_active: false });
});

describe('suggest_products', () => {
  const suggested = (prefix, language = 'en') => answered('suggest_products', { prefix, language });

  test('completes a word and names popular products', async () => {
    assert.deepEqual(await suggested(word.slice(0, -1)), [
      { suggestion: word, product_id: null, channel: null },
      { suggestion: `${word} kettle large`, product_id: goods.large.id, channel: 'retail' },
      { suggestion: `${word} kettles by the box`, product_id: goods.box.id, channel: 'wholesale' },
      { suggestion: `${word} kettle`, product_id: goods.small.id, channel: 'retail' },
    ]);
  });

  test('answers in the language asked for', async () => {
    const rows = await suggested(`${word} bouill`, 'fr');
    assert.deepEqual(
      rows.filter((row) => row.product_id).map((row) => row.suggestion),
      [`Bouilloire ${word} grande`, `Bouilloires ${word} en gros`, `Bouilloire ${word}`],
    );
  });

  test('suggests nothing for nothing, and takes any sign', async () => {
    assert.deepEqual(await suggested('  '), []);
    assert.deepEqual(await suggested(`${word}qqq`), []);
    for (const prefix of ["'", '%', '_', '\\', '(&|!:*', `${word}'; drop table products`]) {
      assert.ok(Array.isArray(await suggested(prefix)), prefix);
    }
  });

  test('refuses a language that is neither', async () => {
    const answer = await anon.rpc('suggest_products', { prefix: 'a', language: 'de' });
    await assertRefused(answer, 'language_unknown', { details: 'de' });
  });
});

describe('product_facets', () => {
  const facets = (args = {}) =>
    answered('product_facets', {
      query: word,
      category: category.slug,
      country: 'CM',
      language: 'en',
      ...args,
    });

  test('counts what a search found, facet by facet', async () => {
    const found = await facets();
    assert.deepEqual(found, {
      country: 'CM',
      total: 3,
      is_sample: false,
      categories: [{ category: category.slug, name: category.name, count: 3 }],
      channels: { retail: 2, wholesale: 1 },
      ratings: [
        { min_rating: 4.5, count: 1 },
        { min_rating: 4, count: 2 },
        { min_rating: 3, count: 3 },
      ],
      price: { min: 4_000, max: 9_000, currency: 'XAF', quartiles: [4_000, 6_000, 9_000] },
    });
  });

  test('leaves a facet its other choices', async () => {
    const found = await facets({ channel: 'retail', min_rating: 4 });
    assert.equal(found.total, 1);
    assert.deepEqual(found.channels, { retail: 1, wholesale: 1 });
    assert.deepEqual(found.ratings.map(({ count }) => count), [1, 1, 2]);
  });

  test('agrees with what search_products lists', async () => {
    for (const args of [{ in_stock: true }, { max_price: 6_000 }, { min_rating: 4 }, {}]) {
      const rows = await answered('search_products', {
        query: word,
        category: category.slug,
        country: 'CM',
        sort: 'price_asc',
        ...args,
      });
      assert.equal((await facets(args)).total, rows.length, JSON.stringify(args));
    }
  });

  test('refuses what search refuses', async () => {
    for (const [args, code] of [
      [{ country: 'XX' }, 'country_unknown'],
      [{ language: 'de' }, 'language_unknown'],
      [{ category: 'no-such-shelf' }, 'category_not_found'],
    ]) {
      await assertRefused(await anon.rpc('product_facets', args), code);
    }
    assertRejected(await anon.rpc('product_facets', { channel: 'both' }), '22P02', 400);
  });
});

describe('similar_products', () => {
  test('lists what shares its words, at the price of the country', async () => {
    const rows = await answered('similar_products', {
      product_id: goods.small.id,
      country: 'CM',
      language: 'fr',
    });
    assert.deepEqual(
      rows.map(({ product_id, name, price }) => ({ product_id, name, price })),
      [{ product_id: goods.large.id, name: `Bouilloire ${word} grande`, price: 9_000 }],
    );
  });

  test('knows neither what is off sale nor what never was', async () => {
    for (const product_id of [goods.hidden.id, '00000000-0000-4000-8000-000000000000']) {
      const answer = await anon.rpc('similar_products', { product_id });
      await assertRefused(answer, 'product_not_found', { details: product_id });
    }
    assertRejected(await anon.rpc('similar_products', { product_id: 'x' }), '22P02', 400);
  });
});

describe('record_search', () => {
  const kept = () => sql`
    select query, language, results from private.searches where query like ${`${word}%`}
    order by query`;

  test('keeps what was searched for, from guests and shoppers, and no person', async () => {
    const person = await signUpConfirmed();
    const shopper = tokenClient(person.session.access_token);
    const asGuest = await anon.rpc('record_search', {
      query: ` ${word.toUpperCase()} A `,
      language: 'en',
      results: 0,
    });
    const asShopper = await shopper.rpc('record_search', {
      query: `${word} b`,
      language: 'fr',
      results: 3,
    });
    assert.equal(asGuest.error, null);
    assert.equal(asShopper.error, null);
    const rows = await kept();
    assert.deepEqual(rows.map((row) => ({ ...row })), [
      { query: `${word} a`, language: 'en', results: 0 },
      { query: `${word} b`, language: 'fr', results: 3 },
    ]);
  });

  test('keeps no phone number and no address', async () => {
    const before_ = (await kept()).length;
    for (const tail of ['+237650000001', 'amina@example.test']) {
      const { error } = await anon.rpc('record_search', {
        query: `${word} ${tail}`,
        language: 'en',
        results: 0,
      });
      assert.equal(error, null);
    }
    assert.equal((await kept()).length, before_);
  });

  test('cannot be read back, and is no GET', async () => {
    const { error } = await anon.schema('private').from('searches').select('query');
    assert.equal(error.code, 'PGRST106');
    const read = await anon.rpc(
      'record_search',
      { query: word, language: 'en', results: 0 },
      { get: true },
    );
    assert.notEqual(read.error, null);
  });
});
