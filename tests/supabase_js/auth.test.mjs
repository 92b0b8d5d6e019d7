import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sql } from './database.mjs';
import {
  anonClient,
  codeIn,
  env,
  freshEmail,
  mailTo,
  mailsTo,
  serviceClient,
  signIn,
  signUp,
  signUpConfirmed,
} from './stack.mjs';

const CONFIRM = /confirm your e-mail/;
const SEVEN_DAYS = 604_800;

async function mirrorOf(id) {
  const { data, error } = await serviceClient().from('users').select('*').eq('id', id).single();
  assert.equal(error, null);
  return data;
}

/** What a client can tell from a refusal. */
function shown({ error }) {
  return { code: error.code, status: error.status, message: error.message };
}

describe('sign-up', () => {
  test('answers no session and mails a code in both languages', async () => {
    const person = await signUp({ language: 'fr', country: 'CM' });
    assert.equal(person.session, null);
    assert.equal((await person.client.auth.getSession()).data.session, null);

    const mail = await mailTo(person.email, CONFIRM);
    assert.match(mail.subject, /confirmez votre e-mail/);
    assert.match(mail.from, new RegExp(env.FROM_EMAIL));
    assert.match(codeIn(mail), /^\d{6}$/);
  });

  test('mirrors the person unconfirmed and without any role', async () => {
    const person = await signUp({ language: 'fr', country: 'CM', phone: '+237 670 00 00 09' });
    const mirror = await mirrorOf(person.user.id);
    assert.deepEqual(
      {
        email: mirror.email,
        full_name: mirror.full_name,
        phone: mirror.phone,
        country: mirror.country,
        language: mirror.language,
        is_admin: mirror.is_admin,
        is_affiliate: mirror.is_affiliate,
        email_confirmed_at: mirror.email_confirmed_at,
      },
      {
        email: person.email,
        full_name: 'Ama Shopper',
        phone: '+237670000009',
        country: 'CM',
        language: 'fr',
        is_admin: false,
        is_affiliate: false,
        email_confirmed_at: null,
      },
    );
  });

  test('takes no role from metadata', async () => {
    const person = await signUpConfirmed({
      is_admin: true,
      is_affiliate: true,
      role: 'service_role',
      email_confirmed_at: '2026-01-01T00:00:00Z',
    });
    await person.client.auth.updateUser({ data: { is_admin: true, role: 'service_role' } });
    const mirror = await mirrorOf(person.id);
    assert.equal(mirror.is_admin, false);
    assert.equal(mirror.is_affiliate, false);
    const [{ count }] = await sql`select count(*)::int from admins where user_id = ${person.id}`;
    assert.equal(count, 0);
  });

  test('leaves odd metadata out instead of refusing', async () => {
    const person = await signUp({
      country: 'XX',
      language: 'de',
      phone: 'call me',
      full_name: `Line\r\nBreak ${'x'.repeat(500)}`,
    });
    const mirror = await mirrorOf(person.user.id);
    assert.equal(mirror.country, null);
    assert.equal(mirror.language, 'en');
    assert.equal(mirror.phone, null);
    assert.match(mirror.full_name, /^Line Break x+$/);
    assert.ok(mirror.full_name.length <= 120);
  });

  test('refuses a weak password and an impossible address', async () => {
    const client = anonClient();
    const weak = await client.auth.signUp({ email: freshEmail(), password: 'short' });
    assert.equal(weak.error.code, 'weak_password');
    assert.equal(weak.error.status, 422);
    const odd = await client.auth.signUp({ email: 'nobody', password: 'long-enough-1' });
    assert.equal(odd.error.code, 'validation_failed');
    assert.equal(odd.error.status, 400);
  });

  test('refuses sign-in before the address is confirmed', async () => {
    const person = await signUp();
    const answer = await anonClient().auth.signInWithPassword(person);
    assert.equal(answer.error.code, 'email_not_confirmed');
    assert.equal(answer.data.session, null);
  });

  test('twice leaks nothing of the account and changes nothing in it', async () => {
    const person = await signUpConfirmed({ language: 'fr', country: 'CM' });
    const before = await mirrorOf(person.id);
    const mails = (await mailsTo(person.email)).filter(({ subject }) => CONFIRM.test(subject));

    const answer = await anonClient().auth.signUp({
      email: person.email.toUpperCase(),
      password: 'another-password-1',
      options: { data: { full_name: 'Mallory', language: 'en', country: 'ZA' } },
    });

    // Hosted Supabase invents a user, the local server refuses: neither tells of the account.
    assert.equal(answer.data.session, null);
    assert.ok(!JSON.stringify(answer).includes(person.id));
    assert.ok(!JSON.stringify(answer).includes('Ama Shopper'));
    assert.deepEqual(await mirrorOf(person.id), before);
    const after = (await mailsTo(person.email)).filter(({ subject }) => CONFIRM.test(subject));
    assert.equal(after.length, mails.length);
    assert.equal((await signIn(person.email, person.password)).id, person.id);
    const stolen = await anonClient().auth.signInWithPassword({
      email: person.email,
      password: 'another-password-1',
    });
    assert.equal(stolen.error.code, 'invalid_credentials');
  });
});

describe('confirmation', () => {
  test('with a wrong code is refused and leaves the address unconfirmed', async () => {
    const person = await signUp();
    const right = codeIn(await mailTo(person.email, CONFIRM));
    const wrong = right === '000000' ? '000001' : '000000';
    const answer = await person.client.auth.verifyOtp({
      email: person.email,
      token: wrong,
      type: 'signup',
    });
    assert.equal(answer.error.code, 'otp_expired');
    assert.equal(answer.error.status, 403);
    assert.equal(answer.data.session, null);
    assert.equal((await mirrorOf(person.user.id)).email_confirmed_at, null);
  });

  test("with another person's code is refused", async () => {
    const [mine, theirs] = [await signUp(), await signUp()];
    const token = codeIn(await mailTo(theirs.email, CONFIRM));
    const answer = await mine.client.auth.verifyOtp({ email: mine.email, token, type: 'signup' });
    assert.equal(answer.error.code, 'otp_expired');
    assert.equal(answer.data.session, null);
  });

  test('with the mailed code gives a session of seven days, once', async () => {
    const person = await signUp();
    const token = codeIn(await mailTo(person.email, CONFIRM));
    const code = { email: person.email, token, type: 'signup' };
    const answer = await person.client.auth.verifyOtp(code);
    assert.equal(answer.error, null);
    assert.equal(answer.data.user.id, person.user.id);

    const [, claims] = answer.data.session.access_token.split('.');
    const { sub, role, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    assert.equal(sub, person.user.id);
    assert.equal(role, 'authenticated');
    assert.equal(exp - iat, SEVEN_DAYS);
    assert.notEqual((await mirrorOf(person.user.id)).email_confirmed_at, null);

    const again = await anonClient().auth.verifyOtp(code);
    assert.equal(again.error.code, 'otp_expired');
    assert.equal(again.data.session, null);
  });

  test('lets the person edit their own name, phone, country and language', async () => {
    const person = await signUpConfirmed({ country: 'ZA' });
    const edit = await person.client
      .from('users')
      .update({ full_name: 'Ama Nouvelle', phone: '+237670000009', country: 'CM', language: 'fr' })
      .eq('id', person.id)
      .select('id, full_name, phone, country, language, is_admin');
    assert.equal(edit.error, null);
    assert.deepEqual(edit.data, [
      {
        id: person.id,
        full_name: 'Ama Nouvelle',
        phone: '+237670000009',
        country: 'CM',
        language: 'fr',
        is_admin: false,
      },
    ]);
  });
});

describe('session', () => {
  test('sign-in answers the same to a wrong password and to an unknown address', async () => {
    const person = await signUpConfirmed();
    const wrong = await anonClient().auth.signInWithPassword({
      email: person.email,
      password: 'not-the-password',
    });
    const unknown = await anonClient().auth.signInWithPassword({
      email: freshEmail('nobody'),
      password: 'not-the-password',
    });
    assert.equal(wrong.error.code, 'invalid_credentials');
    assert.deepEqual(shown(wrong), shown(unknown));
    assert.equal(wrong.data.session, null);
  });

  test('refresh gives another token for the same person', async () => {
    const person = await signUpConfirmed();
    const { data, error } = await person.client.auth.refreshSession();
    assert.equal(error, null);
    assert.equal(data.user.id, person.id);
    assert.notEqual(data.session.refresh_token, person.session.refresh_token);
    const own = await person.client.from('users').select('id');
    assert.deepEqual(own.data, [{ id: person.id }]);
  });

  test('refresh with a made-up token is refused', async () => {
    const answer = await anonClient().auth.refreshSession({ refresh_token: 'made-up-token' });
    assert.equal(answer.error.status, 400);
    assert.equal(answer.data.session, null);
  });

  test('sign-out ends the session: its refresh token is worth nothing', async () => {
    const person = await signUpConfirmed();
    const { refresh_token } = person.session;
    assert.equal((await person.client.auth.signOut()).error, null);
    assert.equal((await person.client.auth.getSession()).data.session, null);
    const answer = await anonClient().auth.refreshSession({ refresh_token });
    assert.equal(answer.error.code, 'refresh_token_not_found');
    assert.equal(answer.data.session, null);
    const rows = await person.client.from('users').select('id');
    assert.equal(rows.error.code, '42501');
  });
});

describe('password reset', () => {
  const RESET = /reset your password/;

  test('takes the mailed code and replaces the password', async () => {
    const person = await signUpConfirmed();
    const asked = await anonClient().auth.resetPasswordForEmail(person.email);
    assert.equal(asked.error, null);
    const mail = await mailTo(person.email, RESET);
    assert.match(mail.subject, /réinitialisez votre mot de passe/);

    const client = anonClient();
    const code = { email: person.email, token: codeIn(mail), type: 'recovery' };
    const verified = await client.auth.verifyOtp(code);
    assert.equal(verified.error, null);
    assert.equal(verified.data.user.id, person.id);
    const updated = await client.auth.updateUser({ password: 'a-new-password-2' });
    assert.equal(updated.error, null);

    const old = await anonClient().auth.signInWithPassword(person);
    assert.equal(old.error.code, 'invalid_credentials');
    assert.equal((await signIn(person.email, 'a-new-password-2')).id, person.id);
    const again = await anonClient().auth.verifyOtp(code);
    assert.equal(again.error.code, 'otp_expired');
  });

  test('for an unknown address answers the same and mails nothing', async () => {
    const person = await signUpConfirmed();
    const email = freshEmail('nobody');
    const known = await anonClient().auth.resetPasswordForEmail(person.email);
    const unknown = await anonClient().auth.resetPasswordForEmail(email);
    assert.deepEqual(unknown, known);
    await mailTo(person.email, RESET);
    assert.deepEqual(await mailsTo(email), []);
  });

  test('with a wrong code is refused', async () => {
    const person = await signUpConfirmed();
    await anonClient().auth.resetPasswordForEmail(person.email);
    const right = codeIn(await mailTo(person.email, RESET));
    const token = right === '000000' ? '000001' : '000000';
    const answer = await anonClient().auth.verifyOtp({
      email: person.email,
      token,
      type: 'recovery',
    });
    assert.equal(answer.error.code, 'otp_expired');
    assert.equal(answer.data.session, null);
  });
});
