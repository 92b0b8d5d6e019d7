/**
 * Anonymous pages at the gateway: how long they are good, what is asked about them, what a change
 * does to them, and that nobody's own answer is ever kept.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { before, describe, test } from 'node:test';

import { assertRejected, makeCategory, makeProduct } from './shop.mjs';
import { anonClient, env, eventually, rawRest, serviceClient, signUpConfirmed } from './stack.mjs';

const POLICY = 'public, max-age=30, s-maxage=5, stale-while-revalidate=10, stale-if-error=600';
const service = serviceClient();
let category;
let product;
let person;

/** A list of the category as the gateway answers it; `more` are further arguments. */
async function list({ more = '', ...request } = {}) {
  const path = `rpc/search_products?category=${category.slug}&country=ZA${more}`;
  const { status, headers, json, text } = await rawRest(path, request);
  return {
    status,
    json,
    text,
    cache: headers.get('x-cache'),
    etag: headers.get('etag'),
    vary: headers.get('vary'),
    policy: headers.get('cache-control'),
    range: headers.get('content-range'),
  };
}

/** The list asked for with header lines as they are, which fetch would join; has it made anew. */
function listWithLines(more, lines) {
  const path = `rpc/search_products?category=${category.slug}&country=ZA${more}`;
  const url = new URL(`${env.SUPABASE_URL}/rest/v1/${path}`);
  const always = ['Host', url.host, 'apikey', env.SUPABASE_ANON_KEY, 'Accept', '*/*'];
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: [...always, 'Cache-Control', 'no-cache', ...lines] }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    asked.on('error', reject).end();
  });
}

before(async () => {
  category = await makeCategory();
  product = await makeProduct({ category, name: 'Kettle', name_fr: 'Bouilloire' });
  person = await signUpConfirmed({ country: 'CM', language: 'fr' });
});

describe('an anonymous page', () => {
  test('is made once and then comes from the gateway, byte for byte', async () => {
    const more = '&page_size=11';
    const first = await list({ more });
    assert.deepEqual([first.status, first.cache, first.policy], [200, 'MISS', POLICY]);
    const second = await list({ more });
    assert.deepEqual([second.status, second.cache, second.text], [200, 'HIT', first.text]);
    assert.equal(second.etag, first.etag);
  });

  test('names what it depends on', async () => {
    const { vary } = await list();
    assert.equal(vary, 'Accept, Accept-Language, Authorization, Prefer, Range');
  });

  test('is 304 to whoever has it', async () => {
    const more = '&page_size=12';
    const { etag } = await list({ more });
    const again = await list({ more, headers: { 'If-None-Match': etag } });
    assert.deepEqual([again.status, again.text, again.etag], [304, '', etag]);
    const other = await list({ more, headers: { 'If-None-Match': 'W/"other"' } });
    assert.deepEqual([other.status, other.json.length], [200, 1]);
  });

  test('says the same of itself to whoever asks for no more than that', async () => {
    const more = '&page_size=16';
    const head = await list({ more, method: 'HEAD' });
    assert.deepEqual([head.status, head.policy, head.text], [200, POLICY, '']);
    const { etag } = await list({ more });
    assert.equal(head.etag, etag);
    const again = await list({ more, method: 'HEAD', headers: { 'If-None-Match': etag } });
    assert.deepEqual([again.status, again.etag], [304, etag]);
  });

  test('is kept by language, however a browser says it', async () => {
    const more = '&page_size=13';
    const name = async (language) => {
      const { json, cache } = await list({ more, headers: { 'Accept-Language': language } });
      return [json[0].name, cache];
    };
    assert.deepEqual(await name('fr-CM,fr;q=0.9,en;q=0.8'), ['Bouilloire', 'MISS']);
    assert.deepEqual(await name('de, fr'), ['Bouilloire', 'HIT']);
    assert.deepEqual(await name('en-ZA'), ['Kettle', 'MISS']);
    assert.deepEqual(await name('EN,fr;q=0.1'), ['Kettle', 'HIT']);
    assert.deepEqual(await name('french, english'), ['Kettle', 'MISS']);
  });

  test('is kept by what it is asked for: a CSV is no JSON', async () => {
    const more = '&page_size=14&select=name';
    const json = await list({ more, headers: { Accept: 'application/json' } });
    const csv = await list({ more, headers: { Accept: 'text/csv' } });
    assert.deepEqual([json.json, csv.text], [[{ name: 'Kettle' }], 'name\nKettle']);
    const asked = { Accept: 'text/csv', 'If-None-Match': json.etag };
    assert.equal((await list({ more, headers: asked })).status, 200);
  });

  test('is what its key says, though a header be sent twice or written oddly', async () => {
    const more = '&page_size=18';
    const said = ['Accept-Language', 'en', 'Accept-Language', 'fr'];
    assert.equal(await listWithLines(more, said), 200);
    const english = await list({ more, headers: { 'Accept-Language': 'en' } });
    assert.deepEqual([english.cache, english.json[0].name], ['HIT', 'Kettle']);

    const emSpace = Buffer.from('\u2003').toString('latin1');
    assert.equal(await listWithLines(more, ['Accept-Language', `xx${emSpace}fr`]), 200);
    const unsaid = await list({ more });
    assert.deepEqual([unsaid.cache, unsaid.json[0].name], ['HIT', 'Kettle']);

    assert.equal(await listWithLines(more, ['Prefer', 'x=1', 'Prefer', 'count=exact']), 200);
    const uncounted = await list({ more, headers: { Prefer: 'x=1' } });
    assert.deepEqual([uncounted.cache, uncounted.range], ['HIT', '0-0/*']);
  });

  test('is the rows that were asked for', async () => {
    const more = '&page_size=19';
    const none = await list({ more, headers: { Range: '1-5' } });
    assert.deepEqual([none.json, none.range], [[], '*/*']);
    assert.equal((await list({ more })).json.length, 1);
  });

  test('is asked for by one of many at once', async () => {
    const more = '&page_size=15';
    const states = (await Promise.all(Array.from({ length: 20 }, () => list({ more })))).map(
      ({ cache }) => cache,
    );
    assert.equal(states.filter((state) => state === 'MISS').length, 1, states.join());
    assert.equal(states.filter((state) => state === 'HIT').length, 19, states.join());
  });

  test('a refusal is kept by nobody', async () => {
    const path = 'rpc/search_products?country=XX';
    for (let round = 0; round < 2; round += 1) {
      const { status, headers } = await rawRest(path);
      assert.deepEqual([status, headers.get('x-cache')], [400, 'MISS']);
      assert.equal(headers.get('cache-control'), null);
    }
  });
});

describe('a change', () => {
  const asked = { more: '&page_size=16', headers: { 'Cache-Control': 'no-cache' } };

  test('is seen through the gateway within seconds', async () => {
    const more = '&page_size=17';
    await list({ more });
    await service.from('products').update({ name: 'Teapot' }).eq('id', product.id);
    // Five seconds good, and then the first to ask has it renewed for the next.
    const isSeen = async () => (await list({ more })).json[0].name === 'Teapot';
    await eventually(isSeen, 'the new name in the list', { patience: 8_000 });
    await service.from('products').update({ name: 'Kettle' }).eq('id', product.id);
  });

  test('makes another version of every page, and the old one good for nothing', async () => {
    const { etag } = await list(asked);
    await service
      .from('product_prices').update({ amount: 101 })
      .eq('listing_id', product.id).eq('country', 'ZA');
    const changed = await list(asked);
    assert.notEqual(changed.etag, etag);
    assert.equal(changed.json[0].price, 101);
    const unchanged = await list({ more: '&page_size=18', headers: { 'If-None-Match': etag } });
    assert.equal(unchanged.status, 200);
  });

  test('of stock counts when a listing runs out, and not before', async () => {
    const reserve = async (reserved) => {
      const { error } = await service
        .from('product_stock').update({ reserved }).eq('listing_id', product.id);
      assert.equal(error, null);
    };
    const version = async () => (await list(asked)).etag.split('-')[0];
    const before = await version();
    await reserve(1);
    assert.equal(await version(), before);
    await reserve(20);
    const after = await list(asked);
    assert.notEqual(after.etag.split('-')[0], before);
    assert.equal(after.json[0].in_stock, false);
    await reserve(0);
  });
});

describe("a person's page", () => {
  test('is kept by nobody, and is theirs', async () => {
    const { access_token: token } = person.session;
    const path = `rpc/search_products?category=${category.slug}`;
    for (let round = 0; round < 2; round += 1) {
      const { status, headers, json } = await rawRest(path, { token });
      assert.deepEqual([status, headers.get('x-cache')], [200, 'BYPASS']);
      assert.equal(headers.get('cache-control'), 'private, no-store');
      assert.equal(headers.get('etag'), null);
      assert.deepEqual([json[0].name, json[0].country], ['Bouilloire', 'CM']);
    }
    const guest = await rawRest(path);
    assert.deepEqual([guest.json[0].name, guest.json[0].country], ['Kettle', 'ZA']);
  });

  test('is answered in full though it names a version', async () => {
    const { etag } = await list();
    const { status, json } = await list({
      token: person.session.access_token,
      headers: { 'If-None-Match': etag },
    });
    assert.deepEqual([status, json.length], [200, 1]);
  });
});

describe('category_counts', () => {
  test('answers every active category as a GET that may be kept', async () => {
    const { status, headers, json } = await rawRest('rpc/category_counts?country=CM');
    assert.deepEqual([status, headers.get('cache-control')], [200, POLICY]);
    const mine = json.find((row) => row.category === category.slug);
    assert.equal(typeof mine.products, 'number');
  });

  test('takes countries of the shop and channels that there are', async () => {
    const client = anonClient();
    assertRejected(await client.rpc('category_counts', { channel: 'both' }), '22P02', 400);
    const { error } = await client.rpc('category_counts', { country: 'XX' });
    assert.equal(error.hint, 'country_unknown');
  });
});
