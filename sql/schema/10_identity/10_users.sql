-- The shop's mirror of auth.users: what orders and mails need, without reaching into auth.

create table public.users (
    id uuid primary key,
    email text,
    full_name text,
    phone text,
    country text,
    language text not null default 'en',
    is_admin boolean not null default false,
    is_affiliate boolean not null default false,
    email_confirmed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_email_key unique (email),
    constraint users_full_name_is_one_line
    check (full_name ~ '^[^[:cntrl:]]*$' and char_length(full_name) <= 120),
    constraint users_holds_no_card_number check (not private.holds_card_number(full_name)),
    constraint users_phone_is_e164 check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    constraint users_language_is_known check (language in ('en', 'fr'))
);

alter table public.users enable row level security;

create trigger users_10_update_updated_at
before update on public.users
for each row execute function public.update_updated_at_column();

comment on table public.users is
'One row a person, kept from auth.users by trigger (no foreign key: erasure keeps the row).';
comment on column public.users.phone is 'E.164 with the plus sign.';
comment on column public.users.country is 'ISO 3166-1 alpha-2 of the shop the person buys in.';
comment on column public.users.language is 'Language of mails and messages: en or fr.';
comment on column public.users.is_admin is 'Kept by trigger from admins; writable by nobody.';
comment on column public.users.is_affiliate is
'Kept by trigger from approved affiliates; writable by nobody.';

create or replace function private.caller_language()
returns text
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return coalesce(
        private.request_language(),
        (select u.language from public.users as u where u.id = (select auth.uid())),
        'en'
    );
end
$$;

revoke all on function private.caller_language() from public;
grant execute on function private.caller_language() to anon, authenticated, service_role;

comment on function private.caller_language() is
'Language of an answer: the request''s, else the person''s, else en. Definer because the asker may '
'have no row to see.';
