-- Roles belong to the cluster: made once, without a password, which whoever deploys sets.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'mallgram_service') then
        create role mallgram_service login noinherit;
    end if;
end
$$;

comment on role mallgram_service is
'Login of the edge and the workers. EXECUTE on service functions and nothing else.';

-- Hosted Supabase cuts anon at 3 s and authenticated at 8 s; the service waits for locks briefly,
-- because a webhook that waits is better answered with an error and sent again.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role mallgram_service set statement_timeout = '15s';
alter role mallgram_service set lock_timeout = '5s';
alter role mallgram_service set idle_in_transaction_session_timeout = '15s';

-- Compiling a query takes longer than any of ours: a batch of new goods was priced in two seconds,
-- all but a tenth of them the compiler's. Functions that a DBA calls too say so themselves.
alter role anon set jit = 'off';
alter role authenticated set jit = 'off';
alter role mallgram_service set jit = 'off';

grant usage on schema public to anon, authenticated, service_role;
grant usage on schema private to anon, authenticated, service_role;
grant usage on schema service to mallgram_service;
