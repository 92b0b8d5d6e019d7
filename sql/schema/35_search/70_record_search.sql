create table private.searches (
    id uuid primary key default gen_random_uuid(),
    query text not null,
    language text not null,
    results integer not null,
    created_at timestamptz not null default now(),
    constraint searches_language_is_known check (language in ('en', 'fr')),
    constraint searches_query_is_short check (char_length(query) between 1 and 80),
    constraint searches_results_not_negative check (results >= 0)
);

alter table private.searches enable row level security;

create index searches_created_at_idx on private.searches (created_at);
create index searches_query_nothing_idx on private.searches (query, language) where results = 0;

comment on table private.searches is
'What was searched for and how much was found, without who: how misses are learnt.';

create or replace function private.record_search(query text, language text, results integer)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_query text := private.search_key(record_search.query);
    v_address text := nullif(current_setting('request.headers', true), '')::jsonb
        ->> 'x-forwarded-for';
begin
    if record_search.language is null or record_search.language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(record_search.language, 200));
    end if;
    -- A number or an address is nobody's search: it is not kept.
    if v_query is null
        or v_query ~ '[0-9]{6}|@'
        or record_search.results is null
        or record_search.results < 0 then
        return;
    end if;
    -- Who writes more than a person reads is not kept either: a refusal would help nobody.
    if private.take_rate_limit(
        'record_search',
        coalesce(auth.uid()::text, btrim(substring(v_address from '[^,]*$')), 'unknown')
    ) > 0 then
        return;
    end if;
    insert into private.searches (query, language, results)
    values (v_query, record_search.language, record_search.results);
end
$$;

create or replace function public.record_search(query text, language text, results integer)
returns void
language sql
set search_path = ''
as $$
    select private.record_search(
        record_search.query, record_search.language, record_search.results
    )
$$;

revoke all on function private.record_search(text, text, integer) from public;
revoke all on function public.record_search(text, text, integer) from public;
grant execute on function private.record_search(text, text, integer)
to anon, authenticated, service_role;
grant execute on function public.record_search(text, text, integer)
to anon, authenticated, service_role;

comment on function private.record_search(text, text, integer) is
'Core of record_search, sixty a minute from one person or address. Definer because searches are '
'closed; it keeps no person.';
comment on function public.record_search(text, text, integer) is
'Keeps what was searched for and how many results it had; called by the frontend, since a search '
'itself is stable and cannot write. Error: language_unknown.';
