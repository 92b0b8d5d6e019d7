create or replace function private.tg__refuse_change()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.fail('record_immutable', tg_table_name);
    return null;
end
$$;

revoke all on function private.tg__refuse_change() from public;

comment on function private.tg__refuse_change() is
'Trigger: what is written stays as it is. Error: record_immutable.';
