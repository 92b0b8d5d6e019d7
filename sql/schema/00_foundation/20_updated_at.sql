create or replace function public.update_updated_at_column()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at = now();
    return new;
end
$$;

revoke all on function public.update_updated_at_column() from public;

comment on function public.update_updated_at_column() is
'Trigger: stamps updated_at with the transaction''s time.';
