create table private.search_synonyms (
    concept text not null,
    language text not null,
    term text not null,
    primary key (concept, language, term),
    constraint search_synonyms_language_is_known check (language in ('en', 'fr')),
    constraint search_synonyms_term_is_one_line check (term ~ '^[^[:cntrl:]]+$')
);

alter table private.search_synonyms enable row level security;

comment on table private.search_synonyms is
'Words that mean the same, across the two languages: a search for one finds all of its concept.';

create table private.search_rewrites (
    target tsquery primary key,
    substitute tsquery not null
);

alter table private.search_rewrites enable row level security;

create index search_rewrites_target_idx on private.search_rewrites using gist (target);

comment on table private.search_rewrites is
'The synonyms as text search wants them: kept by trigger.';

create or replace function private.as_search_query(term text)
returns tsquery
language plpgsql
immutable
set search_path = ''
as $$
begin
    return plainto_tsquery('private.search_en'::regconfig, as_search_query.term)
        || plainto_tsquery('private.search_fr'::regconfig, as_search_query.term);
end
$$;

create or replace function private.tg_search_synonyms__make_rewrites()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    delete from private.search_rewrites as r where true;
    insert into private.search_rewrites (target, substitute)
    with stemmed as (
        select
            s.concept, plainto_tsquery(c.config, s.term) as query,
            s.language = c.language as is_own
        from private.search_synonyms as s
        cross join (
            values ('en', 'private.search_en'::regconfig), ('fr', 'private.search_fr'::regconfig)
        ) as c (language, config)
        where numnode(plainto_tsquery(c.config, s.term)) > 0
    ),

    concept as (
        select
            s.concept,
            string_agg(distinct '(' || s.query::text || ')', ' | ')::tsquery as any_of
        from stemmed as s
        where s.is_own
        group by s.concept
    )

    select distinct on (s.query) s.query, c.any_of
    from stemmed as s
    inner join concept as c on s.concept = c.concept
    order by s.query, c.concept;
    return null;
end
$$;

revoke all on function private.as_search_query(text) from public;
revoke all on function private.tg_search_synonyms__make_rewrites() from public;

comment on function private.as_search_query(text) is
'A term stemmed as either language.';
comment on function private.tg_search_synonyms__make_rewrites() is
'Trigger: each synonym leads to all of its concept. Definer because the rewrites are closed.';

create trigger search_synonyms_80_make_rewrites
after insert or update or delete on private.search_synonyms
for each statement execute function private.tg_search_synonyms__make_rewrites();
