-- Every refusal of the shop: its code, HTTP status and texts. PostgREST puts the message into the
-- HTTP status line, so a text never holds a control character and never holds input.

create table private.error_codes (
    code text primary key,
    status smallint not null,
    message_en text not null,
    message_fr text not null,
    constraint error_codes_code_is_snake_case check (code ~ '^[a-z][a-z0-9_]{2,62}$'),
    constraint error_codes_status_is_error check (status between 400 and 599),
    constraint error_codes_messages_are_one_line
    check (message_en ~ '^[^[:cntrl:]]+$' and message_fr ~ '^[^[:cntrl:]]+$')
);

alter table private.error_codes enable row level security;

comment on table private.error_codes is
'Catalogue of refusals: code (in hint), HTTP status, English and French text (in message).';

create or replace function private.request_language()
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
    return (regexp_match(
        lower(
            nullif(current_setting('request.headers', true), '')::jsonb ->> 'accept-language'
        ),
        '(?:^|[\s,])(en|fr)(?:[-;,\s]|$)'
    ))[1];
end
$$;

comment on function private.request_language() is
'en or fr, whichever the request''s Accept-Language names first; null when it names neither.';

create or replace function private.fail(code text, detail text default null)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_error private.error_codes;
begin
    select * into v_error from private.error_codes as e where e.code = fail.code;
    if not found then
        raise exception 'unknown error code %', fail.code using errcode = 'P0001';
    end if;
    raise exception using
        errcode = 'PT' || v_error.status,
        message = case
            when private.caller_language() = 'fr' then v_error.message_fr else v_error.message_en
        end,
        detail = coalesce(fail.detail, ''),
        hint = v_error.code;
end
$$;

revoke all on function private.request_language() from public;
revoke all on function private.fail(text, text) from public;
grant execute on function private.fail(text, text) to anon, authenticated, service_role;

comment on function private.fail(text, text) is
'Refuses: raises SQLSTATE PTnnn with the catalogue''s status and text, the code in hint and the '
'input in detail. Definer because the catalogue is closed to its callers.';

create or replace function service.error_catalogue()
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select jsonb_agg(to_jsonb(e) order by e.code) from private.error_codes as e
$$;

revoke all on function service.error_catalogue() from public;
grant execute on function service.error_catalogue() to mallgram_service;

comment on function service.error_catalogue() is
'[{code, status, message_en, message_fr}]. Definer because the table is closed to everyone.';
