/** Goods, codes and orders of a test's own: no test reads a row that it did not make. */

import assert from 'node:assert/strict';

import { sql } from './database.mjs';
import { inventedWord, serviceClient, unique } from './stack.mjs';

const service = serviceClient();

/** A complete address in Douala, without a postcode. */
export const DOUALA = Object.freeze({
  recipient_name: 'Ama Shopper',
  phone: '+237670000009',
  country: 'CM',
  city: 'Douala',
  district: 'Akwa',
  landmark: 'Pharmacie du Rond-Point',
});

/** A complete address in Soweto. */
export const SOWETO = Object.freeze({
  recipient_name: 'Thandi Shopper',
  phone: '+27820000009',
  country: 'ZA',
  city: 'Soweto',
  line1: '12 Vilakazi Street',
});

async function inserted(table, row) {
  const { data, error } = await service.from(table).insert(row).select().single();
  assert.equal(error, null, `preparing ${table}: ${error?.message}`);
  return data;
}

/** A category of its own. */
export async function makeCategory({ parent_id = null } = {}) {
  const word = inventedWord();
  return inserted('categories', {
    parent_id,
    slug: `${word}-${unique(3)}`,
    name: `Shelf ${word}`,
    name_fr: `Rayon ${word}`,
  });
}

let shelf;

/**
 * A product on sale with prices and stock; `prices` maps country to amount, `stock` null leaves the
 * stock row out. Answers the product's row with its channel.
 */
export async function makeProduct({
  channel = 'retail',
  prices = { ZA: 100, CM: 5000 },
  stock = 20,
  category,
  ...columns
} = {}) {
  shelf ??= makeCategory();
  const is_retail = channel === 'retail';
  const word = inventedWord();
  const product = await inserted(is_retail ? 'products' : 'products_retailer', {
    category_id: (category ?? (await shelf)).id,
    name: `Kettle ${word}`,
    name_fr: `Bouilloire ${word}`,
    price_mallgram: 10,
    ...columns,
  });
  const pointer = is_retail ? { product_id: product.id } : { retailer_product_id: product.id };
  for (const [country, amount] of Object.entries(prices)) {
    const currency = { ZA: 'ZAR', CM: 'XAF' }[country];
    await inserted('product_prices', { ...pointer, country, currency, amount });
  }
  if (stock !== null) await inserted('product_stock', { ...pointer, on_hand: stock });
  return { ...product, channel };
}

/** One line of an order or cart. */
export function item(product, quantity = 1) {
  return { product_id: product.id, channel: product.channel, quantity };
}

/** {on_hand, reserved, available} of a product, as it is. */
export async function stockOf(product) {
  const { data, error } = await service
    .from('product_stock')
    .select('on_hand, reserved, available')
    .eq('listing_id', product.id)
    .single();
  assert.equal(error, null);
  return data;
}

/** A promo code; `affiliate` null makes it an admin's. Without more it gives 10 percent. */
export async function makePromoCode({ affiliate = null, admin = null, ...columns } = {}) {
  const has_discount = 'discount_amount' in columns || 'discount_percent' in columns;
  const [code] = await sql`
    insert into public.promo_codes ${sql({
      code: `T${unique(5).toUpperCase()}`,
      affiliate_id: affiliate?.id ?? null,
      admin_id: affiliate ? null : (admin ?? (await anAdmin())).id,
      ...(!has_discount && { discount_percent: 10 }),
      ...columns,
    })}
    returning *`;
  return code;
}

/** An approved affiliate. */
export async function makeAffiliate(user_id, columns = {}) {
  const [affiliate] = await sql`
    insert into public.affiliates ${sql({ user_id, status: 'approved', ...columns })} returning *`;
  return affiliate;
}

/** Makes somebody an admin. */
export async function makeAdmin(user_id) {
  return inserted('admins', { user_id });
}

let keeper;

/** The admin who owns the codes that have no affiliate: a row, nobody who signs in. */
async function anAdmin() {
  keeper ??= (async () => {
    const [user] = await sql`
      insert into public.users (id, full_name) values (gen_random_uuid(), 'Keeper') returning id`;
    return makeAdmin(user.id);
  })();
  return keeper;
}

/** Calls place_order for somebody with what was not given filled in; answers the response. */
export async function placeOrder(client, options = {}) {
  const country = options.country ?? 'CM';
  return client.rpc('place_order', {
    idempotency_key: `key-${unique()}`,
    country,
    address: country === 'CM' ? DOUALA : SOWETO,
    ...options,
  });
}

/** An order that is placed; fails the test when it is refused. */
export async function placedOrder(client, options) {
  const { data, error } = await placeOrder(client, options);
  assert.equal(error, null, `placing: ${error?.message} ${error?.details}`);
  return data;
}

/** Opens an attempt to pay an order, as the edge does before it asks a gateway. */
export async function beginPayment(order, { method = 'kora_checkout', gateway = 'kora' } = {}) {
  const [{ payment }] = await sql`
    select service.begin_payment(
      ${order.user_id}, ${order.id}, ${method}, null, array[${gateway}], '{}'
    ) as payment`;
  return payment;
}

/** Pays, ships and delivers an order, as the worker and the carrier do. */
export async function deliver(order) {
  await applyPaid(await beginPayment(order));
  await sql`update public.orders set status = 'shipped', shipped_at = now() where id = ${order.id}`;
  await sql`
    update public.orders set status = 'delivered', delivered_at = now() where id = ${order.id}`;
}

/** A variant of a product; its options are name and value of each. */
export async function makeVariant(product, { options = { Size: '42' }, ...columns } = {}) {
  return inserted('product_variants', {
    [product.channel === 'retail' ? 'product_id' : 'retailer_product_id']: product.id,
    external_id: unique(),
    options: Object.entries(options).map(([name, value]) => ({ name, value })),
    ...columns,
  });
}

/** An order that is paid by card through PayGate, whose refunds wait for a person's hands. */
export async function paidByCard(client, options) {
  const order = await placedOrder(client, { country: 'ZA', ...options });
  const payment = await beginPayment(order, { method: 'card', gateway: 'paygate' });
  await applyPaid(payment);
  return { order, payment };
}

/** Asks for a refund as the edge does for an admin: of pieces of lines, or of all that is left. */
export async function beginRefund(admin_id, payment, items = null) {
  const [{ refund }] = await sql`
    select service.begin_refund(
      ${admin_id}, ${payment.payment_id}, null, ${items && sql.json(items)}, 'Scratched',
      ${`key-${unique()}`}
    ) as refund`;
  return refund;
}

/** Keeps a card for somebody as the worker does once a gateway says that it keeps it. */
export async function keepCard(user_id, label = 'Visa …0015') {
  const saved = { token: unique(12), label, expires_on: '2030-12-31' };
  const [{ id }] = await sql`
    select private.save_payment_method(${user_id}, 'paygate', 'card', ${sql.json(saved)}) as id`;
  return { id, ...saved };
}

/** Applies the gateway's answer "paid" to an attempt, as the worker does. */
export async function applyPaid(payment) {
  await sql`
    select service.apply_payment_result(
      ${payment.payment_id}, 'paid', ${payment.amount}, ${payment.currency}, null, null, null,
      'poll', null
    )`;
}

let catalogue;

/** Whether a response refuses with this code of the catalogue, its status and its text. */
export async function assertRefused(response, code, { language = 'en', details } = {}) {
  catalogue ??= sql`select code, status, message_en, message_fr from private.error_codes`;
  const entry = (await catalogue).find((row) => row.code === code);
  assert.ok(entry, `${code} is in the catalogue`);
  assert.ok(response.error, `refused with ${code}, not answered ${JSON.stringify(response.data)}`);
  const { error, status } = response;
  assert.deepEqual(
    { status, code: error.code, hint: error.hint, message: error.message },
    {
      status: entry.status,
      code: `PT${entry.status}`,
      hint: code,
      message: language === 'fr' ? entry.message_fr : entry.message_en,
    },
    `details: ${error.details}`,
  );
  if (details !== undefined) assert.equal(error.details, details);
}

/** Whether a response is refused by Postgres or PostgREST itself with this code and status. */
export function assertRejected(response, code, status) {
  assert.ok(response.error, `rejected with ${code}, not answered ${JSON.stringify(response.data)}`);
  assert.deepEqual(
    { code: response.error.code, status: response.status },
    { code, status },
    response.error.message,
  );
}
