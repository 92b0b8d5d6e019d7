/**
 * The journey from a supplier's goods to a review of one of them, against the running stack and its
 * seed:
 *
 *     ./scripts/run --journey discovery
 *
 * An admin fills the shop from Alibaba. Somebody in Yaoundé searches in French and with a typo,
 * looks at a product and wishes for it just when another has bought the last ones; is told when
 * they are there again, orders a size of it and a wholesale lot at the prices that were shown, and
 * says after delivery how it was. What only a carrier can say, that a parcel has come, is written
 * into the database. May be played again and again.
 */

import { sql } from '../supabase_js/database.mjs';
import { codeIn, env, freshEmail, mailTo, unique } from '../supabase_js/stack.mjs';
import {
  answered, client, edge, expect, expectThat, francs, lastExchange, oneSpace, play, refused,
  sandbox, short, signIn, step, watched, wire,
} from './steps.mjs';

const SYNC_PATIENCE_MS = 300_000;
const PATIENCE_MS = 120_000;
const JOURNEY_LIMIT_S = 420;

const PLATFORM = 'alibaba';
const READER = { country: 'CM', language: 'fr' };
// Other suites leave goods of their own in other categories.
const SHOES = { channel: 'retail', category: 'shoes' };
/** So few free pieces that one order can take them all. */
const FEW = 40;
const ADDRESS = {
  recipient_name: 'Awa Ndiaye',
  phone: '+237670000011',
  country: 'CM',
  city: 'Yaoundé',
  district: 'Bastos',
  landmark: 'Derrière la boulangerie du carrefour',
};

const guest = client();
const get = (person, name, args) => person.rpc(name, args, { get: true });

/** What a search answers as a frontend sends it: by GET, so that caches may hold it. */
async function search(args, person = guest) {
  const rows = await get(person, 'search_products', { ...READER, ...args });
  return answered(`search for ${args.query ?? args.category}`, rows);
}

const page = async (product_id, person = guest) =>
  answered('product_page', await get(person, 'product_page', { product_id, ...READER }));

const explained = async (person, line) =>
  answered('explain_price', await get(person, 'explain_price', { ...line, country: 'CM' }));

/** Lines that take every piece of a product that is free; null when variants do not add up. */
function allOf({ product_id, channel, available, variants }) {
  let left = available;
  const lines = [];
  for (const { variant_id, available: free } of variants) {
    const quantity = Math.min(free, left);
    if (quantity > 0) lines.push({ product_id, channel, variant_id, quantity });
    left -= quantity;
  }
  return left === 0 ? lines : null;
}

/** The first product of a search that has sizes, and so few pieces that one order takes them. */
async function scarce(rows) {
  const few = answered(
    'stock',
    await guest
      .from('product_stock')
      .select('listing_id')
      .in('listing_id', rows.map(({ product_id }) => product_id))
      .gte('available', 3)
      .lte('available', FEW),
  );
  for (const { listing_id } of few) {
    const shown = await page(listing_id);
    const lines = allOf(shown);
    if (shown.variants.length > 1 && lines) return { shown, lines };
  }
  return null;
}

/** Rejections of a run, the most frequent reason first: `category_unmapped 85`. */
const reasonsOf = ({ rejected = {} }) =>
  Object.entries(rejected).sort(([, one], [, other]) => other - one);

async function journey() {
  const admin = await signIn(env.DEMO_ADMIN_EMAIL, 'en');
  const rival = await signIn(env.DEMO_SHOPPER_EMAIL);
  const shopper = { client: client(), email: freshEmail('finder'), password: `pass-${unique()}` };

  const { run } = await step('An admin fills the shop', async () => {
    const asked = answered(
      'request_sync', await admin.client.rpc('request_sync', { platform: PLATFORM }),
    );
    const again = answered(
      'request_sync', await admin.client.rpc('request_sync', { platform: PLATFORM }),
    );
    expect('the same run when asked for twice', again.id, asked.id);
    const ended = await watched(async () => {
      const runs = answered(
        'sync_runs', await admin.client.rpc('sync_runs', { platform: PLATFORM }),
      );
      return runs.find(({ id }) => id === asked.id);
    }, 'the sync has ended', {
      isDone: ({ status }) => !['collecting', 'applying'].includes(status),
      standing: ({ status, counts }) =>
        `${status}, ${counts.fetched ?? 0} of ${counts.found ?? 0} goods read`,
      patience: SYNC_PATIENCE_MS,
    });
    expect('how it ended', [ended.status, ended.failure], ['done', null]);
    const { found, accepted, new: added, changed } = ended.counts;
    const left = reasonsOf(ended.counts).reduce((sum, [, goods]) => sum + goods, 0);
    expect('goods taken and left out', accepted + left, found);
    return {
      evidence: `${PLATFORM}: ${found} goods found, ${accepted} taken (${added} new, ` +
        `${changed} changed), ${left} left out`,
      run: ended,
    };
  });

  await step('Every good left out has its reason', async () => {
    const reasons = reasonsOf(run.counts);
    for (const [reason, goods] of reasons) {
      const rows = answered(
        'sync_rejections',
        await admin.client.rpc('sync_rejections', { run_id: run.id, reason, page_size: 100 }),
      );
      expect(`goods left out for ${reason}`, rows.length, Math.min(goods, 100));
    }
    const waiting = answered(
      'supplier_categories',
      await admin.client.rpc('supplier_categories', { platform: PLATFORM }),
    );
    const names = waiting.map(({ name }) => name).join(', ') || 'none';
    return {
      evidence: `${reasons.map(([reason, goods]) => `${reason} ${goods}`).join(', ')}; ` +
        `categories to be mapped: ${names}`,
    };
  });

  const { lot } = await step('Its goods are priced and listed', async () => {
    const good = await watched(async () => {
      const rows = await search({
        query: 'batteries externes', channel: 'wholesale', in_stock: true, sort: 'newest',
      });
      for (const row of rows) {
        const { product_id, channel, min_order_quantity: quantity } = row;
        const line = { product_id, channel, quantity };
        const why = await explained(admin.client, line);
        if (why.calculation && !why.problem) return { ...row, line, why };
      }
      return null;
    }, 'a good of the supplier is found', {
      isDone: Boolean,
      standing: () => 'the search has not read the new goods yet',
      patience: PATIENCE_MS,
    });
    const { why, price } = good;
    expect('listed as explained', [why.unit_price, why.currency], [price, 'XAF']);
    expectThat('its floor', why.floor > 0 && why.floor <= price, `at most ${price}`, why.floor);
    const shopperSees = await explained(guest, good.line);
    expect('what guests see of costs', [shopperSees.floor, shopperSees.calculation],
      [undefined, undefined]);
    return {
      evidence: `"${good.name}": cost US$${why.calculation.cost}, floor ${francs(why.floor)}, ` +
        `listed at ${francs(price)}; guests see the price alone`,
      lot: good,
    };
  });

  const { shoes } = await step('Search in French and in English', async () => {
    const french = await search({ query: 'chaussures', page_size: 100, ...SHOES });
    const evidence = lastExchange();
    const english = await search({
      query: 'shoes', language: 'en', page_size: 100, ...SHOES,
    });
    const ids = new Set(french.map(({ product_id }) => product_id));
    const both = english.filter(({ product_id }) => ids.has(product_id)).length;
    expectThat('found by both words', both * 2 > english.length, 'most of them', both);
    return {
      evidence: `${evidence}: "chaussures" ${french.length} ("${french[0].name}"), ` +
        `"shoes" ${english.length} ("${english[0].name}"), ${both} by both`,
      shoes: french,
    };
  });

  await step('A typo is mended', async () => {
    const [hit] = await search({ query: 'chausures', ...SHOES });
    expect('the same first', hit?.product_id, shoes[0].product_id);
    return { evidence: `"chausures" finds "${hit.name}"` };
  });

  await step('Facets and suggestions', async () => {
    const args = { query: 'chaussures', channel: 'retail', ...READER };
    const facets = answered('product_facets', await get(guest, 'product_facets', args));
    const [shelf] = facets.categories;
    expectThat('at least what a page shows', facets.total >= shoes.length, shoes.length,
      facets.total);
    expect('the first category', [shelf.category, shelf.name], ['shoes', 'Chaussures']);
    const [, dear] = facets.price.quartiles;
    const cheap = { ...args, max_price: dear };
    const fewer = answered('product_facets', await get(guest, 'product_facets', cheap));
    expectThat('fewer below the median', fewer.total < facets.total && fewer.total > 0,
      `1 to ${facets.total - 1}`, fewer.total);
    const rows = answered(
      'suggest_products', await get(guest, 'suggest_products', { prefix: 'chau', language: 'fr' }),
    );
    expectThat('the completed word', /^chaussures?$/.test(rows[0].suggestion), 'chaussures',
      rows[0].suggestion);
    const [word, product] = rows.map(({ suggestion }) => suggestion);
    return {
      evidence: `${facets.total} goods, ${shelf.name} ${shelf.count}, up to ${francs(dear)} ` +
        `${fewer.total}; "chau" → ${word}, ${product}`,
    };
  });

  await step('What nobody finds is learnt', async () => {
    const query = `introuvable${unique(2)}`;
    expect('hits', await search({ query }), []);
    const noted = await guest.rpc('record_search', { query, language: 'fr', results: 0 });
    answered('record_search', noted);
    const [row] = await sql`
      select count(*)::integer as searches from private.searches
      where query = ${query} and results = 0`;
    expect('rows for the report', row.searches, 1);
    return { evidence: `"${query}": no hit, in the report searches_without_result` };
  });

  await step('Sign up', async () => {
    const { email, password } = shopper;
    answered(
      'sign-up',
      await shopper.client.auth.signUp({
        email, password, options: { data: { full_name: 'Awa Ndiaye', ...READER } },
      }),
    );
    const token = codeIn(await mailTo(email, /confirmez votre e-mail/));
    const { session } = answered(
      'confirmation', await shopper.client.auth.verifyOtp({ email, token, type: 'signup' }),
    );
    shopper.session = session;
    return { evidence: `${email}, reads French, buys in Cameroon` };
  });

  const { wanted, last } = await step('A product page in one call', async () => {
    const pick = await scarce(shoes) ?? await scarce(await search({
      category: 'fashion', channel: 'retail', in_stock: true, page_size: 100,
    }));
    expectThat('a product with sizes and few pieces', pick, 'one', pick);
    const { shown, lines } = pick;
    const url = new URL(`${env.SUPABASE_URL}/rest/v1/rpc/product_page`);
    url.search = new URLSearchParams({ product_id: shown.product_id, ...READER });
    const headers = { apikey: env.SUPABASE_ANON_KEY };
    // Pictures that are still copied, and each minute, make the page another one.
    const again = await watched(async () => {
      const first = await wire(url, { headers });
      await first.body?.cancel();
      const etag = first.headers.get('etag');
      const second = await wire(url, { headers: { ...headers, 'If-None-Match': etag } });
      await second.body?.cancel();
      return { asked: etag, status: second.status, etag: second.headers.get('etag') };
    }, 'the page stays as it is', {
      isDone: ({ status, asked, etag }) => status === 304 && asked === etag,
      standing: ({ status, etag }) => `HTTP ${status} ${etag}`,
      patience: PATIENCE_MS,
    });
    expect('asked for again', again.status, 304);
    const sizes = shown.options.map(({ name, values }) => `${name} ${values.join('/')}`).join('; ');
    return {
      evidence: `"${shown.name}", ${francs(shown.price)}, ${sizes}, ${shown.available} pieces, ` +
        `again: HTTP 304`,
      wanted: shown,
      last: lines,
    };
  });

  const { sold } = await step('Another buys the last ones', async () => {
    const order = answered(
      'place_order',
      await rival.client.rpc('place_order', {
        idempotency_key: `journey-${unique()}`, country: 'CM', address: ADDRESS, items: last,
      }),
    );
    const shown = await page(wanted.product_id, shopper.client);
    expect('pieces left', [shown.available, shown.in_stock], [0, false]);
    const line = { ...last[0], quantity: 1 };
    const items = { items: [line], country: 'CM', address: ADDRESS };
    const code = refused('an order of what is gone', await shopper.client.rpc('place_order', {
      idempotency_key: `journey-${unique()}`, ...items,
    }));
    expect('the refusal', code, 'stock_insufficient');
    return {
      evidence: `${order.order_number} holds ${wanted.available}; sold out, ${code} for the next`,
      sold: order,
    };
  });

  await step('Wish for it', async () => {
    const { product_id, channel } = wanted;
    answered(
      'add_to_wishlist', await shopper.client.rpc('add_to_wishlist', { product_id, channel }),
    );
    const list = answered('wishlist', await get(shopper.client, 'wishlist'));
    expect('the list', list.map((wish) => [wish.product_id, wish.in_stock]),
      [[product_id, false]]);
    return { evidence: `${lastExchange()}: "${list[0].name}", not in stock` };
  });

  await step('Told once when it is there again', async () => {
    answered(
      'cancel_order',
      await rival.client.rpc('cancel_order', { order_id: sold.id, reason: 'Trop de chaussures' }),
    );
    const mail = await mailTo(shopper.email, /^De nouveau disponible/);
    expectThat('the name in it', mail.text.includes(wanted.name), wanted.name, mail.text);
    const messages = answered(
      'notifications',
      await shopper.client.from('notifications').select('data').eq('kind', 'back_in_stock'),
    );
    expect('messages', messages.map(({ data }) => data.product_id), [wanted.product_id]);
    return { evidence: `"${oneSpace(mail.subject)}" to ${mail.to}, and a message in the shop` };
  });

  const { lines, quote } = await step('The price shown is the price asked', async () => {
    const shown = await page(wanted.product_id, shopper.client);
    const variant = shown.variants.find(({ in_stock }) => in_stock);
    const wholesale = await page(lot.product_id, shopper.client);
    // The smallest quantity that a break holds for; without breaks the smallest order.
    const broken = wholesale.price_breaks[1] ?? wholesale.price_breaks[0];
    const chosen = [
      { product_id: shown.product_id, channel: shown.channel, variant_id: variant.variant_id,
        quantity: 1, price: variant.price },
      { product_id: lot.product_id, channel: lot.channel, quantity: broken.min_quantity,
        price: broken.unit_price },
    ];
    for (const { price: _, ...item } of chosen) {
      answered('add_to_cart', await shopper.client.rpc('add_to_cart', item));
    }
    const answer = answered(
      'quote_cart', await shopper.client.rpc('quote_cart', { country: 'CM' }),
    );
    const quoted = answer.lines.map(({ product_id, unit_price, problem }) =>
      [product_id, unit_price, problem]);
    expect('prices of the quote', quoted.sort(),
      chosen.map(({ product_id, price }) => [product_id, price, null]).sort());
    const goods = chosen.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
    expect('total', answer.total, goods + answer.shipping);
    const said = chosen.map(({ quantity, price }) => `${quantity} × ${francs(price)}`).join(' + ');
    return {
      evidence: `${said} + livraison ${francs(answer.shipping)} = ${francs(answer.total)}`,
      lines: chosen,
      quote: answer,
    };
  });

  const { order } = await step('Order', async () => {
    const placed = answered(
      'place_order',
      await shopper.client.rpc('place_order', {
        idempotency_key: `journey-${unique()}`, country: 'CM', address: ADDRESS,
        expected_total: quote.total,
      }),
    );
    expect('the order', [placed.status, placed.total_price], ['pending', quote.total]);
    const items = answered(
      'lines',
      await shopper.client
        .from('order_items')
        .select('id, name_fr, quantity, unit_price, variant_id')
        .eq('order_id', placed.id)
        .order('line_number'),
    );
    expect('charged as shown',
      items.map(({ quantity, unit_price }) => [quantity, unit_price]).sort(),
      lines.map(({ quantity, price }) => [quantity, price]).sort());
    const names = items.map(({ name_fr, quantity }) => `${quantity} × "${name_fr}"`).join(', ');
    return {
      evidence: `${placed.order_number}, ${names}, ${francs(placed.total_price)}`,
      order: { ...placed, items },
    };
  });

  await step('Pay', async () => {
    const body = { order_id: order.id, method: 'kora_checkout' };
    await edge('POST', '/api/v1/payments/initialize', shopper.session, body);
    const [{ reference }] = answered(
      'payment', await shopper.client.from('payments').select('reference').eq('order_id', order.id),
    );
    await sandbox(`payments/kora/${reference}`, { outcome: 'paid' });
    const paid = await watched(async () => answered(
      'order',
      await shopper.client.from('orders').select('status, payment_status').eq('id', order.id)
        .single(),
    ), 'the order is paid', {
      isDone: ({ status }) => status === 'paid',
      standing: ({ status, payment_status }) => `order ${status}, payment ${payment_status}`,
      patience: PATIENCE_MS,
    });
    return { evidence: `${reference} at Kora: order ${paid.status}` };
  });

  const worn = order.items.find(({ variant_id }) => variant_id);
  const opinion = {
    order_item_id: worn.id, rating: 5, title: 'Très bien', body: 'La taille est juste.',
    language: 'fr',
  };
  await step('No review before delivery', async () => {
    const code = refused('a review', await shopper.client.rpc('write_review', opinion));
    expect('the refusal', code, 'review_not_delivered');
    await sql`
      update public.orders set status = 'shipped', shipped_at = now() where id = ${order.id}`;
    await sql`
      update public.orders set status = 'delivered', delivered_at = now() where id = ${order.id}`;
    return { evidence: `${code}; then ${order.order_number} is delivered` };
  });

  const before = await page(wanted.product_id, shopper.client);
  const { review } = await step('Review what was delivered', async () => {
    const written = answered('write_review', await shopper.client.rpc('write_review', opinion));
    expect('its status', written.status, 'pending');
    const shown = answered(
      'list_reviews',
      await get(shopper.client, 'list_reviews', { product_id: wanted.product_id }),
    );
    expectThat('not shown yet', shown.every(({ review_id }) => review_id !== written.review_id),
      'not in the list', shown);
    return { evidence: `5 stars for "${worn.name_fr}", pending`, review: written };
  });

  await step('An admin approves, all see it', async () => {
    const queue = answered('reviews', await admin.client.rpc('reviews', { page_size: 100 }));
    const seen = queue.find(({ review_id }) => review_id === review.review_id);
    expectThat('the queue', seen, 'the review', queue);
    answered(
      'moderate_review',
      await admin.client.rpc('moderate_review', {
        review_id: seen.review_id, decision: 'approved', seen_at: seen.updated_at,
      }),
    );
    const after = await page(wanted.product_id, shopper.client);
    expect('reviews', after.review_count, before.review_count + 1);
    const cached = await watched(
      async () => answered(
        'list_reviews', await get(guest, 'list_reviews', { product_id: wanted.product_id }),
      ), 'guests see it', {
        isDone: (rows) => rows.some(({ review_id }) => review_id === review.review_id),
        standing: () => 'an older page is still held by the gateway',
        patience: PATIENCE_MS,
      },
    );
    const { title, author_name } = cached.find(({ review_id }) => review_id === review.review_id);
    expect('what guests read', [title, author_name], [opinion.title, 'Awa']);
    return {
      evidence: `${before.review_count}→${after.review_count} reviews, ${after.rating} stars; ` +
        `guests read "${title}" by ${author_name}`,
    };
  });
}

await play("from a supplier's goods to a review", journey, {
  summary: 'every price as it was shown',
  limitSeconds: JOURNEY_LIMIT_S,
});
await sql.end();
