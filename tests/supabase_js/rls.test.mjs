/**
 * What the outside may see and do, tried from the outside: with the anon key, with a stranger's
 * token, and with the owner's own. Each attempt to write asserts the refusal and, read with the
 * service key, that the row is as it was.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { migrationSql, sql } from './database.mjs';
import {
  applyPaid,
  assertRefused,
  assertRejected,
  beginPayment,
  beginRefund,
  deliver,
  DOUALA,
  item,
  keepCard,
  makeAdmin,
  makeAffiliate,
  makeCategory,
  makeProduct,
  makePromoCode,
  paidByCard,
  placedOrder,
  stockOf,
} from './shop.mjs';
import {
  anonClient,
  env,
  eventually,
  mintToken,
  rawRest,
  serviceClient,
  signUpConfirmed,
  tokenClient,
  unique,
} from './stack.mjs';

const service = serviceClient();
const FORBIDDEN = '42501';

/** Who tries: `owner` is whom the victim's rows belong to. */
const actors = {};
/** The row of each table that everything is tried on: {key, insert}. */
const rows = {};
/** Further things made once: orders, payments, people's ids. */
const world = {};

/**
 * Every table of public: who may read it, and what an attacker would write into it. `public` is
 * read by all, `owner` by its person and admins, `admin` by admins, `owner only` not even by them.
 */
const TABLES = {
  addresses: {
    readers: 'owner',
    attempts: {
      'send a parcel elsewhere': { city: 'Elsewhere' },
      'take an address over': { user_id: 'stranger' },
    },
    owner_may_update: ['label', 'recipient_name', 'phone', 'country', 'city', 'district',
      'landmark', 'line1', 'latitude', 'longitude', 'is_default'],
    owner_may_delete: true,
  },
  admins: {
    readers: 'owner',
    attempts: { 'become the admin': { user_id: 'stranger' } },
  },
  affiliate_payouts: {
    readers: 'owner',
    attempts: {
      'raise a commission': { payout_amount: 900_000 },
      'call a payout paid': { payout_status: 'paid' },
      'approve a payout': { payout_status: 'approved' },
      'count a block twice': { block_number: 99 },
    },
  },
  affiliate_stats: {
    readers: 'admin',
    attempts: {
      'turn a use over to another code': { promo_code_id: 'other_promo_code' },
      'invent a discount': { discount_amount: 1 },
    },
  },
  affiliates: {
    readers: 'owner',
    attempts: {
      'approve oneself': { status: 'approved' },
      'raise the commission of a block': { default_commission_amount: 900_000 },
      'lower the threshold': { threshold_uses: 1 },
      'lead a payout elsewhere': { payout_channel: 'mtn', payout_account: '237670000066' },
    },
  },
  cart_items: {
    readers: 'owner only',
    attempts: {
      'set a price in a cart': { seen_unit_price: 1, seen_currency: 'XAF' },
      'set a quantity past its rules': { quantity: 10_000 },
    },
  },
  carts: {
    readers: 'owner only',
    attempts: { 'take a cart over': { user_id: 'stranger' } },
  },
  categories: {
    readers: 'public',
    attempts: { 'rename a category': { name: 'Taken' }, 'hide a category': { is_active: false } },
  },
  countries: {
    readers: 'public',
    attempts: { "change a country's currency": { currency: 'ZAR' } },
  },
  currencies: {
    readers: 'public',
    attempts: { "change a currency's decimals": { minor_unit: 2 } },
  },
  exchange_rates: {
    readers: 'public',
    attempts: { 'set an exchange rate': { rate: 0.0001 } },
  },
  notifications: {
    readers: 'owner only',
    attempts: {
      'rewrite a message': { kind: 'order_paid', data: { order_number: 'MG-1' } },
      'mark a message read': { read_at: '2026-01-01T00:00:00Z' },
    },
    owner_may_update: ['read_at'],
  },
  order_events: {
    readers: 'owner',
    attempts: {
      'rewrite the history': { kind: 'paid', to_status: 'paid' },
      'blame another': { actor_type: 'admin' },
    },
  },
  order_items: {
    readers: 'owner',
    attempts: {
      'lower the price of a line': { unit_price: 1 },
      'raise the quantity of a line': { quantity: 500 },
      'grant a line a discount': { discount_amount: 100 },
    },
  },
  orders: {
    readers: 'owner',
    attempts: {
      'call an order paid': { status: 'paid', paid_at: '2026-01-01T00:00:00Z' },
      'call its payment paid': { payment_status: 'paid' },
      'lower the total': { total_price: 1, subtotal_price: 1 },
      'grant a discount': { discount_amount: 1000 },
      'waive the delivery': { shipping_amount: 0 },
      'hold the stock for ever': { expires_at: '2099-01-01T00:00:00Z' },
      'change the owner': { user_id: 'stranger' },
      'change where it goes': { shipping_address: { city: 'Elsewhere' } },
      'change the currency': { currency: 'ZAR' },
      'cancel past the rules': {
        status: 'cancelled',
        cancelled_at: '2026-01-01T00:00:00Z',
        cancel_reason: 'mine',
      },
    },
  },
  payment_methods: {
    readers: 'public',
    attempts: { 'rename a payment method': { name: 'Free' } },
  },
  payment_routes: {
    readers: 'public',
    attempts: {
      'lead payments to another gateway': { gateway: 'mallory' },
      'switch a route off': { is_enabled: false },
    },
  },
  payments: {
    readers: 'owner',
    select: 'id, order_id, user_id, gateway, method, reference, amount, currency, status',
    attempts: {
      'call a payment paid': { status: 'paid', paid_at: '2026-01-01T00:00:00Z' },
      'lower the amount to pay': { amount: 1 },
      'make an attempt the winner': { is_winner: true },
      'change the currency of a payment': { currency: 'ZAR' },
      'stop the polling': { next_check_at: null },
      'lead the payer elsewhere': { action: { action: 'redirect', url: 'https://evil.test' } },
      'point at another transaction': { gateway_transaction_id: 'KPY-other' },
      'say that money went back': { refunded_amount: 1 },
      'say that more came': { collected_amount: 900_000, collected_currency: 'XAF' },
      'lead a payout elsewhere': { payer_account: '+237670000066' },
    },
  },
  price_history: {
    readers: 'public',
    attempts: {
      'say that a price was lower': { amount: 1 },
      'say that a price was higher': { previous_amount: 900_000 },
    },
  },
  price_tiers: {
    readers: 'public',
    attempts: { 'raise a wholesale discount': { discount_percent: 90 } },
  },
  product_media: {
    readers: 'public',
    attempts: { 'swap a picture': { storage_path: 'products/other.png' } },
  },
  product_prices: {
    readers: 'public',
    attempts: {
      'lower a price': { amount: 5 },
      'take a price out of the rule': { source: 'rule' },
    },
  },
  product_ratings: {
    readers: 'public',
    attempts: { 'give a product stars': { stars_5: 9_000 }, 'take stars away': { stars_1: 0 } },
  },
  product_reviews: {
    readers: 'public',
    select: 'id, product_id, retailer_product_id, listing_id, channel, rating, title, body, '
      + 'language, author_name, status, created_at, updated_at',
    attempts: {
      'approve a review': { status: 'approved', moderated_at: '2026-01-01T00:00:00Z' },
      'reject a review': { status: 'rejected', note: 'Mine' },
      'change the stars of a review': { rating: 5 },
      'put words into a mouth': { body: 'Buy elsewhere' },
      'take a review over': { user_id: 'stranger' },
    },
  },
  product_stock: {
    readers: 'public',
    attempts: {
      'invent stock': { on_hand: 10_000 },
      'free held stock': { reserved: 0 },
      'hold all stock': { reserved: 20 },
    },
  },
  product_variants: {
    readers: 'public',
    select: 'id, product_id, retailer_product_id, listing_id, position, options, options_fr, '
      + 'price_ratio, on_hand, reserved, media_id, is_active, created_at, updated_at',
    attempts: {
      'invent pieces of a variant': { on_hand: 10_000 },
      'lower the price of a variant': { price_ratio: 1 },
      'take a variant off sale': { is_active: false },
    },
  },
  product_views: {
    readers: 'owner only',
    attempts: { 'look a thousand times': { view_count: 1000 } },
  },
  products: {
    readers: 'public',
    attempts: {
      'lower the base price': { price_mallgram: 0.01 },
      'take a product off sale': { is_active: false },
      'lift the largest quantity': { max_order_quantity: 10_000 },
      'rate a product': { seller_rating: 5, review_count: 9999 },
    },
  },
  products_retailer: {
    readers: 'public',
    attempts: {
      'lower the wholesale base price': { price_mallgram: 0.01 },
      'lower the smallest quantity': { min_order_quantity: 2 },
      'raise the bulk discount': { bulk_discount_percent: 90 },
    },
  },
  promo_codes: {
    readers: 'owner',
    attempts: {
      'raise the discount': { discount_percent: 90 },
      'count uses back': { usage_count: 0 },
      'invent uses': { usage_count: 50 },
      'free held uses': { reserved_count: 0 },
      'lift the limit': { usage_limit: null },
      'lift the limit per person': { per_user_limit: null },
      'revive a code': { status: 'active', ends_at: null },
    },
  },
  refund_items: {
    readers: 'owner',
    attempts: {
      'refund more pieces': { quantity: 2 },
      'refund more for a piece': { amount: 900_000 },
    },
  },
  refunds: {
    readers: 'owner',
    select: 'id, payment_id, order_id, user_id, way, amount, tax_amount, currency, status, reason',
    attempts: {
      'call a refund sent': { status: 'refunded', refunded_at: '2026-01-01T00:00:00Z' },
      'raise a refund': { amount: 900_000 },
      'change the currency of a refund': { currency: 'XAF' },
      'send a refund another way': { way: 'payout', gateway: 'kora' },
      'take a refund over': { user_id: 'stranger' },
      'blame another for a refund': { requested_by: 'stranger' },
      'rewrite why money went back': { reason: 'Fraud' },
    },
  },
  saved_payment_methods: {
    readers: 'owner only',
    attempts: {
      'take a saved card over': { user_id: 'stranger' },
      'rename a saved card': { label: 'Mine' },
      'use a saved card at another gateway': { gateway: 'payfast' },
    },
    owner_may_delete: true,
  },
  shipping_rates: {
    readers: 'public',
    attempts: { 'deliver for nothing': { amount: 0 } },
  },
  suppliers: {
    readers: 'admin',
    attempts: { 'rename a supplier': { name: 'Taken' } },
  },
  tax_rates: {
    readers: 'public',
    attempts: { 'abolish a tax': { rate: 0 } },
  },
  users: {
    readers: 'owner',
    attempts: {
      'become admin': { is_admin: true },
      'become affiliate': { is_affiliate: true },
      'confirm an address': { email_confirmed_at: '2026-01-01T00:00:00Z' },
      'take an address over': { email: 'taken@shop.test' },
      'rename a person': { full_name: 'Taken' },
    },
    owner_may_update: ['full_name', 'phone', 'country', 'language'],
  },
  wishlist_items: {
    readers: 'owner only',
    attempts: {
      'take a wish over': { user_id: 'stranger' },
      'ask for another notice': { notified_at: null },
    },
    owner_may_delete: true,
  },
};

const PUBLIC_TABLES = Object.keys(TABLES).filter((name) => TABLES[name].readers === 'public');
const PRIVATE_TABLES = Object.keys(TABLES).filter((name) => TABLES[name].readers !== 'public');

async function truth(table) {
  const { data, error } = await service.from(table).select('*').match(rows[table].key);
  assert.equal(error, null, error?.message);
  assert.equal(data.length, 1, `${table} has the row that the test made`);
  return data[0];
}

/** Fills in what is known only when the world is made. */
function meant(change) {
  return Object.fromEntries(
    Object.entries(change).map(([column, value]) => [
      column,
      { stranger: actors.stranger?.id, other_promo_code: world.otherPromoCode?.id }[value] ?? value,
    ]),
  );
}

before(async () => {
  actors.anon = { client: anonClient() };
  [actors.owner, actors.stranger, actors.admin] = await Promise.all([
    signUpConfirmed({ name: 'owner', language: 'fr', country: 'CM' }),
    signUpConfirmed({ name: 'stranger', country: 'CM' }),
    signUpConfirmed({ name: 'admin' }),
  ]);
  const { owner, admin } = actors;
  // The owner is an affiliate too, so that there is a row of theirs in every table.
  const adminRow = await makeAdmin(admin.id);
  const affiliate = await makeAffiliate(owner.id, {
    threshold_uses: 1,
    payout_channel: 'kora',
    payout_account: '0123456789',
  });
  const promoCode = await makePromoCode({ affiliate, per_user_limit: 5 });
  world.otherPromoCode = await makePromoCode({ admin: adminRow });

  const category = await makeCategory();
  const [supplier] = (
    await service
      .from('suppliers')
      .insert({ platform: 'alibaba', external_id: unique(), name: 'Yiwu Number Seven' })
      .select()
  ).data;
  const product = await makeProduct({ category, supplier_id: supplier.id, external_id: unique() });
  const wholesale = await makeProduct({ category, channel: 'wholesale', min_order_quantity: 10 });
  const media = await service
    .from('product_media')
    .insert({ product_id: product.id, storage_path: 'products/rls.png', alt: 'A kettle' })
    .select();
  const tier = await service
    .from('price_tiers')
    .insert({ retailer_product_id: wholesale.id, quantities: '[50,100)', discount_percent: 5 })
    .select();
  world.product = product;

  // A buyer's order with the owner's code earns the owner a payout; the owner's own orders are one
  // paid and one that waits for its payment.
  const buyer = await signUpConfirmed({ name: 'buyer', country: 'CM' });
  world.buyer = buyer;
  const bought = await placedOrder(buyer.client, {
    items: [item(product, 1)],
    promo_code: promoCode.code,
  });
  await applyPaid(await beginPayment(bought));
  const paid = await placedOrder(owner.client, { items: [item(product, 2)] });
  await applyPaid(await beginPayment(paid));
  const pending = await placedOrder(owner.client, { items: [item(product, 3)] });
  const payment = await beginPayment(pending);
  // One of two pieces of a third order goes back, by hand: nobody touches the row meanwhile.
  const returned = await paidByCard(owner.client, { items: [item(product, 2)] });
  const [returnedLine] = (
    await service.from('order_items').select().eq('order_id', returned.order.id)
  ).data;
  const delivered = await placedOrder(owner.client, { items: [item(product, 1)] });
  await deliver(delivered);
  const [deliveredLine] = (
    await service.from('order_items').select().eq('order_id', delivered.id)
  ).data;
  const review = await owner.client.rpc('write_review', {
    order_item_id: deliveredLine.id, rating: 4, title: 'Boils',
  });
  assert.equal(review.error, null);
  const approved = await sql`
    update product_reviews
    set status = 'approved', moderated_by = ${admin.id}, moderated_at = now()
    where id = ${review.data.review_id}`;
  assert.equal(approved.count, 1);
  const variant = await service
    .from('product_variants')
    .insert({
      retailer_product_id: wholesale.id, external_id: unique(), price_ratio: 1.5, on_hand: 4,
    })
    .select();
  assert.equal(variant.error, null);
  const pointer = { product_id: product.id, channel: 'retail' };
  assert.equal((await owner.client.rpc('add_to_wishlist', pointer)).error, null);
  assert.equal((await owner.client.rpc('record_product_view', pointer)).error, null);
  const refund = await beginRefund(admin.id, returned.payment, [
    { order_item_id: returnedLine.id, quantity: 1 },
  ]);
  const card = await keepCard(owner.id);
  Object.assign(world, { paid, pending, payment, bought, promoCode, affiliate });
  Object.assign(world, { returned, refund, card });

  const cart = await owner.client.rpc('add_to_cart', item(product, 4));
  assert.equal(cart.error, null);
  const home = { ...DOUALA, label: 'Home' };
  const address = await owner.client.from('addresses').insert(home).select();
  assert.equal(address.error, null);
  const as_of = new Date(Date.now() - Math.floor(Math.random() * 1e9)).toISOString();
  await sql`
    insert into exchange_rates (base_currency, quote_currency, rate, as_of, source)
    values ('USD', 'XAF', 600, ${as_of}, 'rls test')`;

  const one = async (table, match) =>
    (await service.from(table).select('*').match(match).limit(1)).data[0];
  const byId = (row) => ({ id: row.id });
  const [event] = (await service.from('order_events').select().eq('order_id', paid.id)).data;
  const [line] = (await service.from('order_items').select().eq('order_id', pending.id)).data;
  const [notice] = (await service.from('notifications').select().eq('user_id', owner.id)).data;

  const row = (table, key, insert) => {
    rows[table] = { key, insert };
  };
  row('addresses', byId(address.data[0]), { ...DOUALA, user_id: owner.id });
  row('admins', byId(adminRow), { user_id: actors.stranger.id });
  row('affiliate_payouts', byId(await one('affiliate_payouts', { affiliate_id: affiliate.id })), {
    affiliate_id: affiliate.id,
    promo_code_id: promoCode.id,
    block_number: 77,
    payout_amount: 900_000,
    currency: 'XAF',
  });
  row('affiliate_stats', byId(await one('affiliate_stats', { order_id: bought.id })), {
    affiliate_id: affiliate.id,
    promo_code_id: promoCode.id,
    order_id: paid.id,
    user_id: owner.id,
    discount_amount: 0,
    currency: 'XAF',
  });
  row('affiliates', byId(affiliate), { user_id: actors.stranger.id, status: 'approved' });
  row('cart_items', { cart_id: cart.data[0].cart_id, listing_id: product.id }, {
    cart_id: cart.data[0].cart_id,
    product_id: product.id,
    quantity: 1,
    seen_unit_price: 1,
    seen_currency: 'XAF',
  });
  row('carts', { id: cart.data[0].cart_id }, { user_id: owner.id });
  row('categories', byId(category), { slug: `free-${unique()}`, name: 'A', name_fr: 'B' });
  row('countries', { code: 'CM' }, {
    code: 'FR', name: 'France', name_fr: 'France', currency: 'XAF', languages: '{fr}',
    phone_prefix: '+33',
  });
  row('currencies', { code: 'XAF' }, {
    code: 'GBP', name: 'Pound', name_fr: 'Livre', minor_unit: 2, cash_step: 0.01,
  });
  row('exchange_rates', { base_currency: 'USD', quote_currency: 'XAF', as_of }, {
    base_currency: 'USD', quote_currency: 'ZAR', rate: 0.1, as_of, source: 'me',
  });
  row('notifications', byId(notice), { user_id: owner.id, kind: 'order_paid' });
  row('order_events', byId(event), {
    order_id: paid.id, user_id: owner.id, kind: 'shipped', actor_type: 'system',
  });
  row('order_items', byId(line), {
    order_id: pending.id, user_id: owner.id, line_number: 9, product_id: product.id, name: 'Free',
    quantity: 1, unit_price: 1, currency: 'XAF',
  });
  row('orders', byId(pending), {
    user_id: owner.id, country: 'CM', currency: 'XAF', language: 'fr', subtotal_price: 1,
    total_price: 1, shipping_address: {}, expires_at: '2099-01-01T00:00:00Z',
  });
  row('payment_methods', { code: 'card' }, { code: 'favour', name: 'Favour', name_fr: 'Faveur' });
  row('payment_routes', { country: 'CM', method: 'kora_checkout', gateway: 'kora' }, {
    country: 'CM', method: 'card', gateway: 'mallory', priority: 1,
  });
  row('payments', { id: payment.payment_id }, {
    order_id: pending.id, user_id: owner.id, gateway: 'kora', method: 'card',
    reference: `mg-${unique()}`, amount: 1, currency: 'XAF',
  });
  row('price_history', byId(await one('price_history', { listing_id: product.id, country: 'CM' })), {
    product_id: product.id, country: 'CM', currency: 'XAF', amount: 1, source: 'manual',
  });
  row('price_tiers', byId(tier.data[0]), {
    retailer_product_id: wholesale.id, quantities: '[2,10)', discount_percent: 90,
  });
  row('product_media', byId(media.data[0]), {
    product_id: product.id, position: 1, storage_path: 'products/mine.png',
  });
  row('product_prices', { listing_id: product.id, country: 'CM' }, {
    retailer_product_id: wholesale.id, country: 'CM', currency: 'XAF', amount: 5,
  });
  row('product_ratings', { listing_id: product.id }, {
    retailer_product_id: wholesale.id, stars_5: 100,
  });
  row('product_reviews', { id: review.data.review_id }, {
    order_item_id: line.id, user_id: owner.id, product_id: product.id, rating: 5, language: 'en',
  });
  row('product_variants', byId(variant.data[0]), {
    product_id: product.id, external_id: unique(), price_ratio: 1,
  });
  row('product_views', { user_id: owner.id, listing_id: product.id }, {
    user_id: owner.id, retailer_product_id: wholesale.id,
  });
  row('product_stock', { listing_id: product.id }, { product_id: product.id, on_hand: 500 });
  row('products', byId(product), {
    category_id: category.id, name: 'Mine', price_mallgram: 1,
  });
  row('products_retailer', byId(wholesale), {
    category_id: category.id, name: 'Mine', price_mallgram: 1,
  });
  row('promo_codes', byId(promoCode), {
    code: `FREE${unique(3)}`, affiliate_id: affiliate.id, discount_percent: 90,
  });
  row('refund_items', { refund_id: refund.refund_id, order_item_id: returnedLine.id }, {
    refund_id: refund.refund_id, order_item_id: line.id, quantity: 3, amount: 900_000,
    tax_amount: 0, currency: 'ZAR',
  });
  row('refunds', { id: refund.refund_id }, {
    payment_id: returned.payment.payment_id, order_id: returned.order.id, user_id: owner.id,
    gateway: 'kora', way: 'gateway', amount: 1, currency: 'ZAR', reason: 'Mine',
  });
  row('saved_payment_methods', { id: card.id }, {
    user_id: owner.id, gateway: 'paygate', method: 'card', label: `Mine ${unique()}`,
  });
  row('shipping_rates', byId(await one('shipping_rates', { country: 'CM' })), {
    country: 'CM', currency: 'XAF', amount: 0, valid_from: '1999-01-01', valid_until: '1999-02-01',
  });
  row('suppliers', byId(supplier), { platform: 'alibaba', external_id: unique(), name: 'Mine' });
  row('tax_rates', byId(await one('tax_rates', { country: 'CM' })), {
    country: 'CM', name: 'None', name_fr: 'Rien', rate: 0, valid_from: '1999-01-01',
    valid_until: '1999-02-01',
  });
  row('wishlist_items', { user_id: owner.id, listing_id: product.id }, {
    user_id: owner.id, retailer_product_id: wholesale.id,
  });
  row('users', { id: owner.id }, { id: crypto.randomUUID(), is_admin: true });
});

test('every table and view of public is in this file', async () => {
  const found = await sql`
    select c.relname, c.relkind
    from pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by c.relname`;
  assert.deepEqual(
    found.filter(({ relkind }) => !['r', 'p'].includes(relkind)).map(({ relname }) => relname),
    [],
    'no view shows rows past their policies',
  );
  assert.deepEqual(found.map(({ relname }) => relname), Object.keys(TABLES).sort());
});

describe('reading', () => {
  for (const table of PUBLIC_TABLES) {
    test(`anyone reads ${table}`, async () => {
      const { select = '*' } = TABLES[table];
      const answer = await actors.anon.client.from(table).select(select).match(rows[table].key);
      assert.equal(answer.error, null);
      const whole = await truth(table);
      const shown = select === '*' ? Object.keys(whole) : select.split(', ');
      const open = Object.fromEntries(shown.map((column) => [column, whole[column]]));
      assert.deepEqual(answer.data, [open]);
    });
  }

  for (const table of PRIVATE_TABLES) {
    const { readers, select = '*' } = TABLES[table];

    test(`the anon key reads nothing of ${table}`, async () => {
      assertRejected(await actors.anon.client.from(table).select(select), FORBIDDEN, 401);
      const counted = await actors.anon.client.from(table).select(select, { count: 'exact' });
      assertRejected(counted, FORBIDDEN, 401);
    });

    test(`a stranger reads no row of ${table}`, async () => {
      const { client, id } = actors.stranger;
      const one = await client.from(table).select(select).match(rows[table].key);
      assert.equal(one.error, null);
      assert.deepEqual(one.data, []);
      const all = await client.from(table).select(select, { count: 'exact' });
      assert.equal(all.error, null);
      assert.deepEqual(all.data.map((found) => found.id), table === 'users' ? [id] : []);
      assert.equal(all.count, table === 'users' ? 1 : 0, 'a count tells of no other rows');
    });

    test(`the right person reads their row of ${table}`, async () => {
      const isAdmins = readers === 'admin' || table === 'admins';
      const { client } = isAdmins ? actors.admin : actors.owner;
      const mine = await client.from(table).select(select).match(rows[table].key);
      assert.equal(mine.error, null);
      assert.equal(mine.data.length, 1);
      const others = await actors.admin.client.from(table).select(select).match(rows[table].key);
      assert.equal(others.data.length, readers === 'owner only' ? 0 : 1);
    });
  }

  test("an affiliate sees their code's counts but not who bought", async () => {
    const { client } = actors.owner;
    const codes = await client.from('promo_codes').select('id, usage_count');
    assert.deepEqual(codes.data, [{ id: world.promoCode.id, usage_count: 1 }]);
    assert.deepEqual((await client.from('affiliate_stats').select()).data, []);
    assert.deepEqual((await client.from('orders').select().eq('id', world.bought.id)).data, []);
    assert.deepEqual((await client.from('users').select('id')).data, [{ id: actors.owner.id }]);
  });
});

describe('hidden columns', () => {
  const HIDDEN = {
    payments: ['gateway_transaction_id', 'gateway_session', 'payer_account', 'save_method',
      'saved_payment_method_id', 'collected_amount', 'collected_currency', 'fee_amount',
      'is_winner', 'superseded_at', 'evidence_at', 'checks', 'next_check_at'],
    refunds: ['gateway', 'reference', 'gateway_refund_id', 'failure_reason', 'requested_by',
      'sent_at', 'checks', 'next_check_at'],
  };

  for (const [table, columns] of Object.entries(HIDDEN)) {
    for (const column of columns) {
      test(`${column} of ${table} is not selected, filtered or sorted by, not even by the owner`,
        async () => {
          const { client } = actors.owner;
          const hidden = () => client.from(table);
          for (const attempt of [
            hidden().select(column),
            hidden().select(`id, renamed:${column}`),
            hidden().select('id').not(column, 'is', null),
            hidden().select('id').or(`${column}.not.is.null,id.not.is.null`),
            hidden().select('id').order(column),
            client.from('orders').select(`id, ${table}(${column})`),
            client
              .from('orders')
              .select(`id, ${table}!inner(id)`)
              .not(`${table}.${column}`, 'is', null),
          ]) {
            assertRejected(await attempt, FORBIDDEN, 403);
          }
        });
    }

    test(`select * of ${table} is refused rather than cut down`, async () => {
      assertRejected(await actors.owner.client.from(table).select('*'), FORBIDDEN, 403);
      assertRejected(
        await actors.owner.client.from('orders').select(`*, ${table}(*)`),
        FORBIDDEN,
        403,
      );
    });
  }

  test('the owner reads the others of refunds, with the pieces', async () => {
    const { data, error } = await actors.owner.client
      .from('refunds')
      .select('id, order_id, way, amount, currency, status, reason, refund_items(quantity, amount)')
      .eq('id', world.refund.refund_id);
    assert.equal(error, null);
    // Half of two pieces at 100 with a delivery of 99.
    assert.deepEqual(data, [
      {
        id: world.refund.refund_id,
        order_id: world.returned.order.id,
        way: 'manual',
        amount: 149.5,
        currency: 'ZAR',
        status: 'pending',
        reason: 'Scratched',
        refund_items: [{ quantity: 1, amount: 149.5 }],
      },
    ]);
  });

  test('the owner reads the others of payments', async () => {
    const { data, error } = await actors.owner.client
      .from('payments')
      .select('id, order_id, gateway, method, amount, currency, status')
      .eq('id', world.payment.payment_id);
    assert.equal(error, null);
    assert.deepEqual(data, [
      {
        id: world.payment.payment_id,
        order_id: world.pending.id,
        gateway: 'kora',
        method: 'kora_checkout',
        amount: world.pending.total_price,
        currency: 'XAF',
        status: 'pending',
      },
    ]);
  });
});

describe('embedding', () => {
  const FROM_PUBLIC = ['order_items(*)', 'cart_items(*)', 'suppliers(*)'];
  for (const embed of FROM_PUBLIC) {
    test(`products with ${embed} is refused to the anon key`, async () => {
      const answer = await actors.anon.client.from('products').select(`id, ${embed}`);
      assertRejected(answer, FORBIDDEN, 401);
    });

    test(`products with ${embed} shows a stranger none of it`, async () => {
      const { data, error } = await actors.stranger.client
        .from('products')
        .select(`id, ${embed}`)
        .eq('id', world.product.id);
      assert.equal(error, null);
      const name = embed.replace('(*)', '');
      const nothing = name === 'suppliers' ? null : [];
      assert.deepEqual(data, [{ id: world.product.id, [name]: nothing }]);
    });
  }

  const CHAINS = [
    ['countries', 'code, users(email, phone)', 'users', { code: 'CM' }],
    ['countries', 'code, orders(id, users(email))', 'orders', { code: 'CM' }],
    ['countries', 'code, addresses(*)', 'addresses', { code: 'CM' }],
    ['currencies', 'code, payments(id, amount)', 'payments', { code: 'XAF' }],
    ['currencies', 'code, promo_codes(code)', 'promo_codes', { code: 'XAF' }],
    ['currencies', 'code, affiliate_payouts(payout_amount)', 'affiliate_payouts', { code: 'XAF' }],
    ['payment_methods', 'code, payments(id, reference)', 'payments', { code: 'kora_checkout' }],
    ['payment_methods', 'code, payments(id, refunds(id, amount))', 'payments', { code: 'card' }],
    ['payment_methods', 'code, saved_payment_methods(label)', 'saved_payment_methods',
      { code: 'card' }],
    ['currencies', 'code, refund_items(quantity, amount)', 'refund_items', { code: 'ZAR' }],
  ];
  for (const [table, select, embed, key] of CHAINS) {
    test(`${table} with ${select} leads a stranger to nobody's rows`, async () => {
      assertRejected(await actors.anon.client.from(table).select(select), FORBIDDEN, 401);
      const { data, error } = await actors.stranger.client.from(table).select(select).match(key);
      assert.equal(error, null);
      const own = embed === 'users' ? [{ email: actors.stranger.email, phone: null }] : [];
      assert.deepEqual(data[0][embed], own);
    });
  }

  test("orders with their people, payments and code shows a stranger no one's", async () => {
    const select = 'id, users(email), payments(id), refunds(id), promo_codes(code), '
      + 'affiliate_stats(id), order_events(id)';
    const { data, error } = await actors.stranger.client.from('orders').select(select);
    assert.equal(error, null);
    assert.deepEqual(data, []);
  });

  test('a buyer sees neither the code nor its affiliate behind their own order', async () => {
    const { data, error } = await world.buyer.client
      .from('orders')
      .select('promo_code, promo_codes(id, usage_count, affiliates(payout_account))');
    assert.equal(error, null);
    assert.deepEqual(data, [{ promo_code: world.promoCode.code, promo_codes: null }]);
  });

  test('filtering by an embedded row tells nothing of rows that are hidden', async () => {
    const { data, error } = await actors.stranger.client
      .from('products')
      .select('id, order_items!inner(order_id)')
      .eq('id', world.product.id);
    assert.equal(error, null);
    assert.deepEqual(data, []);
  });

  test('no relation leads to the tables of auth', async () => {
    for (const embed of ['auth_users(*)', 'identities(*)', 'sessions(*)']) {
      const answer = await actors.owner.client.from('users').select(`id, ${embed}`);
      assertRejected(answer, 'PGRST200', 400);
    }
  });
});

describe('writing', () => {
  for (const [table, access] of Object.entries(TABLES)) {
    const { attempts, owner_may_update = [], owner_may_delete = false } = access;

    for (const actor of ['anon', 'stranger', 'owner', 'admin']) {
      const status = actor === 'anon' ? 401 : 403;

      for (const [what, change] of Object.entries(attempts)) {
        const isOpen = Object.keys(change).every((column) => owner_may_update.includes(column));
        if (isOpen && actor === 'owner') continue;

        test(`${actor} may not ${what} (update ${table})`, async () => {
          const untouched = await truth(table);
          const { client } = actors[actor];
          const answer = await client.from(table).update(meant(change)).match(rows[table].key);
          // A column that is open to the row's owner finds no row when somebody else asks.
          if (isOpen && actor !== 'anon') assert.equal(answer.error, null);
          else assertRejected(answer, FORBIDDEN, status);
          assert.deepEqual(await truth(table), untouched);
        });
      }

      test(`${actor} may not insert into ${table}`, async () => {
        const { insert } = rows[table];
        const scalars = Object.entries(insert).filter(([, value]) => typeof value !== 'object');
        const like = () =>
          service
            .from(table)
            .select('*', { count: 'exact', head: true })
            .match(Object.fromEntries(scalars));
        const { count: counted, error } = await like();
        assert.equal(error, null);
        assertRejected(await actors[actor].client.from(table).insert(insert), FORBIDDEN, status);
        assert.equal((await like()).count, counted);
      });

      if (owner_may_delete && actor === 'owner') continue;
      test(`${actor} may not delete from ${table}`, async () => {
        const untouched = await truth(table);
        const answer = await actors[actor].client.from(table).delete().match(rows[table].key);
        if (owner_may_delete && actor !== 'anon') assert.equal(answer.error, null);
        else assertRejected(answer, FORBIDDEN, status);
        assert.deepEqual(await truth(table), untouched);
      });
    }

    test(`no other column of ${table} is open to a signed-in person`, async () => {
      const untouched = await truth(table);
      const columns = await sql`
        select column_name as name
        from information_schema.columns
        where table_schema = 'public' and table_name = ${table} and is_generated = 'NEVER'`;
      const open = [];
      for (const { name } of columns) {
        const answer = await actors.owner.client
          .from(table)
          .update({ [name]: untouched[name] })
          .match(rows[table].key);
        if (answer.error === null) open.push(name);
        else assertRejected(answer, FORBIDDEN, 403);
      }
      assert.deepEqual(open.sort(), [...owner_may_update].sort());
      const { updated_at: _before, ...kept } = untouched;
      const { updated_at: _after, ...found } = await truth(table);
      assert.deepEqual(found, kept);
    });
  }

  const UPSERTS = {
    addresses: () => ({ ...DOUALA, city: 'Elsewhere' }),
    users: () => ({ is_admin: true }),
    orders: () => ({ ...rows.orders.insert, total_price: 1 }),
    payments: () => ({ ...rows.payments.insert, status: 'paid' }),
    products: () => ({ ...rows.products.insert, price_mallgram: 0.01 }),
    promo_codes: () => ({ ...rows.promo_codes.insert, discount_percent: 90 }),
    refunds: () => ({ ...rows.refunds.insert, status: 'refunded' }),
    saved_payment_methods: () => ({ ...rows.saved_payment_methods.insert, label: 'Mine' }),
  };
  for (const [table, change] of Object.entries(UPSERTS)) {
    test(`stranger may not overwrite a row of ${table} by an upsert`, async () => {
      const untouched = await truth(table);
      const answer = await actors.stranger.client
        .from(table)
        .upsert({ ...change(), ...rows[table].key });
      assertRejected(answer, FORBIDDEN, 403);
      assert.deepEqual(await truth(table), untouched);
    });
  }

  test('a new address belongs to who adds it', async () => {
    const { client, id } = actors.stranger;
    const { data, error } = await client.from('addresses').insert(DOUALA).select('id, user_id');
    assert.equal(error, null);
    assert.equal(data[0].user_id, id);
    await client.from('addresses').delete().eq('id', data[0].id);
  });
});

describe("RPCs on somebody else's rows", () => {
  const orderUntouched = async (act) => {
    const [order, stock] = [await truth('orders'), await stockOf(world.product)];
    await act();
    assert.deepEqual(await truth('orders'), order);
    assert.deepEqual(await stockOf(world.product), stock);
  };

  for (const actor of ['stranger', 'admin']) {
    test(`cancel_order refuses ${actor} as if the order were not there`, async () => {
      await orderUntouched(async () => {
        const answer = await actors[actor].client.rpc('cancel_order', {
          order_id: world.pending.id,
        });
        await assertRefused(answer, 'order_not_found', { details: world.pending.id });
      });
    });

    test(`update_order_address refuses ${actor} as if the order were not there`, async () => {
      await orderUntouched(async () => {
        const answer = await actors[actor].client.rpc('update_order_address', {
          order_id: world.pending.id,
          address: { ...DOUALA, city: 'Elsewhere' },
        });
        await assertRefused(answer, 'order_not_found', { details: world.pending.id });
      });
    });
  }

  test("place_order takes no address of another's book", async () => {
    const answer = await actors.stranger.client.rpc('place_order', {
      idempotency_key: `key-${unique()}`,
      country: 'CM',
      address: rows.addresses.key,
      items: [item(world.product)],
    });
    await assertRefused(answer, 'address_not_found', { details: rows.addresses.key.id });
  });

  test("one person's idempotency key tells another nothing", async () => {
    const key = `shared-${unique()}`;
    const order = (client) =>
      client.rpc('place_order', {
        idempotency_key: key,
        country: 'CM',
        address: DOUALA,
        items: [item(world.product)],
      });
    const [first, second] = [
      await order(actors.owner.client),
      await order(actors.stranger.client),
    ];
    assert.equal(first.error, null);
    assert.equal(second.error, null);
    assert.notEqual(second.data.id, first.data.id);
    assert.equal(second.data.user_id, actors.stranger.id);
    for (const [{ client }, { data }] of [[actors.owner, first], [actors.stranger, second]]) {
      assert.equal((await client.rpc('cancel_order', { order_id: data.id })).error, null);
    }
  });

  test("mark_notifications_read passes over another's messages", async () => {
    const untouched = await truth('notifications');
    const answer = await actors.stranger.client.rpc('mark_notifications_read', {
      ids: [untouched.id],
    });
    assert.equal(answer.error, null);
    assert.deepEqual(answer.data, []);
    assert.deepEqual(await truth('notifications'), untouched);
  });

  test("a cart RPC never reaches another's cart", async () => {
    const untouched = await truth('cart_items');
    const { client } = actors.stranger;
    const added = await client.rpc('add_to_cart', item(world.product, 1));
    assert.deepEqual(added.data.map(({ user_id }) => user_id), [actors.stranger.id]);
    const removed = await client.rpc('remove_from_cart', {
      product_id: world.product.id,
      channel: 'retail',
    });
    assert.deepEqual(removed.data, []);
    assert.deepEqual(await truth('cart_items'), untouched);
    await sql`delete from carts where user_id = ${actors.stranger.id}`;
  });

  test('quote_cart tells the price to nobody but the caller', async () => {
    const { data, error } = await actors.stranger.client.rpc('quote_cart', { country: 'CM' });
    assert.equal(error, null);
    assert.deepEqual(data.lines, []);
    await sql`delete from carts where user_id = ${actors.stranger.id}`;
  });

  const FOR_PEOPLE = {
    accept_exchange_rate: { refusal_id: crypto.randomUUID() },
    add_to_cart: { product_id: crypto.randomUUID(), channel: 'retail', quantity: 1 },
    add_to_wishlist: { product_id: crypto.randomUUID(), channel: 'retail' },
    cancel_order: { order_id: crypto.randomUUID() },
    check_promo_code: { code: 'ANY', country: 'CM' },
    connect_supplier: { platform: 'aliexpress', code: 'any', state: crypto.randomUUID() },
    delete_review: { review_id: crypto.randomUUID() },
    delete_saved_payment_method: { id: crypto.randomUUID() },
    exceptions: {},
    map_supplier_category: { platform: 'aliexpress', external_id: '1' },
    mark_notifications_read: { ids: [] },
    merge_cart: { items: [] },
    moderate_review: {
      review_id: crypto.randomUUID(), decision: 'approved', seen_at: '2026-01-01T00:00:00Z',
    },
    my_reviews: {},
    payment_trail: { order_id: crypto.randomUUID() },
    place_order: { idempotency_key: 'anonymous-1', country: 'CM', address: DOUALA, items: [] },
    price_roundings: {},
    price_rules: {},
    product_source: { product_id: crypto.randomUUID() },
    quality_rules: {},
    quote_cart: { country: 'CM' },
    readmit_product: { platform: 'aliexpress', external_id: '1' },
    recently_viewed: {},
    record_product_view: { product_id: crypto.randomUUID(), channel: 'retail' },
    refused_exchange_rates: {},
    release_held_columns: { product_id: crypto.randomUUID(), columns: ['name'] },
    remove_from_cart: { product_id: crypto.randomUUID(), channel: 'retail' },
    remove_from_wishlist: { product_id: crypto.randomUUID(), channel: 'retail' },
    remove_price_rule: { id: crypto.randomUUID() },
    request_sync: { platform: 'aliexpress' },
    resolve_exception: { id: crypto.randomUUID(), action: 'dismiss' },
    review_sync_run: { run_id: crypto.randomUUID(), decision: 'discard' },
    reviews: {},
    set_price: { product_id: crypto.randomUUID(), channel: 'retail', country: 'CM', amount: 5 },
    set_price_roundings: { currency: 'ZAR', roundings: [{ from: 0, step: 1 }] },
    set_price_rule: { component: 'duty', percent: 0 },
    set_quality_rule: { rule: 'rating', minimum: 1, maximum: null, is_enabled: true },
    supplier_categories: { platform: 'aliexpress' },
    supplier_connections: {},
    sync_rejections: { run_id: crypto.randomUUID() },
    sync_runs: {},
    update_order_address: { order_id: crypto.randomUUID(), address: DOUALA },
    wishlist: {},
    write_review: { order_item_id: crypto.randomUUID(), rating: 5 },
  };
  const FOR_ALL = ['category_counts', 'category_tree', 'explain_price', 'list_reviews',
    'price_breaks', 'product_facets', 'product_page', 'record_search', 'search_products',
    'similar_products', 'suggest_products'];
  for (const [name, args] of Object.entries(FOR_PEOPLE)) {
    test(`${name} is refused to the anon key`, async () => {
      assertRejected(await actors.anon.client.rpc(name, args), FORBIDDEN, 401);
    });
  }

  test('the API shows the anon key what is public and nothing else', async () => {
    const { status, json } = await rawRest('');
    assert.equal(status, 200);
    assert.deepEqual(
      Object.keys(json.paths).sort(),
      [...PUBLIC_TABLES, '', ...FOR_ALL.map((name) => `rpc/${name}`)]
        .map((path) => `/${path}`)
        .sort(),
    );
  });

  test('the API shows a signed-in person the RPCs of people and nothing else', async () => {
    const { json } = await rawRest('', { token: actors.stranger.session.access_token });
    const functions = Object.keys(json.paths).filter((path) => path.startsWith('/rpc/'));
    assert.deepEqual(
      functions.sort(),
      [...Object.keys(FOR_PEOPLE), ...FOR_ALL]
        .map((name) => `/rpc/${name}`)
        .sort(),
    );
  });
});

describe('saved payment methods', () => {
  const forget = (actor, id) => actors[actor].client.rpc('delete_saved_payment_method', { id });

  for (const actor of ['stranger', 'admin']) {
    test(`${actor} forgets no card of the owner's`, async () => {
      const untouched = await truth('saved_payment_methods');
      const answer = await forget(actor, world.card.id);
      assert.equal(answer.error, null);
      assert.equal(answer.data, false);
      assert.deepEqual(await truth('saved_payment_methods'), untouched);
    });
  }

  test('the owner reads what a card is known by, and nothing that pays', async () => {
    const { data, error } = await actors.owner.client.from('saved_payment_methods').select();
    assert.equal(error, null);
    const [{ created_at, ...card }] = data;
    assert.ok(created_at);
    assert.deepEqual([card], [{
      id: world.card.id,
      user_id: actors.owner.id,
      gateway: 'paygate',
      method: 'card',
      label: 'Visa …0015',
      expires_on: '2030-12-31',
      last_used_at: null,
    }]);
    assert.ok(!JSON.stringify(data).includes(world.card.token));
  });

  test('the owner forgets a card, once, and its token goes along', async () => {
    const card = await keepCard(actors.owner.id, 'Visa …0023');
    const tokens = () =>
      sql`select token from private.saved_payment_method_tokens where token = ${card.token}`;
    assert.equal((await tokens()).length, 1);
    assert.equal((await forget('owner', card.id)).data, true);
    assert.equal((await tokens()).length, 0);
    assert.equal((await forget('owner', card.id)).data, false);
    const left = await actors.owner.client.from('saved_payment_methods').select('id');
    assert.deepEqual(left.data, [{ id: world.card.id }]);
  });
});

describe('the exception desk', () => {
  let waiting;
  before(async () => {
    const { order, payment } = await paidByCard(actors.owner.client, {
      items: [item(world.product, 1)],
    });
    const refund = await beginRefund(actors.admin.id, payment);
    const [{ id }] = await sql`
      select id from private.payment_exceptions where refund_id = ${refund.refund_id}`;
    waiting = { id, order, payment, refund };
  });
  const statusOf = async () =>
    (await service.from('refunds').select('status').eq('id', waiting.refund.refund_id)).data[0]
      .status;

  for (const actor of ['stranger', 'owner']) {
    test(`shows ${actor} nothing and takes nothing from them`, async () => {
      const { client } = actors[actor];
      const language = actor === 'owner' ? 'fr' : 'en';
      const [desk, trail, resolved] = [
        await client.rpc('exceptions'),
        await client.rpc('payment_trail', { order_id: waiting.order.id }),
        await client.rpc('resolve_exception', {
          id: waiting.id,
          action: 'mark_refunded',
          note: 'Transferred by hand',
        }),
      ];
      for (const answer of [desk, trail, resolved]) {
        await assertRefused(answer, 'admin_required', { language });
      }
      assert.equal(await statusOf(), 'pending');
    });
  }

  test('tells nobody but an admin whether an order is there', async () => {
    const order_id = crypto.randomUUID();
    const { client } = actors.stranger;
    await assertRefused(await client.rpc('payment_trail', { order_id }), 'admin_required');
    const admins = await actors.admin.client.rpc('payment_trail', { order_id });
    await assertRefused(admins, 'order_not_found', { details: order_id });
  });

  test('shows an admin what waits, page by page', async () => {
    const { client } = actors.admin;
    const found = [];
    for (let cursor = null; ;) {
      const { data, error } = await client.rpc('exceptions', { cursor, page_size: 2 });
      assert.equal(error, null);
      found.push(...data);
      if (data.length < 2) break;
      cursor = data.at(-1).cursor;
    }
    assert.equal(new Set(found.map(({ id }) => id)).size, found.length, 'each once');
    const mine = found.find(({ id }) => id === waiting.id);
    assert.deepEqual(
      {
        kind: mine.kind,
        status: mine.status,
        order_number: mine.order_number,
        refund_id: mine.refund_id,
        amount: mine.amount,
        currency: mine.currency,
        gateway: mine.gateway,
        actions: mine.actions,
      },
      {
        kind: 'manual_refund',
        status: 'open',
        order_number: waiting.order.order_number,
        refund_id: waiting.refund.refund_id,
        amount: 199,
        currency: 'ZAR',
        gateway: 'paygate',
        actions: ['mark_refunded', 'dismiss'],
      },
    );
  });

  test('refuses an admin what is not to be done', async () => {
    const { client } = actors.admin;
    const act = (change) =>
      client.rpc('resolve_exception', {
        id: waiting.id, action: 'mark_refunded', note: 'Transferred', ...change,
      });
    const unknown = crypto.randomUUID();
    await assertRefused(await act({ id: unknown }), 'exception_not_found', { details: unknown });
    await assertRefused(await act({ action: 'accept' }), 'exception_action_refused', {
      details: 'accept',
    });
    await assertRefused(await act({ note: null }), 'exception_note_required', {
      details: 'mark_refunded',
    });
    await assertRefused(await act({ note: 'a\nb' }), 'reason_invalid', { details: 'a\nb' });
    const card = await act({ note: 'to 4111 1111 1111 1111' });
    await assertRefused(card, 'card_number_refused');
    assert.ok(!JSON.stringify(card).includes('1111 1111'));
    await assertRefused(await client.rpc('exceptions', { status: 'mine' }), 'input_invalid', {
      details: 'status',
    });
    await assertRefused(await client.rpc('exceptions', { page_size: 101 }), 'input_invalid', {
      details: 'page_size',
    });
    await assertRefused(await client.rpc('exceptions', { cursor: 'mine' }), 'cursor_invalid');
    assert.equal(await statusOf(), 'pending');
  });

  test('an admin resolves a row, once, and the trail says who', async () => {
    const { client } = actors.admin;
    const act = (action) =>
      client.rpc('resolve_exception', { id: waiting.id, action, note: 'Transferred by hand' });
    const { data, error } = await act('mark_refunded');
    assert.equal(error, null);
    assert.deepEqual(
      [data.status, data.resolution, data.resolved_by, data.note, data.actions],
      ['resolved', 'mark_refunded', actors.admin.id, 'Transferred by hand', []],
    );
    assert.equal(await statusOf(), 'refunded');
    assert.equal((await act('mark_refunded')).data.resolved_at, data.resolved_at);
    await assertRefused(await act('dismiss'), 'exception_resolved', { details: 'mark_refunded' });

    const trail = await client.rpc('payment_trail', { order_id: waiting.order.id });
    assert.equal(trail.error, null);
    const resolved = trail.data.filter(({ kind }) => kind === 'payment_exception_resolved');
    assert.deepEqual(
      resolved.map(({ actor_type, actor_id, payment_id, refund_id }) => ({
        actor_type, actor_id, payment_id, refund_id,
      })),
      [{
        actor_type: 'admin',
        actor_id: actors.admin.id,
        payment_id: waiting.payment.payment_id,
        refund_id: waiting.refund.refund_id,
      }],
    );
    const owners = await actors.owner.client
      .from('refunds')
      .select('status, reason')
      .eq('id', waiting.refund.refund_id);
    assert.deepEqual(owners.data, [{ status: 'refunded', reason: 'Scratched' }]);
  });
});

describe('the other schemas', () => {
  const keys = { anon: null, stranger: null, service: null };
  before(() => {
    keys.anon = actors.anon.client;
    keys.stranger = actors.stranger.client;
    keys.service = service;
  });

  const READS = {
    private: ['outbox', 'webhook_events', 'idempotency_keys', 'error_codes', 'payment_exceptions',
      'payment_gateways', 'payment_tokens', 'payment_events', 'saved_payment_method_tokens',
      'ledger_transactions', 'ledger_entries', 'gateway_statement_lines'],
    service: ['anything'],
    auth: ['users', 'refresh_tokens'],
    storage: ['objects'],
    pg_catalog: ['pg_authid'],
    information_schema: ['tables'],
  };
  const CALLS = {
    private: ['is_admin', 'place_order', 'take_rate_limit', 'resolve_exception',
      'holds_card_number', 'save_payment_method'],
    service: ['apply_payment_result', 'claim_outbox', 'record_webhook_events', 'webhook_secrets',
      'begin_refund', 'apply_refund_result', 'import_statement', 'check_invariants'],
    pg_catalog: ['pg_read_file', 'set_config', 'pg_sleep'],
    extensions: ['gen_random_bytes'],
  };
  for (const who of Object.keys(keys)) {
    for (const [schema, tables] of Object.entries(READS)) {
      test(`${schema} is not there to read for the ${who} key`, async () => {
        for (const table of tables) {
          const answer = await keys[who].schema(schema).from(table).select('*');
          assertRejected(answer, 'PGRST106', 406);
          const write = await keys[who].schema(schema).from(table).insert({ id: 1 });
          assertRejected(write, 'PGRST106', 406);
        }
      });
    }
    for (const [schema, functions] of Object.entries(CALLS)) {
      test(`${schema} is not there to call for the ${who} key`, async () => {
        for (const name of functions) {
          const answer = await keys[who].schema(schema).rpc(name, {});
          assertRejected(answer, 'PGRST106', 406);
        }
      });
    }

    test(`what is no RPC of public is not there to call for the ${who} key`, async () => {
      const attempts = {
        apply_payment_result: { payment_id: world.payment.payment_id, status: 'paid' },
        begin_payment: { actor_id: actors.owner.id, order_id: world.pending.id },
        claim_outbox: { batch: 100, lease_seconds: 60 },
        begin_refund: { actor_id: actors.admin.id, payment_id: world.payment.payment_id },
        apply_refund_result: { refund_id: world.refund.refund_id, status: 'refunded' },
        create_refund: { payment: {}, amount: 1 },
        save_payment_method: { user_id: actors.owner.id, gateway: 'paygate', saved: {} },
        import_statement: { actor_id: actors.admin.id, gateway: 'kora', lines: [] },
        settle_order: { payment: {} },
        fail: { code: 'not_found' },
        fn_after_affiliate_stat_insert: {},
        update_updated_at_column: {},
      };
      for (const [name, args] of Object.entries(attempts)) {
        assertRejected(await keys[who].rpc(name, args), 'PGRST202', 404);
      }
    });
  }

  test('the service key writes goods and admins, but no order, payment or count', async () => {
    for (const table of ['orders', 'order_items', 'order_events', 'payments', 'promo_codes',
      'affiliates', 'affiliate_stats', 'affiliate_payouts', 'carts', 'cart_items', 'refunds',
      'refund_items', 'saved_payment_methods', 'product_ratings', 'product_reviews',
      'product_views', 'wishlist_items']) {
      const untouched = await truth(table);
      const [change] = Object.values(TABLES[table].attempts);
      const answer = await service.from(table).update(meant(change)).match(rows[table].key);
      assertRejected(answer, FORBIDDEN, 403);
      assertRejected(await service.from(table).delete().match(rows[table].key), FORBIDDEN, 403);
      assert.deepEqual(await truth(table), untouched);
    }
  });
});

describe('forged tokens', () => {
  const FORGERIES = {
    'signed with another secret': () =>
      mintToken({ sub: actors.owner.id }, { secret: 'x'.repeat(40) }),
    'with the algorithm none': () => mintToken({ sub: actors.owner.id }, { secret: null }),
    'with the algorithm none as the service': () =>
      mintToken({ role: 'service_role' }, { secret: null }),
    'with a signature taken off': () =>
      `${actors.owner.session.access_token.split('.').slice(0, 2).join('.')}.`,
    'with another person written into it': () => {
      const [head, , signature] = actors.stranger.session.access_token.split('.');
      const [, claims] = mintToken({ sub: actors.owner.id }).split('.');
      return `${head}.${claims}.${signature}`;
    },
    'that names the service role, signed with the anon key': () =>
      mintToken({ role: 'service_role' }, { secret: env.SUPABASE_ANON_KEY }),
  };
  for (const [what, forge] of Object.entries(FORGERIES)) {
    test(`a token ${what} opens nothing`, async () => {
      const untouched = await truth('orders');
      const client = tokenClient(forge());
      assertRejected(await client.from('orders').select(), 'PGRST301', 401);
      const cancel = await client.rpc('cancel_order', { order_id: world.pending.id });
      assertRejected(cancel, 'PGRST301', 401);
      assert.deepEqual(await truth('orders'), untouched);
    });
  }

  test('a real token of a person who is gone is nobody', async () => {
    const client = tokenClient(mintToken({ sub: crypto.randomUUID() }));
    assert.deepEqual((await client.from('users').select()).data, []);
    const answer = await client.rpc('quote_cart', { country: 'CM' });
    await assertRefused(answer, 'authentication_required');
  });
});

describe('a table and a function made without a word about rights', () => {
  const name = `forgotten_${unique()}`;

  before(async () => {
    await migrationSql.unsafe(`
      create table public.${name} (id integer);
      insert into public.${name} values (1);
      create function public.${name}_call() returns integer language sql as 'select 1';
      notify pgrst, 'reload schema';`);
    await eventually(
      async () => (await actors.anon.client.rpc(`${name}_call`)).status !== 404,
      'PostgREST knows the new table and function',
    );
  });
  after(() =>
    migrationSql.unsafe(`
      drop function public.${name}_call();
      drop table public.${name};
      notify pgrst, 'reload schema';`),
  );

  for (const who of ['anon', 'stranger', 'service']) {
    test(`are closed to the ${who} key`, async () => {
      const client = who === 'service' ? service : actors[who].client;
      const status = who === 'anon' ? 401 : 403;
      assertRejected(await client.from(name).select(), FORBIDDEN, status);
      assertRejected(await client.from(name).insert({ id: 2 }), FORBIDDEN, status);
      assertRejected(await client.from(name).update({ id: 2 }).eq('id', 1), FORBIDDEN, status);
      assertRejected(await client.from(name).delete().eq('id', 1), FORBIDDEN, status);
      assertRejected(await client.rpc(`${name}_call`), FORBIDDEN, status);
      const left = await migrationSql.unsafe(`select id from public.${name}`);
      assert.deepEqual(left.map(({ id }) => id), [1]);
    });
  }
});
