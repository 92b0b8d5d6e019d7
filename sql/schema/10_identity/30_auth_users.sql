-- auth.users is Supabase Auth's table. Its insert is the sign-up itself, so what stands here never
-- refuses: odd metadata is left out, not complained about.

create or replace function private.read_user_metadata(metadata jsonb)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- Hosted Supabase stores an object; the local auth server stores the object as a JSON string.
    if jsonb_typeof(read_user_metadata.metadata) = 'string' then
        return (read_user_metadata.metadata #>> '{}')::jsonb;
    end if;
    return coalesce(read_user_metadata.metadata, '{}'::jsonb);
exception
    when others then
        return '{}'::jsonb;
end
$$;

create or replace function private.tg_users__mirror_auth_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_metadata jsonb := private.read_user_metadata(new.raw_user_meta_data);
    v_full_name text := btrim(regexp_replace(
        left(v_metadata ->> 'full_name', 120), '[[:cntrl:]]+', ' ', 'g'
    ));
    -- Auth lets two logins share an address when one comes from single sign-on; the first keeps it.
    v_email text := (
        select new.email
        where not exists (
            select from public.users as u where u.email = new.email and u.id <> new.id
        )
    );
    v_phone text := regexp_replace(v_metadata ->> 'phone', '[\s().-]', '', 'g');
begin
    insert into public.users as u (
        id, email, full_name, phone, country, language, email_confirmed_at
    )
    values (
        new.id,
        v_email,
        case when not private.holds_card_number(v_full_name) then nullif(v_full_name, '') end,
        case when v_phone ~ '^\+[1-9][0-9]{6,14}$' then v_phone end,
        (select c.code from public.countries as c where c.code = v_metadata ->> 'country'),
        case when v_metadata ->> 'language' = 'fr' then 'fr' else 'en' end,
        new.email_confirmed_at
    )
    on conflict on constraint users_pkey do update
    set email = excluded.email,
        email_confirmed_at = coalesce(u.email_confirmed_at, excluded.email_confirmed_at);
    return null;
end
$$;

create or replace function private.tg_users__forget_auth_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.users as u
    set email = null, full_name = null, phone = null
    where u.id = old.id;
    delete from public.addresses as a where a.user_id = old.id;
    delete from public.carts as c where c.user_id = old.id;
    return null;
end
$$;

create or replace function private.tg_auth_users__leave_out_card_numbers()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if private.holds_card_number(private.read_user_metadata(new.raw_user_meta_data)::text) then
        new.raw_user_meta_data := '{}'::jsonb;
    end if;
    return new;
end
$$;

revoke all on function private.tg_auth_users__leave_out_card_numbers() from public;

comment on function private.tg_auth_users__leave_out_card_numbers() is
'Trigger: a sign-up''s metadata with a card number in it is left out whole. Definer because the '
'auth server that writes there may call nothing of ours.';

create trigger users_10_leave_out_card_numbers
before insert or update of raw_user_meta_data on auth.users
for each row execute function private.tg_auth_users__leave_out_card_numbers();

revoke all on function private.read_user_metadata(jsonb) from public;
revoke all on function private.tg_users__mirror_auth_user() from public;
revoke all on function private.tg_users__forget_auth_user() from public;

comment on function private.read_user_metadata(jsonb) is
'User metadata as an object, {} when it is unreadable.';
comment on function private.tg_users__mirror_auth_user() is
'Trigger: keeps public.users. Definer because Auth''s role has no right on the shop''s tables.';
comment on function private.tg_users__forget_auth_user() is
'Trigger: a deleted login leaves the row that orders point at, without its personal columns, and '
'neither address book nor cart. '
'Definer because Auth''s role has no right on the shop''s tables.';

create trigger users_90_mirror_auth_user
after insert or update of email, email_confirmed_at on auth.users
for each row execute function private.tg_users__mirror_auth_user();

create trigger users_90_forget_auth_user
after delete on auth.users
for each row execute function private.tg_users__forget_auth_user();
