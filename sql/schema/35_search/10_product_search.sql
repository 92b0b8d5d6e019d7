-- Two stored vectors a product, one stemmed as English and one as French, both without accents.

create text search configuration private.search_en (copy = pg_catalog.english);
alter text search configuration private.search_en
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.english_stem;

create text search configuration private.search_fr (copy = pg_catalog.french);
alter text search configuration private.search_fr
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.french_stem;

comment on text search configuration private.search_en is 'English stems, accents folded.';
comment on text search configuration private.search_fr is 'French stems, accents folded.';

alter table public.products
add column search_en tsvector not null generated always as (
    setweight(to_tsvector('private.search_en'::regconfig, name), 'A')
    || setweight(to_tsvector('private.search_en'::regconfig, coalesce(description, '')), 'C')
) stored,
add column search_fr tsvector not null generated always as (
    setweight(to_tsvector('private.search_fr'::regconfig, coalesce(name_fr, name)), 'A')
    || setweight(to_tsvector('private.search_fr'::regconfig, coalesce(description_fr, '')), 'C')
) stored;

create index products_search_en_idx on public.products using gin (search_en);
create index products_search_fr_idx on public.products using gin (search_fr);
create index products_names_trgm_idx on public.products
using gin ((name || ' ' || coalesce(name_fr, '')) extensions.gin_trgm_ops);

alter table public.products_retailer
add column search_en tsvector not null generated always as (
    setweight(to_tsvector('private.search_en'::regconfig, name), 'A')
    || setweight(to_tsvector('private.search_en'::regconfig, coalesce(description, '')), 'C')
) stored,
add column search_fr tsvector not null generated always as (
    setweight(to_tsvector('private.search_fr'::regconfig, coalesce(name_fr, name)), 'A')
    || setweight(to_tsvector('private.search_fr'::regconfig, coalesce(description_fr, '')), 'C')
) stored;

create index products_retailer_search_en_idx on public.products_retailer using gin (search_en);
create index products_retailer_search_fr_idx on public.products_retailer using gin (search_fr);
create index products_retailer_names_trgm_idx on public.products_retailer
using gin ((name || ' ' || coalesce(name_fr, '')) extensions.gin_trgm_ops);
