/**
 * Bad input: each answers an error with a code, writes nothing, and never splits an HTTP answer.
 */

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { before, describe, test } from 'node:test';

import { sql } from './database.mjs';
import {
  assertRefused,
  assertRejected,
  DOUALA,
  item,
  makeProduct,
  placeOrder,
  stockOf,
} from './shop.mjs';
import {
  anonClient,
  env,
  mintToken,
  rawRest,
  signUpConfirmed,
  tokenClient,
  unique,
} from './stack.mjs';

const LINE_BREAKS = ['\n', '\r', '\r\n', '\u0085', '\u000b'];
const INJECTION = 'x\r\nSet-Cookie: stolen=1\r\nX-Evil: yes\r\n\r\n<script>evil()</script>';

let shopper;
let product;

/** What must be as it was after anything refused: orders, stock, cart, keys, outbox. */
async function standing() {
  const [counts] = await sql`
    select
      (select count(*)::int from orders where user_id = ${shopper.id}) as orders,
      (select count(*)::int from order_items where user_id = ${shopper.id}) as lines,
      (select count(*)::int from cart_items where user_id = ${shopper.id}) as cart,
      (select count(*)::int from addresses where user_id = ${shopper.id}) as addresses,
      (select count(*)::int from private.idempotency_keys where user_id = ${shopper.id}) as keys`;
  return { ...counts, ...(await stockOf(product)) };
}

/** Runs something that must be refused, and checks that nothing was written. */
async function refusedWithoutTrace(act) {
  const before = await standing();
  const answer = await act();
  assert.deepEqual(await standing(), before);
  return answer;
}

/** Posts a body as it is, as the shopper. */
const post = (path, body, headers) =>
  refusedWithoutTrace(() =>
    rawRest(path, { method: 'POST', token: shopper.session.access_token, body, headers }),
  );

const order = (body) => placeOrder(shopper.client, { items: [item(product)], ...body });
const line = (change) => order({ items: [{ ...item(product), ...change }] });

before(async () => {
  shopper = await signUpConfirmed({ country: 'CM' });
  product = await makeProduct({ prices: { CM: 5_000 }, stock: 50 });
});

describe('items of the wrong form', () => {
  const ITEMS = [
    ['an object', { product_id: 'x' }, 'items is not an array'],
    ['a text', 'all of it', 'items is not an array'],
    ['a number', 7, 'items is not an array'],
    ['a list of texts', ['kettle'], 'items[0].product_id'],
    ['a list of nulls', [null], 'items[0].product_id'],
    ['a list of lists', [[]], 'items[0].product_id'],
  ];
  for (const [what, items, details] of ITEMS) {
    test(`${what} is refused with the place`, async () => {
      const answer = await refusedWithoutTrace(() => order({ items }));
      await assertRefused(answer, 'order_items_invalid', { details });
    });
  }

  const FIELDS = [
    [{ product_id: 'kettle' }, 'order_items_invalid', 'items[0].product_id'],
    [{ product_id: 12 }, 'order_items_invalid', 'items[0].product_id'],
    [{ product_id: null }, 'order_items_invalid', 'items[0].product_id'],
    [{ product_id: ['a'] }, 'order_items_invalid', 'items[0].product_id'],
    [{ product_id: "' or 1=1 --" }, 'order_items_invalid', 'items[0].product_id'],
    [{ channel: 'both' }, 'order_items_invalid', 'items[0].channel'],
    [{ channel: null }, 'order_items_invalid', 'items[0].channel'],
    [{ channel: 1 }, 'order_items_invalid', 'items[0].channel'],
    [{ quantity: 0 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: -1 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: -2_147_483_649 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: 10_001 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: 2_147_483_648 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: 1e300 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: 1.5 }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: '1' }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: true }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: null }, 'quantity_invalid', 'items[0].quantity'],
    [{ quantity: { $gt: 0 } }, 'quantity_invalid', 'items[0].quantity'],
  ];
  for (const [change, code, details] of FIELDS) {
    test(`a line with ${JSON.stringify(change)} is refused with ${code}`, async () => {
      const answer = await refusedWithoutTrace(() => line(change));
      await assertRefused(answer, code, { details });
    });
  }

  test('names the place of the bad line among good ones', async () => {
    const items = [item(product), item(product), { ...item(product), quantity: -1 }];
    const answer = await refusedWithoutTrace(() => order({ items }));
    await assertRefused(answer, 'quantity_invalid', { details: 'items[2].quantity' });
  });

  test('more than 500 lines are refused', async () => {
    const items = Array.from({ length: 501 }, () => item(product));
    const answer = await refusedWithoutTrace(() => order({ items }));
    await assertRefused(answer, 'order_items_invalid', { details: 'more than 500 items' });
  });

  test('quantities that sum past everything are refused, not overflowed', async () => {
    const items = Array.from({ length: 500 }, () => item(product, 10_000));
    const answer = await refusedWithoutTrace(() => order({ items }));
    await assertRefused(answer, 'quantity_above_maximum');
  });
});

describe('other arguments of the wrong form', () => {
  test('a total that is no number is rejected', async () => {
    for (const expected_total of ['cheap', {}, [], true]) {
      const answer = await refusedWithoutTrace(() => order({ expected_total }));
      assertRejected(answer, '22P02', 400);
    }
  });

  test('a huge, negative or nonsensical total is another total', async () => {
    for (const expected_total of [1e30, -8_500, 0, 'NaN', 'Infinity', 8_500.01]) {
      const answer = await refusedWithoutTrace(() => order({ expected_total }));
      await assertRefused(answer, 'total_changed');
    }
  });

  test('an unknown argument is rejected, whatever it is called', async () => {
    for (const extra of [{ user_id: crypto.randomUUID() }, { price: 1 }, { discount: 100 }]) {
      const answer = await refusedWithoutTrace(() => order(extra));
      assertRejected(answer, 'PGRST202', 404);
    }
  });

  test('a missing argument is rejected', async () => {
    const answer = await refusedWithoutTrace(() =>
      shopper.client.rpc('place_order', { country: 'CM', address: DOUALA }),
    );
    assertRejected(answer, 'PGRST202', 404);
  });

  const ADDRESSES = [
    ['a text', 'Douala', 'address is not an object'],
    ['a list', [DOUALA], 'address is not an object'],
    ['a number', 4, 'address is not an object'],
    ['an object without fields', {}, 'address.recipient_name'],
    ['a name that is a number', { ...DOUALA, recipient_name: 7 }, 'address.recipient_name'],
    ['a name that is an object', { ...DOUALA, recipient_name: {} }, 'address.recipient_name'],
    ['a city that is too long', { ...DOUALA, city: 'x'.repeat(121) }, 'address.city'],
    ['a landmark that is too long', { ...DOUALA, landmark: 'x'.repeat(201) }, 'address.landmark'],
    ['a latitude past the pole', { ...DOUALA, latitude: 91, longitude: 9 }, 'address.latitude'],
    ['a latitude as text', { ...DOUALA, latitude: '4.05', longitude: 9 }, 'address.latitude'],
    ['a longitude past the date line', { ...DOUALA, latitude: 4, longitude: -181 },
      'address.longitude'],
    ['half a position', { ...DOUALA, latitude: 4 }, 'address.longitude'],
  ];
  for (const [what, address, details] of ADDRESSES) {
    test(`an address that is ${what} is refused with the field`, async () => {
      const answer = await refusedWithoutTrace(() => order({ address }));
      await assertRefused(answer, 'address_invalid', { details });
    });
  }

  test('unknown ids are not found', async () => {
    const order_id = crypto.randomUUID();
    const cancel = await shopper.client.rpc('cancel_order', { order_id });
    await assertRefused(cancel, 'order_not_found', { details: order_id });
    const move = await shopper.client.rpc('update_order_address', { order_id, address: DOUALA });
    await assertRefused(move, 'order_not_found', { details: order_id });
  });

  test('ids that are none are rejected', async () => {
    for (const order_id of ['1', 'MG-100001', '', {}, "' or true --"]) {
      assertRejected(await shopper.client.rpc('cancel_order', { order_id }), '22P02', 400);
    }
    const filtered = await shopper.client.from('orders').select('id').eq('id', 'MG-100001');
    assertRejected(filtered, '22P02', 400);
  });

  test('a filter, order or column that is not there is rejected', async () => {
    const { client } = shopper;
    assertRejected(await client.from('products').select('secret_margin'), '42703', 400);
    assertRejected(await client.from('products').select('id').order('nothing'), '42703', 400);
    assertRejected(await client.from('products').select('id').eq('nothing', 1), '42703', 400);
    assertRejected(
      await client.from('products').select('id').filter('id', 'regex', 'x'),
      'PGRST100',
      400,
    );
  });
});

describe('line breaks and control characters in texts', () => {
  for (const mark of LINE_BREAKS) {
    const shown = JSON.stringify(mark);

    test(`${shown} is refused in every field of an address`, async () => {
      for (const field of ['recipient_name', 'phone', 'city', 'district', 'landmark', 'line1']) {
        const address = { ...DOUALA, [field]: `Before${mark}after` };
        const answer = await refusedWithoutTrace(() => order({ address }));
        await assertRefused(answer, 'address_invalid', { details: `address.${field}` });
      }
    });

    test(`${shown} is rejected in the address book and in a name`, async () => {
      const address = { ...DOUALA, landmark: `Before${mark}after` };
      const added = await refusedWithoutTrace(() =>
        shopper.client.from('addresses').insert(address),
      );
      assertRejected(added, '23514', 400);
      const named = await shopper.client
        .from('users')
        .update({ full_name: `Before${mark}after` })
        .eq('id', shopper.id);
      assertRejected(named, '23514', 400);
    });

    test(`${shown} is refused in a reason`, async () => {
      const { data } = await order({});
      const answer = await shopper.client.rpc('cancel_order', {
        order_id: data.id,
        reason: `Before${mark}after`,
      });
      await assertRefused(answer, 'reason_invalid', { details: `Before${mark}after` });
      const { data: kept } = await shopper.client.from('orders').select('status').eq('id', data.id);
      assert.deepEqual(kept, [{ status: 'pending' }]);
      assert.equal((await shopper.client.rpc('cancel_order', { order_id: data.id })).error, null);
    });
  }

  const CARDS = ['4111111111111111', '4111 1111 1111 1111', '5500-0055-5555-5559'];
  for (const number of CARDS) {
    test(`the card number ${number} is refused wherever it is written, and not repeated`,
      async () => {
        const text = `Card ${number}, thanks`;
        const { data: placed } = await order({});
        const { client } = shopper;
        const answers = {
          'a new address': await client.from('addresses').insert({ ...DOUALA, landmark: text }),
          'an order': await order({ address: { ...DOUALA, landmark: text } }),
          'the address of an order': await client.rpc('update_order_address', {
            order_id: placed.id,
            address: { ...DOUALA, district: text },
          }),
          'a reason': await client.rpc('cancel_order', { order_id: placed.id, reason: text }),
        };
        for (const [place, answer] of Object.entries(answers)) {
          await assertRefused(answer, 'card_number_refused');
          assert.ok(!JSON.stringify(answer).includes(number), `${place} tells it back`);
        }
        const named = await client.from('users').update({ full_name: text }).eq('id', shopper.id);
        assertRejected(named, '23514', 400);
        assert.ok(!JSON.stringify(named).includes(number), 'a name tells it back');
        const [{ stored }] = await sql`
          select
            (select count(*)::int from addresses where user_id = ${shopper.id}
              and landmark like ${`%${number}%`})
            + (select count(*)::int from orders where user_id = ${shopper.id}
              and concat(shipping_address, cancel_reason) like ${`%${number}%`})
            + (select count(*)::int from users where id = ${shopper.id}
              and full_name like ${`%${number}%`}) as stored`;
        assert.equal(stored, 0);
        assert.equal((await client.rpc('cancel_order', { order_id: placed.id })).error, null);
      });
  }

  test('a zero byte is rejected before anything is read', async () => {
    const inText = await refusedWithoutTrace(() =>
      order({ address: { ...DOUALA, city: 'Dou\u0000ala' } }),
    );
    assertRejected(inText, '22P05', 400);
    const inQuery = await anonClient().rpc('search_products', { query: 'a\u0000b' });
    assertRejected(inQuery, '22P05', 400);
  });

  test('half a surrogate pair is rejected', async () => {
    const body = `{"idempotency_key":"key-${unique()}","country":"CM","promo_code":"\\ud800"}`;
    const answer = await post('rpc/place_order', body);
    assert.deepEqual([answer.status, answer.json.code], [400, 'PGRST102']);
  });
});

describe('an answer to an injection', () => {
  /** The raw answer: its status line, and the names of its headers. */
  function ask(path, body, headers = {}) {
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = http.request(
        `${env.SUPABASE_URL}/rest/v1/${path}`,
        {
          method: 'POST',
          agent: false,
          headers: {
            apikey: env.SUPABASE_ANON_KEY,
            Authorization: `Bearer ${shopper.session.access_token}`,
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(text),
            ...headers,
          },
        },
        (response) => {
          const chunks = [];
          response.on('data', (chunk) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode,
              phrase: response.statusMessage,
              names: response.rawHeaders.filter((_, index) => index % 2 === 0),
              body: JSON.parse(Buffer.concat(chunks).toString()),
            }),
          );
        },
      );
      request.on('error', reject);
      request.end(text);
    });
  }

  const whole = () => ({
    idempotency_key: `key-${unique()}`,
    country: 'CM',
    address: DOUALA,
    items: [item(product)],
  });
  const ATTEMPTS = {
    'the idempotency key': ['place_order', () => ({ ...whole(), idempotency_key: INJECTION }),
      'idempotency_key_invalid'],
    'the country': ['place_order', () => ({ ...whole(), country: INJECTION }), 'country_unknown'],
    'the promo code': ['place_order', () => ({ ...whole(), promo_code: INJECTION }),
      'promo_code_not_found'],
    'an address id': ['place_order', () => ({ ...whole(), address: { id: INJECTION } }),
      'address_not_found'],
    "an address's country": ['place_order',
      () => ({ ...whole(), address: { ...DOUALA, country: INJECTION } }),
      'address_country_mismatch'],
    'a sort order': ['search_products', () => ({ sort: INJECTION }), 'sort_unknown'],
    'a language': ['search_products', () => ({ language: INJECTION }), 'language_unknown'],
    'a category': ['search_products', () => ({ category: INJECTION }), 'category_not_found'],
    'a cursor': ['search_products', () => ({ cursor: INJECTION }), 'cursor_invalid'],
    'a reason': ['cancel_order', () => ({ order_id: crypto.randomUUID(), reason: INJECTION }),
      'order_not_found'],
  };
  for (const [what, [name, body, code]] of Object.entries(ATTEMPTS)) {
    test(`in ${what} is one answer, its input in the details only`, async () => {
      const before = await standing();
      const answer = await ask(`rpc/${name}`, body());
      assert.equal(answer.body.hint, code);
      assert.equal(answer.phrase, answer.body.message);
      assert.ok(!answer.body.message.includes('evil'));
      assert.doesNotMatch(answer.phrase, /\p{Cc}/u);
      const names = answer.names.map((header) => header.toLowerCase());
      assert.ok(!names.includes('set-cookie') && !names.includes('x-evil'), names.join());
      assert.deepEqual(await standing(), before);
    });
  }

  test('in what Postgres itself quotes is one answer', async () => {
    const answer = await ask('rpc/cancel_order', { order_id: INJECTION });
    assert.equal(answer.status, 400);
    assert.equal(answer.body.code, '22P02');
    assert.equal(answer.phrase, 'Bad Request');
    assert.ok(!answer.names.includes('X-Evil'));
  });

  test('in French keeps to one status line as well', async () => {
    const french = { 'Accept-Language': 'fr' };
    const answer = await ask('rpc/search_products', { sort: INJECTION }, french);
    assert.equal(answer.body.message, "Cet ordre de tri n'existe pas.");
    assert.ok(!answer.names.includes('X-Evil'));
  });

  test('read byte by byte is a single HTTP message', async () => {
    const body = JSON.stringify({ sort: INJECTION });
    const { hostname, port } = new URL(env.SUPABASE_URL);
    const raw = await new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      const chunks = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')));
      socket.on('error', reject);
      socket.write(
        `POST /rest/v1/rpc/search_products HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
          `apikey: ${env.SUPABASE_ANON_KEY}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
    const [head] = raw.split('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 400 There is no such sort order\.\r\n/);
    assert.doesNotMatch(head, /evil|Set-Cookie|stolen/i);
    assert.equal(raw.match(/HTTP\/1\.1 /g).length, 1);
  });
});

describe('a body that is no JSON', () => {
  const BODIES = {
    'cut short': '{"idempotency_key": "key-12345678", "items": [',
    'a bare word': 'hello',
    'with a trailing comma': '{"country": "CM",}',
    'in single quotes': "{'country': 'CM'}",
    'not UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
  };
  for (const [what, body] of Object.entries(BODIES)) {
    test(`${what} is rejected by its form`, async () => {
      const answer = await post('rpc/place_order', body);
      assert.deepEqual([answer.status, answer.json.code], [400, 'PGRST102']);
    });
  }

  test('of another type is rejected', async () => {
    const xml = { 'Content-Type': 'application/xml' };
    const answer = await post('rpc/place_order', '<order/>', xml);
    assert.ok([400, 415].includes(answer.status), String(answer.status));
    assert.match(answer.json.code, /^PGRST1\d\d$/);
  });

  test('larger than the gateway takes is rejected', async () => {
    const answer = await rawRest('rpc/search_products', {
      method: 'POST',
      body: JSON.stringify({ query: 'x'.repeat(7 * 1024 * 1024) }),
    });
    assert.equal(answer.status, 413);
  });

  test('nested without end is rejected', async () => {
    const body = `{"items":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const answer = await post('rpc/merge_cart', body);
    assert.deepEqual([answer.status, answer.json.code], [413, '54001']);
  });
});

describe('a token', () => {
  const HOUR = 3600;
  const now = () => Math.floor(Date.now() / 1000);
  const TOKENS = {
    'that has expired': () => mintToken({ sub: shopper.id, exp: now() - HOUR }),
    'without a signature, algorithm none': () => mintToken({ sub: shopper.id }, { secret: null }),
    'without a signature, algorithm None': () =>
      mintToken({ sub: shopper.id }, { secret: null, header: { alg: 'None' } }),
    'of another secret': () => mintToken({ sub: shopper.id }, { secret: 'another'.repeat(8) }),
    'that is not valid yet': () => mintToken({ sub: shopper.id, nbf: now() + HOUR }),
    'that is three words': () => 'not.a.token',
    'that is one word': () => 'token',
  };
  for (const [what, make] of Object.entries(TOKENS)) {
    test(`${what} is refused with 401`, async () => {
      const client = tokenClient(make());
      const answer = await refusedWithoutTrace(() =>
        placeOrder(client, { items: [item(product)] }),
      );
      assertRejected(answer, 'PGRST301', 401);
      assertRejected(await client.from('orders').select('id'), 'PGRST301', 401);
      // Not even what is public: a broken token is an error, not an anonymous visit.
      assertRejected(await client.from('countries').select('code'), 'PGRST301', 401);
    });
  }

  test('whose subject is no id is rejected', async () => {
    const client = tokenClient(mintToken({ sub: 'administrator' }));
    assertRejected(await client.from('orders').select('id'), '22P02', 400);
    const answer = await refusedWithoutTrace(() => placeOrder(client, { items: [item(product)] }));
    assertRejected(answer, '22P02', 400);
  });

  test('without a subject is nobody', async () => {
    const client = tokenClient(mintToken({}));
    assert.deepEqual((await client.from('orders').select('id')).data, []);
    const answer = await refusedWithoutTrace(() => placeOrder(client, { items: [item(product)] }));
    await assertRefused(answer, 'authentication_required');
  });

  test('of an account that was deleted is nobody', async () => {
    const person = await signUpConfirmed();
    await sql`delete from auth.users where id = ${person.id}`;
    const answer = await placeOrder(person.client, { items: [item(product)] });
    await assertRefused(answer, 'authentication_required');
    const [left] = await sql`
      select email, full_name, phone from public.users where id = ${person.id}`;
    assert.deepEqual({ ...left }, { email: null, full_name: null, phone: null });
  });

  test('that expired ends a sign-in session: Auth refuses it as well', async () => {
    const token = mintToken({ sub: shopper.id, exp: now() - HOUR });
    const { data, error } = await anonClient().auth.getUser(token);
    assert.equal(data.user, null);
    assert.deepEqual([error.status, error.code], [403, 'bad_jwt']);
  });
});

describe('an API key', () => {
  test('that is missing or made up is refused by the gateway', async () => {
    const missing = await fetch(`${env.SUPABASE_URL}/rest/v1/countries`);
    assert.equal(missing.status, 401);
    assert.match((await missing.json()).message, /No API key/);
    const madeUp = await fetch(`${env.SUPABASE_URL}/rest/v1/countries`, {
      headers: { apikey: 'made-up' },
    });
    assert.equal(madeUp.status, 401);
    assert.match((await madeUp.json()).message, /Invalid API key/);
  });
});
