/**
 * What a product's page needs, as a frontend calls it: the page in one call, variants in carts and
 * orders, reviews of what was delivered, wishlists with their notice, and what was looked at.
 */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { sql } from './database.mjs';
import {
  assertRefused,
  assertRejected,
  deliver,
  item,
  makeAdmin,
  makeCategory,
  makeProduct,
  makeVariant,
  placedOrder,
  placeOrder,
  stockOf,
} from './shop.mjs';
import {
  anonClient,
  eventually,
  mailsTo,
  mailTo,
  rawRest,
  serviceClient,
  signUpConfirmed,
} from './stack.mjs';

const anon = anonClient();
const service = serviceClient();
const goods = {};
const people = {};
let category;

function pointer(product) {
  return { product_id: product.id, channel: product.channel };
}

async function answered(call) {
  const { data, error } = await call;
  assert.equal(error, null, error?.message);
  return data;
}

async function page(product, args = {}, client = anon) {
  return answered(client.rpc('product_page', { product_id: product.id, ...args }, { get: true }));
}

async function count(product, on_hand) {
  await answered(service.from('product_stock').update({ on_hand }).eq('listing_id', product.id));
}

before(async () => {
  category = await makeCategory();
  [people.buyer, people.stranger, people.admin] = await Promise.all([
    signUpConfirmed({ name: 'buyer', language: 'fr', country: 'CM' }),
    signUpConfirmed({ name: 'stranger' }),
    signUpConfirmed({ name: 'moderator' }),
  ]);
  await makeAdmin(people.admin.id);
  goods.shoe = await makeProduct({
    category,
    name: 'Leather shoe',
    name_fr: 'Chaussure en cuir',
    prices: { ZA: 499.99, CM: 14_999 },
    stock: 9,
    seller_rating: 4.7,
  });
  goods.small = await makeVariant(goods.shoe, {
    options: { Colour: 'Red', Size: '38' },
    options_fr: [{ name: 'Couleur', value: 'Rouge' }, { name: 'Taille', value: '38' }],
    on_hand: 2,
  });
  goods.large = await makeVariant(goods.shoe, {
    options: { Colour: 'Red', Size: '44' },
    options_fr: [{ name: 'Couleur', value: 'Rouge' }, { name: 'Taille', value: '44' }],
    price_ratio: 1.25,
    position: 1,
  });
  goods.crate = await makeProduct({
    category,
    channel: 'wholesale',
    prices: { ZA: 20 },
    stock: 1_000,
    min_order_quantity: 10,
    order_increment: 10,
  });
  await answered(service.from('price_tiers').insert({
    retailer_product_id: goods.crate.id, quantities: '[100,)', discount_percent: 12.5,
  }));
});

describe("a product's page", () => {
  test('comes in one call, in the reader\'s language, at the country\'s prices', async () => {
    const shown = await page(goods.shoe, { country: 'CM', language: 'fr' });
    assert.equal(shown.product_id, goods.shoe.id);
    assert.deepEqual(
      [shown.channel, shown.name, shown.price, shown.currency, shown.available, shown.in_stock],
      ['retail', 'Chaussure en cuir', 14_999, 'XAF', 9, true],
    );
    assert.deepEqual(shown.category, [{ slug: category.slug, name: category.name_fr }]);
    assert.deepEqual(shown.options, [
      { name: 'Couleur', values: ['Rouge'] },
      { name: 'Taille', values: ['38', '44'] },
    ]);
    assert.deepEqual(
      shown.variants.map(({ variant_id, price, available }) => ({ variant_id, price, available })),
      [
        { variant_id: goods.small.id, price: 14_999, available: 2 },
        { variant_id: goods.large.id, price: 18_800, available: 9 },
      ],
    );
    const english = await page(goods.shoe, { country: 'ZA', language: 'en' });
    assert.deepEqual([english.name, english.price, english.currency],
      ['Leather shoe', 499.99, 'ZAR']);
  });

  test('has the prices of every quantity in bulk', async () => {
    const shown = await page(goods.crate, { country: 'ZA' });
    assert.equal(shown.channel, 'wholesale');
    assert.deepEqual(shown.price_breaks, [
      { min_quantity: 10, max_quantity: 90, unit_price: 20 },
      { min_quantity: 100, max_quantity: 10_000, unit_price: 17.5 },
    ]);
    const elsewhere = await page(goods.crate, { country: 'CM' });
    assert.deepEqual([elsewhere.price, elsewhere.price_breaks], [null, []]);
  });

  test('may be kept by caches, and is asked for again only when something changed', async () => {
    const path = `rpc/product_page?product_id=${goods.shoe.id}&country=ZA&language=en`;
    const first = await rawRest(path);
    assert.equal(first.status, 200);
    assert.match(first.headers.get('cache-control'), /public/);
    assert.ok(first.headers.get('etag'));
  });

  test('is refused for what is not on sale or not known', async () => {
    const hidden = await makeProduct({ category, is_active: false });
    await assertRefused(
      await anon.rpc('product_page', { product_id: hidden.id }), 'product_not_found',
    );
    await assertRefused(
      await anon.rpc('product_page', { product_id: goods.shoe.id, country: 'FR' }),
      'country_unknown', { details: 'FR' },
    );
    await assertRefused(
      await anon.rpc('product_page', { product_id: goods.shoe.id, language: 'de' }),
      'language_unknown', { details: 'de' },
    );
  });
});

describe('variants', () => {
  test('are ordered at the price and from the pieces that the page shows', async () => {
    const { client } = people.buyer;
    const variant = (which, quantity) => ({ ...item(goods.shoe, quantity), variant_id: which.id });
    await answered(client.rpc('add_to_cart', variant(goods.small, 1)));
    await answered(client.rpc('add_to_cart', variant(goods.large, 2)));
    const quote = await answered(client.rpc('quote_cart', { country: 'CM' }));
    const { variants } = await page(goods.shoe, { country: 'CM', language: 'fr' });
    assert.deepEqual(
      quote.lines.map(({ variant_id, unit_price, quantity }) => [variant_id, unit_price, quantity]),
      [[goods.small.id, variants[0].price, 1], [goods.large.id, variants[1].price, 2]],
    );
    const order = await placedOrder(client, { expected_total: quote.total });
    assert.equal(order.subtotal_price, 14_999 + 2 * 18_800);
    const lines = await answered(
      client.from('order_items').select('name, variant_id, quantity, unit_price')
        .eq('order_id', order.id).order('unit_price'),
    );
    assert.deepEqual(lines, [
      { name: 'Leather shoe (Red, 38)', variant_id: goods.small.id, quantity: 1,
        unit_price: 14_999 },
      { name: 'Leather shoe (Red, 44)', variant_id: goods.large.id, quantity: 2,
        unit_price: 18_800 },
    ]);
    assert.equal((await stockOf(goods.shoe)).reserved, 3);
    const after = await page(goods.shoe, { country: 'CM' }, people.stranger.client);
    assert.deepEqual(after.variants.map(({ available }) => available), [1, 6]);
    await assertRefused(
      await placeOrder(client, { items: [variant(goods.small, 2)] }), 'stock_insufficient',
      { language: 'fr' },
    );
    await answered(client.rpc('cancel_order', { order_id: order.id }));
    const back = await page(goods.shoe, { country: 'CM' }, people.stranger.client);
    assert.deepEqual(back.variants.map(({ available }) => available), [2, 9]);
  });

  test('have to be chosen where one is dearer', async () => {
    const { client } = people.buyer;
    await assertRefused(
      await client.rpc('add_to_cart', item(goods.shoe)), 'variant_required', { language: 'fr' },
    );
    await assertRefused(
      await placeOrder(client, { items: [item(goods.shoe)] }), 'variant_required',
      { language: 'fr' },
    );
  });

  test('of another product, or none at all, are refused', async () => {
    const { client } = people.buyer;
    for (const variant_id of [goods.small.id, crypto.randomUUID()]) {
      await assertRefused(
        await client.rpc('add_to_cart', { ...item(goods.crate, 10), variant_id }),
        'variant_not_found', { language: 'fr' },
      );
    }
    await assertRefused(
      await client.rpc('merge_cart', { items: [{ ...item(goods.shoe), variant_id: 'red' }] }),
      'order_items_invalid', { language: 'fr', details: 'items[0].variant_id' },
    );
  });

  test('two people cannot buy the last one of a variant', async () => {
    const rare = await makeVariant(goods.shoe, {
      options: { Size: '50' }, on_hand: 1, position: 9,
    });
    const items = [{ ...item(goods.shoe), variant_id: rare.id }];
    const answers = await Promise.all(
      [people.buyer, people.stranger, people.admin].map(({ client }) =>
        placeOrder(client, { items })),
    );
    assert.equal(answers.filter(({ error }) => error === null).length, 1);
    for (const answer of answers.filter(({ error }) => error !== null)) {
      assert.equal(answer.error.hint, 'stock_insufficient');
    }
    for (const [index, { data }] of answers.entries()) {
      const { client } = [people.buyer, people.stranger, people.admin][index];
      if (data) await answered(client.rpc('cancel_order', { order_id: data.id }));
    }
    await answered(
      service.from('product_variants').update({ is_active: false }).eq('id', rare.id),
    );
  });
});

describe('reviews', () => {
  let line;

  before(async () => {
    const order = await placedOrder(people.buyer.client, {
      items: [{ ...item(goods.shoe), variant_id: goods.large.id }],
    });
    [line] = await answered(
      people.buyer.client.from('order_items').select('id').eq('order_id', order.id),
    );
    await assertRefused(
      await people.buyer.client.rpc('write_review', { order_item_id: line.id, rating: 5 }),
      'review_not_delivered', { language: 'fr' },
    );
    await deliver(order);
  });

  test('are written by whom the goods were delivered to', async () => {
    const write = (client, args) =>
      client.rpc('write_review', { order_item_id: line.id, rating: 5, ...args });
    await assertRefused(await write(people.stranger.client), 'order_item_not_found');
    await assertRefused(await write(people.buyer.client, { rating: 6 }), 'review_invalid', {
      language: 'fr', details: 'rating',
    });
    await assertRefused(
      await write(people.buyer.client, { body: 'Carte 4111 1111 1111 1111' }),
      'card_number_refused', { language: 'fr' },
    );
    assertRejected(await write(anon), '42501', 401);
    const review = await answered(
      write(people.buyer.client, { rating: 4, title: 'Très bien', body: 'Un peu étroites.' }),
    );
    assert.deepEqual(
      [review.status, review.language, review.author_name, review.rating],
      ['pending', 'fr', 'Ama', 4],
    );
    assert.deepEqual(await answered(anon.rpc('list_reviews', { product_id: goods.shoe.id })), []);
  });

  test('are shown once an admin approved them, without who wrote them', async () => {
    const [mine] = await answered(people.buyer.client.rpc('my_reviews'));
    const queue = await answered(people.admin.client.rpc('reviews', { page_size: 100 }));
    assert.ok(queue.some(({ review_id }) => review_id === mine.review_id));
    await assertRefused(await people.stranger.client.rpc('reviews'), 'admin_required');
    await assertRefused(
      await people.buyer.client.rpc('moderate_review', {
        review_id: mine.review_id, decision: 'approved',
      }),
      'admin_required', { language: 'fr' },
    );
    const unseen = { review_id: mine.review_id, decision: 'approved' };
    await assertRefused(await people.admin.client.rpc('moderate_review', unseen), 'value_missing');
    await assertRefused(
      await people.admin.client.rpc('moderate_review', {
        ...unseen, seen_at: new Date(Date.parse(mine.updated_at) - 1000).toISOString(),
      }),
      'review_changed',
    );
    const { updated_at } = queue.find(({ review_id }) => review_id === mine.review_id);
    await answered(
      people.admin.client.rpc('moderate_review', { ...unseen, seen_at: updated_at }),
    );

    const [shown] = await answered(anon.rpc('list_reviews', { product_id: goods.shoe.id }));
    assert.deepEqual(
      [shown.review_id, shown.rating, shown.title, shown.author_name, shown.order_item_id],
      [mine.review_id, 4, 'Très bien', 'Ama', null],
    );
    const direct = anon.from('product_reviews').select('id, rating').eq('id', mine.review_id);
    assert.deepEqual(await answered(direct), [{ id: mine.review_id, rating: 4 }]);
    for (const column of ['user_id', 'order_item_id', 'note', 'moderated_by']) {
      assertRejected(await anon.from('product_reviews').select(column), '42501', 401);
    }
    const shoe = await page(goods.shoe, {}, people.stranger.client);
    assert.deepEqual([shoe.rating, shoe.review_count, shoe.stars], [4, 1, [0, 0, 0, 1, 0]]);
    const messages = await answered(
      people.buyer.client.from('notifications').select('data').eq('kind', 'review_approved'),
    );
    assert.deepEqual(messages.map(({ data }) => data.review_id), [mine.review_id]);
  });

  test('are moderated again when their author changes them, and taken away', async () => {
    const { client } = people.buyer;
    const changed = await answered(client.rpc('write_review', {
      order_item_id: line.id, rating: 1, title: 'Cassées',
    }));
    assert.equal(changed.status, 'pending');
    const shoe = await page(goods.shoe, {}, people.stranger.client);
    assert.deepEqual([shoe.rating, shoe.review_count], [null, 0]);
    const rejected = await answered(people.admin.client.rpc('moderate_review', {
      review_id: changed.review_id, decision: 'rejected', note: 'No reason given.',
      seen_at: changed.updated_at,
    }));
    assert.equal(rejected.status, 'rejected');
    const [mine] = await answered(client.rpc('my_reviews'));
    assert.equal(mine.note, 'No reason given.');
    await answered(
      people.stranger.client.rpc('delete_review', { review_id: changed.review_id }),
    );
    assert.equal((await answered(client.rpc('my_reviews'))).length, 1);
    await answered(client.rpc('delete_review', { review_id: changed.review_id }));
    assert.deepEqual(await answered(client.rpc('my_reviews')), []);
  });
});

describe('wishlists', () => {
  test('belong to their person and show what is on sale', async () => {
    const { client } = people.buyer;
    await answered(client.rpc('add_to_wishlist', pointer(goods.shoe)));
    const rows = await answered(client.rpc('add_to_wishlist', pointer(goods.shoe)));
    assert.deepEqual(rows.map(({ listing_id }) => listing_id), [goods.shoe.id]);
    const [wish] = await answered(client.rpc('wishlist', {}, { get: true }));
    assert.deepEqual(
      [wish.product_id, wish.name, wish.price, wish.currency, wish.in_stock],
      [goods.shoe.id, 'Chaussure en cuir', 14_999, 'XAF', true],
    );
    assert.deepEqual(await answered(people.stranger.client.rpc('wishlist')), []);
    assert.deepEqual(
      await answered(people.stranger.client.from('wishlist_items').select()), [],
    );
    assertRejected(await anon.rpc('add_to_wishlist', pointer(goods.shoe)), '42501', 401);
    await assertRefused(
      await client.rpc('add_to_wishlist', { ...pointer(goods.shoe), channel: 'wholesale' }),
      'product_not_found', { language: 'fr' },
    );
    assert.deepEqual(await answered(client.rpc('remove_from_wishlist', pointer(goods.shoe))), []);
  });

  test('are a table too, of which everyone writes their own rows', async () => {
    const wishes = people.buyer.client.from('wishlist_items');
    const wish = { product_id: goods.shoe.id };
    const [row] = await answered(wishes.insert(wish).select());
    assert.deepEqual([row.user_id, row.listing_id], [people.buyer.id, goods.shoe.id]);
    assertRejected(await wishes.insert(wish), '23505', 409);
    const hers = people.stranger.client.from('wishlist_items');
    assert.deepEqual(await answered(hers.delete().match(wish).select()), []);
    assertRejected(await hers.insert({ ...wish, user_id: people.buyer.id }), '42501', 403);
    assert.equal((await answered(wishes.delete().match(wish).select())).length, 1);
  });

  test('a product that is there again is told once, by a message and a mail', async () => {
    const lamp = await makeProduct({
      category, name: 'Solar lamp', name_fr: 'Lampe solaire', prices: { CM: 7_500, ZA: 250 },
      stock: 0,
    });
    const { client, email } = people.buyer;
    await answered(client.rpc('add_to_wishlist', pointer(lamp)));
    await answered(people.stranger.client.rpc('add_to_wishlist', pointer(lamp)));
    await count(lamp, 3);

    const mail = await mailTo(email, /Lampe solaire/);
    assert.match(mail.subject, /De nouveau disponible/);
    assert.match(mail.text, /7.500.FCFA/);
    assert.ok(mail.html.includes(`/products/${lamp.id}`));
    const english = await mailTo(people.stranger.email, /Solar lamp/);
    assert.match(english.text, /R250\.00/);
    const told = () => answered(
      client.from('notifications').select('data').eq('kind', 'back_in_stock')
        .eq('data->>product_id', lamp.id),
    );
    assert.deepEqual((await told()).map(({ data }) => data.name_fr), ['Lampe solaire']);

    await count(lamp, 0);
    await count(lamp, 5);
    await eventually(
      async () => {
        const [{ open }] = await sql`
          select count(*)::integer as open from private.outbox
          where job = 'announce_stock' and args ->> 'listing_id' = ${lamp.id}
            and done_at is null`;
        return open === 0;
      },
      'the second return was looked at',
    );
    assert.equal((await told()).length, 1);
    const mails = await mailsTo(email);
    assert.equal(mails.filter(({ subject }) => subject.includes('Lampe solaire')).length, 1);
  });
});

describe('product views', () => {
  test('are kept for the person alone, the last first', async () => {
    const { client } = people.stranger;
    assert.deepEqual(await answered(client.rpc('recently_viewed')), []);
    await answered(client.rpc('record_product_view', pointer(goods.shoe)));
    await answered(client.rpc('record_product_view', pointer(goods.crate)));
    await answered(client.rpc('record_product_view', pointer(goods.shoe)));
    const seen = await answered(client.rpc('recently_viewed', { country: 'ZA', language: 'en' }));
    assert.deepEqual(
      seen.map(({ product_id, channel }) => [product_id, channel]),
      [[goods.shoe.id, 'retail'], [goods.crate.id, 'wholesale']],
    );
    const rows = await answered(
      client.from('product_views').select('listing_id, view_count').order('viewed_at'),
    );
    assert.deepEqual(rows, [
      { listing_id: goods.crate.id, view_count: 1 }, { listing_id: goods.shoe.id, view_count: 1 },
    ]);
    assert.deepEqual(await answered(people.buyer.client.from('product_views').select()), []);
    assertRejected(await anon.rpc('record_product_view', pointer(goods.shoe)), '42501', 401);
    await assertRefused(
      await client.rpc('record_product_view', {
        product_id: crypto.randomUUID(), channel: 'retail',
      }),
      'product_not_found',
    );
  });
});
