create table public.product_media (
    id uuid primary key default gen_random_uuid(),
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    position smallint not null default 0,
    storage_path text not null,
    alt text,
    alt_fr text,
    width integer,
    height integer,
    byte_size integer,
    content_hash text,
    created_at timestamptz not null default now(),
    constraint product_media_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_media_position_key unique (listing_id, position),
    constraint product_media_storage_path_is_relative
    check (storage_path ~ '^[a-z0-9][a-z0-9/_.-]*$'),
    constraint product_media_texts_are_one_line check (concat(alt, alt_fr) ~ '^[^[:cntrl:]]*$'),
    constraint product_media_size_positive check (width > 0 and height > 0),
    constraint product_media_byte_size_positive check (byte_size > 0),
    constraint product_media_content_hash_is_sha256 check (content_hash ~ '^[0-9a-f]{64}$')
);

alter table public.product_media enable row level security;

create index product_media_product_id_idx on public.product_media (product_id);
create index product_media_retailer_product_id_idx on public.product_media (retailer_product_id);

comment on table public.product_media is
'Pictures of a product that are in Storage; position 0 is shown first, from 100 on stand the '
'pictures of single variants.';
comment on column public.product_media.storage_path is
'bucket/path: the picture is at /storage/v1/object/public/<storage_path>.';
comment on column public.product_media.width is 'Pixels.';
comment on column public.product_media.content_hash is
'SHA-256 of the file in hexadecimal digits: the same picture twice is known by it. It tells '
'nothing that the file, which is public, does not.';

create policy select_listed on public.product_media
for select to anon, authenticated
using (
    exists (select from public.products as p where p.id = product_id)
    or exists (select from public.products_retailer as r where r.id = retailer_product_id)
);
comment on policy select_listed on public.product_media is
'Pictures are public, of the goods that the reader sees.';

grant select on public.product_media to anon, authenticated;
grant select, insert, update, delete on public.product_media to service_role;
