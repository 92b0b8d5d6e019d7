/**
 * The database behind the stack, for what no client may prepare or read: promo codes, affiliates,
 * payments' ends, the catalogue. Connections close by themselves, so a test file ends.
 */

import postgres from 'postgres';

import { env } from './stack.mjs';

const options = { max: 2, idle_timeout: 1, onnotice: () => {} };

/** As superuser. Numbers with a fraction come back as text. */
export const sql = postgres(env.DATABASE_ADMIN_URL, options);

/** As the role that migrations run as: no superuser, as on hosted Supabase. */
export const migrationSql = postgres(env.DATABASE_MIGRATION_URL, options);
