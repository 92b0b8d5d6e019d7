/**
 * Search and categories as a frontend calls them. Every test asks within a category of its own, so
 * that what else is on sale changes no answer.
 */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { sql } from './database.mjs';
import { assertRefused, assertRejected, makeCategory, makeProduct } from './shop.mjs';
import {
  anonClient,
  inventedWord,
  serviceClient,
  signUpConfirmed,
  tokenClient,
} from './stack.mjs';

const anon = anonClient();
let category;
let word;
const goods = {};

async function search(args = {}, client = anon, options = {}) {
  return client.rpc('search_products', { category: category.slug, ...args }, options);
}

async function found(args, client) {
  const { data, error } = await search(args, client);
  assert.equal(error, null, error?.message);
  return data;
}

async function foundIds(args, client) {
  return (await found(args, client)).map((row) => row.product_id);
}

before(async () => {
  category = await makeCategory();
  word = inventedWord();
  goods.headphones = await makeProduct({
    category,
    name: `Wireless headphones ${word}`,
    name_fr: `Casque sans fil ${word}`,
    description: 'Folds flat for travelling.',
    description_fr: 'Se replie à plat pour les voyages.',
    prices: { ZA: 499.9, CM: 15_000 },
    seller_rating: 4.6,
    review_count: 12,
  });
  goods.kettle = await makeProduct({
    category,
    name: 'Electric kettle',
    name_fr: 'Bouilloire électrique',
    prices: { ZA: 299, CM: 9_500 },
    seller_rating: 3.9,
    stock: 0,
  });
  goods.lamp = await makeProduct({
    category,
    name: 'Solar lamp',
    name_fr: 'Lampe solaire',
    prices: { CM: 6_000 },
    seller_rating: 4.9,
  });
  goods.cables = await makeProduct({
    category,
    channel: 'wholesale',
    name: 'Charging cables for travelling',
    name_fr: 'Câbles de charge pour les voyages',
    prices: { ZA: 25, CM: 800 },
    min_order_quantity: 10,
    stock: 9,
    seller_rating: 4.2,
  });
  goods.withdrawn = await makeProduct({
    category,
    name: 'Wireless headphones withdrawn',
    is_active: false,
  });
  const picture = await serviceClient().from('product_media').insert({
    product_id: goods.headphones.id,
    storage_path: 'products/headphones.png',
    alt: 'Headphones',
  });
  assert.equal(picture.error, null);
});

describe('search_products', () => {
  test('answers a row as a list shows it', async () => {
    const [row] = await found({ query: 'casque', country: 'CM', language: 'fr' });
    const { cursor, relevance, ...shown } = row;
    assert.deepEqual(shown, {
      product_id: goods.headphones.id,
      channel: 'retail',
      name: `Casque sans fil ${word}`,
      category: category.slug,
      price: 15_000,
      currency: 'XAF',
      country: 'CM',
      rating: 4.6,
      review_count: 12,
      min_order_quantity: 1,
      in_stock: true,
      image: 'products/headphones.png',
      created_at: goods.headphones.created_at,
    });
    assert.match(cursor, /^[A-Za-z0-9+/=]+$/);
    assert.ok(relevance > 0);
  });

  test('finds French words by stem, with and without accents', async () => {
    const french = { country: 'CM', language: 'fr' };
    assert.deepEqual(await foundIds({ query: 'casques', ...french }), [goods.headphones.id]);
    assert.deepEqual(await foundIds({ query: 'bouilloires electriques', ...french }), [
      goods.kettle.id,
    ]);
    assert.deepEqual(await foundIds({ query: 'BOUILLOIRE ÉLECTRIQUE', ...french }), [
      goods.kettle.id,
    ]);
  });

  test('finds English words by stem', async () => {
    assert.deepEqual(await foundIds({ query: 'headphone', country: 'ZA', language: 'en' }), [
      goods.headphones.id,
    ]);
  });

  test('finds across languages and answers in the one asked for', async () => {
    const [english] = await found({ query: 'casque', country: 'ZA', language: 'en' });
    assert.equal(english.name, `Wireless headphones ${word}`);
    const [french] = await found({ query: 'headphones', country: 'ZA', language: 'fr' });
    assert.equal(french.name, `Casque sans fil ${word}`);
  });

  test('ranks a name above a description', async () => {
    const ids = await foundIds({ query: 'travelling', country: 'ZA', language: 'en' });
    assert.deepEqual(ids, [goods.cables.id, goods.headphones.id]);
  });

  test('finds a misspelt word when nothing is spelt so', async () => {
    const misspelt = word.slice(0, 4) + word.slice(5);
    assert.deepEqual(await foundIds({ query: misspelt, country: 'CM' }), [goods.headphones.id]);
    assert.deepEqual(await foundIds({ query: `${inventedWord(8)}`, country: 'CM' }), []);
  });

  test('shows nothing that is off sale or has no price in the country', async () => {
    assert.deepEqual(new Set(await foundIds({ country: 'ZA' })), new Set([
      goods.headphones.id,
      goods.kettle.id,
      goods.cables.id,
    ]));
    assert.equal((await foundIds({ country: 'CM' })).length, 4);
  });

  test('takes channel, price, rating and stock as filters', async () => {
    const inCameroon = (filters) => foundIds({ country: 'CM', sort: 'price_asc', ...filters });
    const { headphones, kettle, lamp, cables } = goods;
    assert.deepEqual(await inCameroon({ channel: 'wholesale' }), [cables.id]);
    assert.deepEqual(await inCameroon({ channel: 'retail' }), [lamp.id, kettle.id, headphones.id]);
    assert.deepEqual(await inCameroon({ min_price: 6_000, max_price: 9_500 }), [
      lamp.id,
      kettle.id,
    ]);
    assert.deepEqual(await inCameroon({ min_rating: 4.5 }), [lamp.id, headphones.id]);
    // Nine cables are no stock of a product sold by ten.
    assert.deepEqual(await inCameroon({ in_stock: true }), [lamp.id, headphones.id]);
    assert.deepEqual(await inCameroon({ in_stock: false }), [cables.id, kettle.id]);
  });

  test('sorts as asked', async () => {
    const sorted = (sort) => foundIds({ country: 'CM', channel: 'retail', sort });
    const { headphones, kettle, lamp } = goods;
    assert.deepEqual(await sorted('price_asc'), [lamp.id, kettle.id, headphones.id]);
    assert.deepEqual(await sorted('price_desc'), [headphones.id, kettle.id, lamp.id]);
    assert.deepEqual(await sorted('rating'), [lamp.id, headphones.id, kettle.id]);
    assert.deepEqual(await sorted('newest'), [lamp.id, kettle.id, headphones.id]);
    assert.deepEqual(await sorted(null), await sorted('newest'));
  });

  test("looks into a category's children, not its parents", async () => {
    const child = await makeCategory({ parent_id: category.id });
    const inside = await makeProduct({ category: child, prices: { CM: 1_000 } });
    assert.ok((await foundIds({ country: 'CM' })).includes(inside.id));
    const { data } = await anon.rpc('search_products', { category: child.slug, country: 'CM' });
    assert.deepEqual(data.map((row) => row.product_id), [inside.id]);
    await serviceClient().from('products').update({ is_active: false }).eq('id', inside.id);
  });

  test("takes country and language from the person's own row", async () => {
    const person = await signUpConfirmed({ language: 'fr', country: 'CM' });
    const [row] = await found({ query: 'lampe' }, person.client);
    assert.deepEqual([row.name, row.currency], ['Lampe solaire', 'XAF']);
    assert.deepEqual(await foundIds({ query: 'lampe' }), [], 'an anonymous one is in ZA');
  });

  test('takes the language from the request before the person', async () => {
    const french = anonClient({ headers: { 'Accept-Language': 'fr-CM, en;q=0.5' } });
    const [row] = await found({ query: 'lamp', country: 'CM' }, french);
    assert.equal(row.name, 'Lampe solaire');
  });

  test('walks all pages by cursor without a gap or a repeat', async () => {
    const shelf = await makeCategory();
    const made = [];
    for (let index = 0; index < 7; index += 1) {
      // Equal prices and ratings: only the id tells these rows apart.
      made.push(await makeProduct({ category: shelf, prices: { CM: 2_000 }, seller_rating: 4 }));
    }
    for (const sort of ['price_asc', 'price_desc', 'newest', 'rating', 'relevance']) {
      const walked = [];
      let cursor = null;
      for (;;) {
        const page = await found({
          category: shelf.slug,
          query: sort === 'relevance' ? 'kettle' : null,
          country: 'CM',
          language: 'en',
          page_size: 3,
          sort,
          cursor,
        });
        walked.push(...page.map((row) => row.product_id));
        if (page.length < 3) break;
        cursor = page.at(-1).cursor;
      }
      assert.equal(walked.length, made.length, sort);
      assert.deepEqual(new Set(walked), new Set(made.map((product) => product.id)), sort);
    }
  });

  test('keeps its place in a walk when a row is added before it', async () => {
    const shelf = await makeCategory();
    const prices = [1_000, 2_000, 3_000];
    const made = [];
    for (const CM of prices) made.push(await makeProduct({ category: shelf, prices: { CM } }));
    const ask = { category: shelf.slug, country: 'CM', sort: 'price_asc', page_size: 2 };
    const first = await found(ask);
    await makeProduct({ category: shelf, prices: { CM: 500 } });
    const second = await found({ ...ask, cursor: first[1].cursor });
    assert.deepEqual(second.map((row) => row.product_id), [made[2].id]);
  });

  test('works as a GET, which the gateway may cache for the anon key alone', async () => {
    const seen = [];
    const watching = async (...request) => {
      const response = await fetch(...request);
      seen.push([request[1].method, response.headers.get('x-cache')]);
      return response;
    };
    const args = { query: 'headphones', country: 'ZA', language: 'en' };
    const person = await signUpConfirmed();
    const clients = [
      anonClient({ fetch: watching }),
      anonClient({ fetch: watching }),
      tokenClient(person.session.access_token, { fetch: watching }),
    ];
    const posted = await found(args);
    for (const client of clients) {
      const got = await search(args, client, { get: true });
      assert.equal(got.error, null);
      assert.deepEqual(got.data, posted);
    }
    assert.deepEqual(seen.map(([method]) => method), ['GET', 'GET', 'GET']);
    const [first, second, signedIn] = seen.map(([, state]) => state);
    assert.equal(first, 'MISS');
    assert.ok(['HIT', 'MISS'].includes(second), second);
    assert.equal(signedIn, 'BYPASS');
  });

  test('takes quotes, operators and control characters in a query as words', async () => {
    for (const query of ['"casque" -fil or (&|!:*', "casque'; drop table products; --", '%_\\',
      'casque\r\nX-Evil: 1', '   ', '\u202e', '😀']) {
      const { data, error } = await search({ query, country: 'CM' });
      assert.equal(error, null, `${JSON.stringify(query)}: ${error?.message}`);
      assert.ok(Array.isArray(data));
    }
    for (const query of ['casque\r\nsans', 'casque '.repeat(200)]) {
      const ids = await foundIds({ query, country: 'CM', language: 'fr' });
      assert.deepEqual(ids, [goods.headphones.id]);
    }
  });

  const REFUSALS = [
    [{ country: 'XX' }, 'country_unknown', 'XX'],
    [{ country: 'cm' }, 'country_unknown', 'cm'],
    [{ language: 'de' }, 'language_unknown', 'de'],
    [{ sort: 'cheapest' }, 'sort_unknown', 'cheapest'],
    [{ category: 'no-such-shelf' }, 'category_not_found', 'no-such-shelf'],
    [{ page_size: 0 }, 'page_size_invalid', '0'],
    [{ page_size: -1 }, 'page_size_invalid', '-1'],
    [{ page_size: 101 }, 'page_size_invalid', '101'],
    [{ page_size: null }, 'page_size_invalid', ''],
    [{ cursor: 'not a cursor' }, 'cursor_invalid', 'not a cursor'],
    [{ cursor: btoa('{"s":"newest"}') }, 'cursor_invalid'],
    [{ cursor: btoa('{"s":"newest","k":"x","i":"y"}') }, 'cursor_invalid'],
    [{ cursor: btoa('[1,2,3]') }, 'cursor_invalid'],
    [{ cursor: btoa('\xff\xfe') }, 'cursor_invalid'],
  ];
  for (const [args, code, details] of REFUSALS) {
    test(`refuses ${JSON.stringify(args)} with ${code}`, async () => {
      await assertRefused(await search(args), code, { details });
    });
  }

  test("refuses another sort's cursor", async () => {
    const [row] = await found({ country: 'CM', sort: 'price_asc' });
    const answer = await search({ country: 'CM', sort: 'rating', cursor: row.cursor });
    await assertRefused(answer, 'cursor_invalid', { details: row.cursor });
  });

  test('rejects arguments of the wrong type by their name or type', async () => {
    assertRejected(await search({ channel: 'both' }), '22P02', 400);
    assertRejected(await search({ min_price: 'cheap' }), '22P02', 400);
    assertRejected(await search({ page_size: 'many' }), '22P02', 400);
    assertRejected(await search({ page_size: 99_999_999_999 }), '22003', 400);
    assertRejected(await search({ in_stock: 'perhaps' }), '22P02', 400);
    assertRejected(await search({ order_by: 'price' }), 'PGRST202', 404);
  });
});

describe('category_tree', () => {
  test('lists parents before children, with their paths, in the language asked for', async () => {
    const parent = await makeCategory();
    const child = await makeCategory({ parent_id: parent.id });
    const grandchild = await makeCategory({ parent_id: child.id });
    const { data, error } = await anon.rpc('category_tree', { language: 'fr' });
    assert.equal(error, null);
    const made = [parent, child, grandchild];
    const mine = data.filter((node) => made.some(({ id }) => id === node.id));
    assert.deepEqual(
      mine.map(({ id, parent_id, name, depth, path }) => ({ id, parent_id, name, depth, path })),
      made.map((node, index) => ({
        id: node.id,
        parent_id: node.parent_id,
        name: node.name_fr,
        depth: index + 1,
        path: made.slice(0, index + 1).map(({ slug }) => slug),
      })),
    );
    const english = await anon.rpc('category_tree', { language: 'en' });
    assert.equal(english.data.find(({ id }) => id === child.id).name, child.name);
  });

  test('leaves inactive branches out', async () => {
    const parent = await makeCategory();
    const child = await makeCategory({ parent_id: parent.id });
    await serviceClient().from('categories').update({ is_active: false }).eq('id', parent.id);
    const { data } = await anon.rpc('category_tree');
    assert.ok(!data.some(({ id }) => id === parent.id || id === child.id));
  });
});

describe('a product page', () => {
  test('reads a product with its price, stock and pictures in one request', async () => {
    const { data, error } = await anon
      .from('products')
      .select(
        'name, product_prices(country, currency, amount), product_stock(available), ' +
          'product_media(storage_path, alt), categories(slug)',
      )
      .eq('id', goods.headphones.id)
      .order('country', { referencedTable: 'product_prices' })
      .single();
    assert.equal(error, null);
    assert.deepEqual(data, {
      name: `Wireless headphones ${word}`,
      product_prices: [
        { country: 'CM', currency: 'XAF', amount: 15_000 },
        { country: 'ZA', currency: 'ZAR', amount: 499.9 },
      ],
      product_stock: [{ available: 20 }],
      product_media: [{ storage_path: 'products/headphones.png', alt: 'Headphones' }],
      categories: { slug: category.slug },
    });
  });

  test('does not show a product that is off sale', async () => {
    const { data } = await anon.from('products').select('id').eq('id', goods.withdrawn.id);
    assert.deepEqual(data, []);
  });

  test('answers at most 1,000 rows whatever is asked for', async () => {
    const source = `rows ${word}`;
    await sql`
      insert into exchange_rates (base_currency, quote_currency, rate, as_of, source)
      select 'ZAR', 'USD', 0.05, timestamptz '1990-01-01' + random() * interval '9 years', ${source}
      from generate_series(1, 1200)`;
    const { data, error } = await anon
      .from('exchange_rates')
      .select('as_of')
      .eq('source', source)
      .limit(5000);
    await sql`delete from exchange_rates where source = ${source}`;
    assert.equal(error, null);
    assert.equal(data.length, 1000);
  });
});
