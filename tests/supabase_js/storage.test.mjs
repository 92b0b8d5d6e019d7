/** Pictures of goods: anyone looks at them, only the service key puts them there. */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { anonClient, serviceClient, signUpConfirmed, unique } from './stack.mjs';

const BUCKET = 'products';
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk' +
    'Jggg==',
  'base64',
);
const OTHER = Buffer.concat([PNG, Buffer.from('other')]);

const service = serviceClient();
const path = `tests/${unique()}.png`;
const people = {};

async function publicPicture(name = path) {
  const { data } = people.anon.storage.from(BUCKET).getPublicUrl(name);
  return fetch(data.publicUrl);
}

before(async () => {
  people.anon = anonClient();
  people['a shopper'] = (await signUpConfirmed()).client;
  const made = await service.storage.createBucket(BUCKET, { public: true });
  if (made.error) assert.match(made.error.message, /exist/i);
  const { error } = await service.storage
    .from(BUCKET)
    .upload(path, PNG, { contentType: 'image/png' });
  assert.equal(error, null, error?.message);
});

describe('pictures', () => {
  test('of goods are public', async () => {
    const response = await publicPicture();
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^image\/png/);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), PNG);
  });

  test('that are not there are not found', async () => {
    const response = await publicPicture(`tests/${unique()}.png`);
    assert.ok([400, 404].includes(response.status), String(response.status));
  });

  test('are reached by no path out of the bucket', async () => {
    for (const name of ['../../../etc/passwd', '..%2f..%2f..%2fetc%2fpasswd', '%2e%2e/config']) {
      const { data } = people.anon.storage.from(BUCKET).getPublicUrl('x');
      const response = await fetch(data.publicUrl.replace(/x$/, name));
      assert.ok(response.status >= 400 && response.status < 500, `${name}: ${response.status}`);
    }
  });

  for (const who of ['anon', 'a shopper']) {
    const objects = () => people[who].storage.from(BUCKET);

    test(`are not uploaded by ${who}`, async () => {
      const name = `tests/${unique()}.png`;
      const { data, error } = await objects().upload(name, PNG, { contentType: 'image/png' });
      assert.equal(data, null);
      assert.equal(error.statusCode, '403');
      assert.notEqual((await publicPicture(name)).status, 200);
    });

    test(`are not overwritten, moved or deleted by ${who}`, async () => {
      const upsert = { contentType: 'image/png', upsert: true };
      assert.ok((await objects().upload(path, OTHER, upsert)).error);
      assert.ok((await objects().update(path, OTHER, { contentType: 'image/png' })).error);
      assert.ok((await objects().move(path, `tests/${unique()}.png`)).error);
      assert.ok((await objects().copy(path, `tests/${unique()}.png`)).error);
      const removed = await objects().remove([path]);
      assert.deepEqual(removed.data ?? [], []);
      const response = await publicPicture();
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), PNG);
    });

    test(`get no upload address for ${who}`, async () => {
      const { data, error } = await objects().createSignedUploadUrl(`tests/${unique()}.png`);
      assert.equal(data, null);
      assert.equal(error.statusCode, '403');
    });

    test(`are in no bucket that ${who} made, emptied or opened`, async () => {
      const { storage } = people[who];
      const mine = `mine-${unique()}`;
      const empty = `empty-${unique()}`;
      assert.equal((await service.storage.createBucket(empty)).error, null);
      assert.equal((await storage.createBucket(mine)).error.statusCode, '403');
      assert.ok((await storage.emptyBucket(BUCKET)).error);
      assert.ok((await storage.deleteBucket(BUCKET)).error);
      assert.ok((await storage.updateBucket(BUCKET, { public: false })).error);
      await storage.deleteBucket(empty);
      const { data: buckets } = await service.storage.listBuckets();
      const names = buckets.map(({ name }) => name);
      assert.ok(names.includes(empty) && names.includes(BUCKET) && !names.includes(mine));
      assert.equal((await publicPicture()).status, 200);
      await service.storage.deleteBucket(empty);
    });
  }
});
